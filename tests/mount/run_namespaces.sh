#!/bin/sh
# memhp run gives its command a mount namespace, a user namespace only without root, and
# leaves all others as they are; the tree is seen inside alone.
. "$(dirname "$0")/lib.sh"
list() { for ns in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$ns; done; }
list >outside
memhp run --memory 512M --commit touch -- sh -c '
  for ns in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$ns; done
  id -u >uid
  grep " /sys/.* fuse.memhp " /proc/self/mountinfo | cut -d " " -f 5 | sort -u >mounts' >inside
expect "uid inside" "$(cat uid)" 0
changed=$(diff outside inside | sed -n 's/^> \(.*\):.*/\1/p' | tr '\n' ' ')
if is_root; then
  expect "namespaces of its own" "$changed" "mnt "
else
  expect "namespaces of its own" "$changed" "mnt user "
fi
expect "mounts inside" "$(cat mounts)" "/sys/bus/acpi/devices
/sys/bus/cpu
/sys/bus/dax
/sys/bus/memory
/sys/bus/node
/sys/devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00
/sys/devices/LNXSYSTM:00/LNXSYBUS:00/PNP0A06:04
/sys/devices/system/cpu
/sys/devices/system/memory
/sys/devices/system/node
/sys/kernel/debug/memhp
/sys/kernel/debug/notifier-error-inject
/sys/kernel/debug/powerpc
/sys/kernel/slab
/sys/module/device_dax
/sys/module/kmem
/sys/module/memory_hotplug"
expect_no_line /proc/self/mountinfo ' /sys/.* fuse.memhp '
