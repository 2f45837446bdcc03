#!/bin/bash
# The steps of the kernel's mem-on-off-test.sh: every hot-pluggable block online, a share
# of them offline, all online again, and the same with errors injected into the notifier
# chain, found the way that test finds them.
. "$(dirname "$0")/lib.sh"
cat >steps <<'STEPS'
set -u
sysfs=$(mount -t sysfs | head -n 1 | awk '{ print $3 }')
memory=$sysfs/devices/system/memory
fatal() { echo "FATAL: $*"; exit 1; }
with() { # with STATE: blocks that can go and are in it
  for dir in "$memory"/memory[0-9]*; do
    [ "$(cat "$dir/removable" 2>/dev/null)" = 1 ] && [ "$(cat "$dir/state")" = "$1" ] &&
      echo "${dir##*/memory}"
  done
}
put() { echo "$2" >"$memory/memory$1/state"; }
state() { cat "$memory/memory$1/state"; }

echo "before: $(with online | wc -l) online, $(with offline | wc -l) offline"
for block in $(with offline); do put "$block" online || fatal "online $block"; done
# Half of them; one that the kernel itself uses refuses and does not count.
wanted=$(($(with online | wc -l) / 2))
for block in $(with online); do
  [ "$(with offline | wc -l)" -lt "$wanted" ] || break
  put "$block" offline 2>/dev/null || continue
  [ "$(state "$block")" = offline ] || fatal "$block is not offline"
done
echo "half: $(with online | wc -l) online, $(with offline | wc -l) offline"

debugfs=$(mount -t debugfs | head -n 1 | awk '{ print $3 }')
[ -n "$debugfs" ] || debugfs=/sys/kernel/debug # not for an ordinary user to mount
actions=$debugfs/notifier-error-inject/memory/actions
[ -d "$actions" ] || fatal "no $actions"

echo -12 >"$actions/MEM_GOING_ONLINE/error"
for block in $(with offline); do
  put "$block" online 2>/dev/null && fatal "online of $block did not fail"
  [ "$(state "$block")" = offline ] || fatal "$block is not offline any more"
done
echo 0 >"$actions/MEM_GOING_ONLINE/error"
for block in $(with offline); do put "$block" online || fatal "online $block"; done
echo "again: $(with online | wc -l) online, $(with offline | wc -l) offline"

echo -12 >"$actions/MEM_GOING_OFFLINE/error"
for block in $(with online); do
  put "$block" offline 2>/dev/null && fatal "offline of $block did not fail"
  [ "$(state "$block")" = online ] || fatal "$block is not online any more"
done
echo 0 >"$actions/MEM_GOING_OFFLINE/error"
echo "after: $(with online | wc -l) online, $(with offline | wc -l) offline"
STEPS
memhp run --nodes 2 --memory 512M --dimm 512M@1 --kernel-blocks 0 -- bash steps >out ||
  fail "$(cat out)"
expect "the counts" "$(cat out)" "before: 8 online, 4 offline
half: 6 online, 6 offline
again: 12 online, 0 offline
after: 12 online, 0 offline"
