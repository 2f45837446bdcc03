#!/bin/bash
# bash, tee, dd, cat, ls, cp -r, find and grep work on the tree as on sysfs.
. "$(dirname "$0")/lib.sh"
memhp run --memory 1G -- bash -c '
  set -eu
  cd /sys/devices/system/memory
  echo offline > memory2/state;           echo "echo $(cat memory2/state)"
  echo online >> memory2/state;           echo "append $(< memory2/state)"
  echo offline | tee memory2/state;       echo "tee $(cat memory2/state)"
  printf online | dd of=memory2/state status=none; echo "dd $(cat memory2/state)"
  echo nonsense > memory2/state && exit 1
  echo "after nonsense $(cat memory2/state)"
  cat probe && exit 1
  echo "stat $(stat -c "%s %a" memory2/state)"
  echo "dd reads $(dd if=memory2/state bs=3 count=1 status=none)"
  echo "blocks $(find . -maxdepth 1 -name "memory*" -type d | wc -l)"
  echo "online $(grep -l "^online$" memory*/state | wc -l)"
  echo "node $(readlink memory2/node0)"
  cp -r memory2 "$1/copy" || true
  echo "copied $(cat "$1/copy/state") $(cat "$1/copy/phys_index")"' bash "$scratch" >out 2>err ||
  fail "$(cat out err)"
expect "what the tools saw" "$(cat out)" "echo offline
append online
offline
tee offline
dd online
after nonsense online
stat 4096 644
dd reads onl
blocks 8
online 8
node ../../node/node0
copied online 00000002"
expect_line err "write error: Invalid argument"
expect_line err "probe: Permission denied"
