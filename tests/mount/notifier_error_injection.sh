#!/bin/bash
# An injected notifier error makes online and offline fail with that error, and only as
# long as it is set.
. "$(dirname "$0")/lib.sh"
memhp run --memory 1G -- bash -c '
  cd /sys/devices/system/memory
  actions=/sys/kernel/debug/notifier-error-inject/memory/actions
  echo -12 > $actions/MEM_GOING_OFFLINE/error
  echo "set to $(cat $actions/MEM_GOING_OFFLINE/error)"
  echo offline > memory2/state;  echo "offline $? $(cat memory2/state)"
  echo 0 > $actions/MEM_GOING_OFFLINE/error
  echo offline > memory2/state;  echo "offline $? $(cat memory2/state)"
  echo -16 > $actions/MEM_GOING_ONLINE/error
  echo online > memory2/state;   echo "online $? $(cat memory2/state)"
  echo 0 > $actions/MEM_GOING_ONLINE/error
  echo online > memory2/state;   echo "online $? $(cat memory2/state)"' >out 2>err
expect "the steps" "$(cat out)" "set to -12
offline 1 online
offline 0 offline
online 1 offline
online 0 online"
expect "the errors" "$(sed 's/.*write error: //' err)" "Cannot allocate memory
Device or resource busy"
