#!/bin/sh
# proc/ shows the validator's classes and orders and the kernel's log, in a mounted tree
# and under memhp run.
. "$(dirname "$0")/lib.sh"
up "$scratch/hp" --lockdep on --memory 1G
proc=hp/proc
memory=hp/devices/system/memory
expect "modes" "$(cd $proc && stat -c '%a %n' kmsg lock_stat lockdep lockdep_chains lockdep_stats sys/kernel/lock_stat)" \
  "400 kmsg
600 lock_stat
400 lockdep
400 lockdep_chains
444 lockdep_stats
644 sys/kernel/lock_stat"
expect "top of lockdep" "$(head -n 1 $proc/lockdep)" "all lock classes:"
expect "top of lockdep_chains" "$(head -n 1 $proc/lockdep_chains)" "all lock chains:"
cat $proc/lockdep_stats >out
expect_line out "^ lock-classes: +[0-9]+ \[max: [0-9]+\]$"
expect_line out "^ debug_locks: +1$"

# The log: what the kernel says is a record, and reading it does not wait for more.
echo 0x10000000 >hp/kernel/debug/memhp/page_reserve
echo offline >$memory/memory2/state 2>err && fail "memory2 went offline"
timeout 5 cat $proc/kmsg >out || fail "reading kmsg waits"
expect_line out "^6,[0-9]+,[0-9]+,-;offlining .* failed: unmovable page$"
expect_no_line out "possible (circular|recursive) locking"

# Orders, once a block went offline and came back.
echo offline >$memory/memory4/state
echo online >$memory/memory4/state
cat $proc/lockdep >out
if grep -q device_hotplug_lock out; then
  expect_line out "^[0-9a-f]{16} FD: +[0-9]+ BD: +[0-9]+ [.+]{4}: device_hotplug_lock$"
  expect_line out "^ -> \[[0-9a-f]{16}\] mem_hotplug_lock$"
  cat $proc/lockdep_chains >out
  expect_line out "^irq_context: 0$"
else
  echo "not looked at: the orders of hotplug locks, which this program does not track"
fi

mkdir off
up "$scratch/off" --lockdep off --memory 512M
cat off/proc/lockdep_stats >out
expect_line out "^ debug_locks: +0$"

memhp run --lockdep on --memory 512M -- cat /sys/kernel/debug/memhp/proc/lockdep_stats >out
expect_line out "^ debug_locks: +1$"
