#!/bin/sh
# numactl shows the nodes, their CPUs and distances, and sizes that follow the blocks.
. "$(dirname "$0")/lib.sh"
need numactl
memhp run --nodes 3 --memory 512M --node-cpus '0;1;' --distances '10,15,30;15,10,25;30,25,10' -- \
  sh -c 'numactl -H; echo offline > /sys/devices/system/memory/memory5/state; numactl -H' >out
expect_line out "^available: 3 nodes \(0-2\)$"
expect_line out "^node 0 cpus: 0$"
expect_line out "^node 1 cpus: 1$"
expect_line out "^node 2 cpus:$"
expect "distances" "$(sed -n '/node distances/,$p' out | head -n 5 | tr -s ' ')" "node distances:
node 0 1 2 
 0: 10 15 30 
 1: 15 10 25 
 2: 30 25 10 "
before=$(sed -n 's/^node 1 size: \([0-9]*\) MB$/\1/p' out | head -n 1)
after=$(sed -n 's/^node 1 size: \([0-9]*\) MB$/\1/p' out | tail -n 1)
expect "size of node 1 after one block went offline" "$after" $((before - 128))
