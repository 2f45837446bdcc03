#!/bin/bash
# A CPU goes offline and comes back through its file, and every list of CPUs follows.
. "$(dirname "$0")/lib.sh"
memhp run --nodes 2 --memory 256M --node-cpus '0,2;1,3' -- bash -c '
  cd /sys/devices/system
  show() { echo "$1: $(cat cpu/online) / $(cat cpu/offline) / $(cat node/node1/cpulist)"; }
  show start
  echo 0 > cpu/cpu1/online && echo "cpu1 $(cat cpu/cpu1/online)"; show down
  [ -e cpu/cpu1/topology ] || echo "no topology"
  echo 0 > cpu/cpu3/online; show both; cat node/has_cpu
  echo 1 > cpu/cpu1/online; echo 1 > cpu/cpu3/online; show up
  [ -e cpu/cpu0/online ] || echo "cpu0 stays"
  echo 2 > cpu/cpu1/online
  grep -c "^o[a-z]*@/devices/system/cpu" /sys/kernel/debug/memhp/uevents' >out 2>err
expect "the lists" "$(cat out)" "start: 0-3 /  / 1,3
cpu1 0
down: 0,2-3 / 1 / 3
no topology
both: 0,2 / 1,3 / 
0
up: 0-3 /  / 1,3
cpu0 stays
4"
expect "the error" "$(sed 's/.*write error: //' err)" "Invalid argument"
