#!/bin/sh
# An offline that cannot finish is reported as a hung task, and the daemon goes on.
. "$(dirname "$0")/lib.sh"
up "$scratch/hp" --lockdep on --memory 1G
memory=hp/devices/system/memory
echo 1 >hp/proc/sys/kernel/hung_task_timeout_secs
expect "the timeout" "$(cat hp/proc/sys/kernel/hung_task_timeout_secs)" 1
echo 0x20000000 >hp/kernel/debug/memhp/page_pin
background sh -c "echo offline >$memory/memory4/state"
writer=$pid
reported() { grep -q "INFO: task .* blocked for more than [0-9]* seconds\.$" hp/proc/kmsg; }
eventually reported
cat hp/proc/kmsg >kmsg
expect_line kmsg "Showing all locks held in the system:"
expect_line kmsg "offline_pages"
expect_line hp.log "kernel: INFO: task .* blocked for more than "
expect "reports" "$(grep -c 'INFO: task' kmsg)" 1
expect "another block" "$(cat $memory/memory5/state)" online
echo 0x20000000 >hp/kernel/debug/memhp/page_unpin
wait "$writer"
expect "the block" "$(cat $memory/memory4/state)" offline
