#!/bin/bash
# Several machines side by side, each its own; memhp down ends the one it names.
. "$(dirname "$0")/lib.sh"
up "$scratch/a" --nodes 2 --memory 512M
up "$scratch/b" --memory 1G
expect "nodes of a" "$(cat a/devices/system/node/online)" "0-1"
expect "nodes of b" "$(cat b/devices/system/node/online)" "0"
echo offline >a/devices/system/memory/memory3/state
expect "block 3 of a" "$(cat a/devices/system/memory/memory3/state)" "offline"
expect "block 3 of b" "$(cat b/devices/system/memory/memory3/state)" "online"
expect_line a.log "serving a machine at $scratch/a"
expect_line b.log "serving a machine at $scratch/b"

# The small parent holds the mount's device as well as the worker that serves it: nothing
# that becomes of the worker's descriptors ends the mount.
for process in keeper pid; do
  readlink /proc/"$(figure $process b)"/fd/* >descriptors
  expect_line descriptors "^/dev/fuse$"
done
expect "the parent of the worker" \
  "$(sed -n 's/^PPid:[^0-9]*//p' "/proc/$(figure pid b)/status")" "$(figure keeper b)"

status_of memhp up --mount a --log second.log
expect "exit status of a second machine at a" $status 1
expect_one_line err
expect_line err "memhp down --mount $scratch/a"

a_keeper=$(figure keeper a)
memhp down --mount a/
is_not_mounted "$scratch/a" || fail "a is still mounted"
is_gone "$a_keeper" || fail "the daemon of a is still there: $(cat "/proc/$a_keeper/status")"
expect "block 3 of b" "$(cat b/devices/system/memory/memory3/state)" "online"
for dir in a .; do
  status_of memhp down --mount $dir
  expect "exit status of memhp down where nothing is" $status 1
  expect_one_line err
done
ln -s b link
memhp down --mount link
is_not_mounted "$scratch/b" || fail "b is still mounted"
no_figures a || fail "the figures of a are still there"
no_figures "$scratch/b" || fail "the figures are still there"
