#!/bin/bash
# daxctl, unmodified, makes system RAM of a dax device and takes it back: the program whose
# unit test found the deadlock of seed 000.
#
# daxctl finds a device by the numbers of /dev/daxN.M, which the machine does not have: the
# test shows it another device node there, and at /sys/dev/char. What it then does to the
# machine is sysfs alone. Not possible is what opens the node: mapping the memory
# (`daxctl io`), and making devices (`create-device`), which a static region refuses.
. "$(dirname "$0")/lib.sh"
need daxctl
cat >steps <<'STEPS'
set -eu
real=/sys/devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00/ndbus0/region0/dax0.1/dax0.0
numbers=$(stat -c %Hr:%Lr /dev/null)
mkdir host-dev
mount --rbind /dev host-dev
mount -t tmpfs -o mode=755 memhp-dev /dev
for node in null dax0.0; do
  : >>/dev/$node
  mount --bind host-dev/null /dev/$node
done
mount -t tmpfs memhp-char /sys/dev/char
ln -s "../..${real#/sys}" "/sys/dev/char/$numbers"

mode() { daxctl list | sed -n 's/.*"\(mode\|online_memblocks\|total_memblocks\)":"*\([^",]*\).*/\2/p' | xargs; }
blocks() { cat /sys/devices/system/memory/memory3[23]/state 2>/dev/null | xargs; }
say() { echo "$1: $(mode) / $(blocks)"; }
say start
daxctl list -M | grep -c '"start":4294967296'
daxctl reconfigure-device --mode=system-ram dax0.0 >/dev/null && say ram
cat /sys/devices/system/memory/memory32/valid_zones
daxctl reconfigure-device --mode=devdax dax0.0 >/dev/null || echo "refused while online"
daxctl offline-memory dax0.0 >/dev/null && say offline
daxctl online-memory --no-movable dax0.0 >/dev/null && say online
cat /sys/devices/system/memory/memory32/valid_zones
daxctl reconfigure-device --force --mode=devdax dax0.0 >/dev/null && say devdax
daxctl disable-device dax0.0 >/dev/null && say disabled
daxctl enable-device dax0.0 >/dev/null && say enabled
daxctl reconfigure-device --no-online --mode=system-ram dax0.0 >/dev/null && say no-online
STEPS
memhp run --nodes 2 --memory 512M --dax 256M@1 --log "$scratch/run.log" -- bash steps >out 2>err ||
  fail "the steps: $(cat out err)"
expect "the steps" "$(cat out)" "start: devdax / 
1
ram: system-ram 2 2 / online online
Movable
refused while online
offline: system-ram 0 2 / offline offline
online: system-ram 2 2 / online online
Normal
devdax: devdax / 
disabled: devdax / 
enabled: devdax / 
no-online: system-ram 0 2 / offline offline"
