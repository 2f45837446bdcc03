#!/bin/bash
# A slab cache is created, filled, tuned and destroyed from a shell, and the block that its
# objects are in cannot go offline meanwhile; rcutorture's two threads run side by side.
. "$(dirname "$0")/lib.sh"
memhp run --nodes 2 --memory 256M --node-cpus '0;1' -- bash -c '
  debug=/sys/kernel/debug/memhp
  memory=/sys/devices/system/memory
  echo "box size=512 debug=U" > $debug/kmem_cache_create
  cd /sys/kernel/slab/box
  echo "$(stat -c %a min_partial objects | xargs) $(cat object_size store_user | xargs)"
  echo "box 3 node=1" > $debug/kmem_cache_alloc; cat objects
  echo offline > $memory/memory2/state; echo "with objects $?"
  echo box > $debug/kmem_cache_destroy; echo "destroyed $?"
  echo 7 > min_partial; cat min_partial
  echo "box 3" > $debug/kmem_cache_free
  echo 1 > shrink; cat slabs
  echo offline > $memory/memory2/state; echo "without $?"
  cd /
  echo box > $debug/kmem_cache_destroy; echo "destroyed $?"
  while [ -e /sys/kernel/slab/box ]; do sleep 0.01; done
  # Both in a process of their own: the end of one is a signal (SIGCHLD) for the shell, and
  # a signal interrupts a long write.
  echo 50 > $debug/torture_onoff & onoff=$!
  echo 50 > $debug/torture_stats & stats=$!
  wait $stats; echo "stats $?"
  wait $onoff; echo "onoff $? $(cat /sys/devices/system/cpu/online)"' >out 2>err
expect "the steps" "$(cat out)" "600 400 512 1
3 N1=3
with objects 1
destroyed 1
7
0
without 0
destroyed 0
stats 0
onoff 0 0-1"
expect "the errors" "$(sed 's/.*write error: //' err)" "Device or resource busy
Device or resource busy"
