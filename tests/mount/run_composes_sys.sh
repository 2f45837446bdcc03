#!/bin/bash
# Where the host's /sys lacks the machine's directories, or is read-only, they appear in a
# composed one, beside everything else that the host has.
. "$(dirname "$0")/lib.sh"
is_root || skip "only root can take directories away from /sys; as root this runs"
unshare -m bash -eu -c '
  mount --make-rprivate /
  mkdir keep
  mount --rbind /sys keep
  mount -t tmpfs poor /sys
  mkdir -p /sys/bus/cpu /sys/devices/system/cpu /sys/kernel
  echo 42 >/sys/kernel/answer
  ln -s ../bus /sys/devices/bus
  mount -o remount,ro /sys
  "$0" run --nodes 2 --memory 512M -- sh -c "
    ls /sys/bus /sys/devices/system /sys/kernel
    cat /sys/kernel/answer /sys/devices/system/memory/memory3/state
    readlink /sys/devices/bus
    lsmem --summary=only | head -n 2 | tail -n 1"
  find /sys -xdev | sort' "$MEMHP" >out 2>err || fail "$(cat out err)"
expect "both together" "$(sed '/^\/sys$/,$d' out)" "/sys/bus:
acpi
cpu
dax
memory
node

/sys/devices/system:
cpu
memory
node

/sys/kernel:
answer
debug
slab
42
online
../bus
Total online memory:       1G"
expect "the host afterwards" "$(sed -n '/^\/sys$/,$p' out)" "/sys
/sys/bus
/sys/bus/cpu
/sys/devices
/sys/devices/bus
/sys/devices/system
/sys/devices/system/cpu
/sys/kernel
/sys/kernel/answer"
