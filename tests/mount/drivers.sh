#!/bin/bash
# The other ways in which memory comes and goes, with echo: dax and kmem, the balloons of
# Hyper-V and Xen, memtrace of powernv, dlpar of pseries.
. "$(dirname "$0")/lib.sh"
cat >words <<'WORDS'
memory=/sys/devices/system/memory
blocks() { cd $memory && for b in memory3[2-9]; do [ ! -e $b ] || echo -n "$b $(cat $b/state) "; done; cd /; }
say() { echo "$1: $(blocks)"; }
# Work of the kernel's own threads: until it shows.
until_is() { for _ in $(seq 500); do [ "$(eval "$1")" = "$2" ] && return; sleep 0.02; done; echo "never: $1 = $2"; }
WORDS

memhp run --memory 512M --dax 300M@0 -- bash -c '. ./words
  cd /sys/bus/dax/drivers
  echo dax0.0 > device_dax/unbind && echo dax0.0 > kmem/new_id; say kmem
  basename $(readlink /sys/bus/dax/devices/dax0.0/driver)
  tail -n 2 /sys/kernel/debug/memhp/proc/iomem
  echo dax0.0 > /sys/bus/dax/drivers/kmem/unbind; say unbound
  echo dax0.0 > /sys/bus/dax/drivers/kmem/bind
  echo online > $memory/memory33/state
  echo dax0.0 > /sys/bus/dax/drivers/kmem/unbind; say kept
  grep -c "cannot be hotremoved until the next reboot" /sys/kernel/debug/memhp/proc/kmsg
  echo dax0.0 > /sys/bus/dax/drivers/kmem/bind' >out 2>err || true
expect "dax" "$(cat out)" "kmem: memory32 offline memory33 offline 
kmem
  100000000-10fffffff : dax0.0
    100000000-10fffffff : System RAM (kmem)
unbound: 
kept: memory32 offline memory33 online 
1"
expect "its error" "$(sed 's/.*write error: //' err)" "Device or resource busy"

memhp run --memory 512M --platform hyperv -- bash -c '. ./words
  balloon=/sys/kernel/debug/memhp/hv_balloon
  echo "hot_add 0x100000000 65536" > $balloon
  until_is blocks "memory32 offline "
  echo online_movable > $memory/memory32/state
  until_is blocks "memory32 online memory33 offline "
  echo expire > $balloon
  until_is "tail -n 1 $balloon" "waiting 0"
  echo offline > $memory/memory32/state
  echo 32 > /sys/kernel/debug/memhp/remove_block; say hyperv' >out
expect "Hyper-V" "$(cat out)" "hyperv: memory33 offline "

memhp run --memory 512M --platform xen --auto-online online -- bash -c '. ./words
  cd /sys/devices/system/xen_memory/xen_memory0
  start=$(cat target_kb)
  echo $((start - 65536)) > target_kb
  until_is "cat $PWD/info/low_kb" 65536
  echo $((start + 131072)) > target_kb
  until_is "cat $PWD/info/current_kb" $((start + 131072)); say xen
  cat info/low_kb; ls /sys/bus/xen_memory/devices' >out
expect "Xen" "$(cat out)" "xen: memory32 online 
0
xen_memory0"

memhp run --nodes 2 --memory 512M -- bash -c '. ./words
  cd /sys/kernel/debug/powerpc/memtrace
  echo 0x8000000 > enable; cat enable
  ls; cat 0000000{0,1}/start 00000000/size
  [ -e $memory/memory3 ] || echo "memory3 is taken"
  echo 0 > enable; cat $memory/memory3/state; ls' >out
expect "memtrace" "$(cat out)" "0x0000000008000000
00000000
00000001
enable
0x0000000018000000
0x0000000030000000
0x0000000008000000
memory3 is taken
online
enable"

memhp run --memory 512M --platform pseries -- bash -c '. ./words
  cat /sys/kernel/dlpar
  echo "memory add count 2" > /sys/kernel/dlpar; say added
  echo "memory remove index 0x80000020" > /sys/kernel/dlpar; say removed
  echo "memory add indexed-count 3 0x80000020" > /sys/kernel/dlpar; say row
  echo "memory add count 9" > /sys/kernel/dlpar' >out 2>err || true
expect "pseries" "$(cat out)" "memory,cpu
added: memory32 online memory33 online 
removed: memory33 online 
row: memory32 online memory33 online memory34 online "
expect "its error" "$(sed 's/.*write error: //' err)" "Invalid argument"
