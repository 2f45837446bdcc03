#!/bin/sh
# memhp run gives its command a mount namespace, a user namespace only without root, and
# leaves all others as they are; the tree is seen inside alone.
. "$(dirname "$0")/lib.sh"
list() { for ns in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$ns; done; }
list >outside
memhp run --memory 512M --commit touch -- sh -c '
  for ns in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$ns; done
  id -u >uid; grep -c " /sys/.* fuse.memhp " /proc/self/mountinfo >mounts' >inside
expect "uid inside" "$(cat uid)" 0
changed=$(diff outside inside | sed -n 's/^> \(.*\):.*/\1/p' | tr '\n' ' ')
if is_root; then
  expect "namespaces of its own" "$changed" "mnt "
else
  expect "namespaces of its own" "$changed" "mnt user "
fi
expect "mounts inside" "$(cat mounts)" 10
expect_no_line /proc/self/mountinfo ' /sys/.* fuse.memhp '
