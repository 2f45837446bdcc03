#!/bin/sh
# memhp stat --locks and proc/lock_stat count a wait for a lock that somebody holds.
. "$(dirname "$0")/lib.sh"
need python3
up "$scratch/hp" --lockdep on --memory 1G
memory=hp/devices/system/memory
switch=hp/proc/sys/kernel/lock_stat

memhp stat --locks --mount hp >out
expect_line out "not counted now"
expect "the switch" "$(cat $switch)" 0
echo 1 >$switch
expect "the switch" "$(cat $switch)" 1
[ "$(wc -l <hp/proc/lockdep)" -gt 1 ] || skip "this program tracks no lock"

# A writer parks with the locks of an offline held, for a page that cannot move; whoever
# reads the block's "online" waits for the device's lock.
echo 0x20000000 >hp/kernel/debug/memhp/page_pin
background sh -c "echo offline >$memory/memory4/state"
writer=$pid
going_offline() { [ "$(cat $memory/memory4/state)" = going-offline ]; }
eventually going_offline
background cat $memory/memory4/online
reader=$pid
waits() { [ "$(figure parked hp)" -ge 2 ]; }
eventually waits
echo 0x20000000 >hp/kernel/debug/memhp/page_unpin
wait "$writer" "$reader"

# contentions: of all classes, as programs read them
contentions() {
  memhp stat --locks --json --mount hp | python3 -c '
import json, sys
locks = json.load(sys.stdin)["locks"]
print(sum(lock[how]["wait"]["nr"] for lock in locks for how in ("write", "read")))'
}
were_contentions() { [ "$(contentions)" -gt 0 ]; }
eventually were_contentions
memhp stat --locks --mount hp >out
expect_line out "^lock +held +contentions "
expect_line out "^&dev->mutex +write +[1-9]"
cat hp/proc/lock_stat >out
expect_line out "^lock_stat version 0.4$"
expect_line out "^ +&dev->mutex: +[0-9]+ +[1-9][0-9]* "
expect_line out "^ +&dev->mutex +[0-9]+ +\[<[0-9a-f]{16}>\] "

# Waits and holds are counted from the start and without the validator, if one says so.
up "$scratch/alone" --lockdep off --lock-stat on --memory 512M
echo offline >alone/devices/system/memory/memory2/state
cat alone/proc/lock_stat >out
expect_line out "^ +device_hotplug_lock: +"
expect_no_line out "WARNING"
memhp stat --locks --mount alone >out
expect_no_line out "not counted now"

echo 0 >hp/proc/lock_stat
cat hp/proc/lock_stat >out
expect_no_line out "&dev->mutex +[0-9]+ +\[<"
were_none() { [ "$(contentions)" -eq 0 ]; }
eventually were_none
