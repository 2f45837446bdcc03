#!/bin/sh
# numastat -m shows each node's memory.
. "$(dirname "$0")/lib.sh"
need numastat
memhp run --nodes 2 --memory 512M -- sh -c '
  numastat -m; cat /sys/devices/system/node/node1/meminfo
  echo offline > /sys/devices/system/memory/memory5/state; numastat -m' >out
expect_line out "^ +Node 0 +Node 1 +Total$"
total_mb=$(awk '/Node 1 MemTotal/ {printf "%.2f", $4 / 1024}' out)
expect "total of node 1" "$(awk '/^MemTotal/ {print $3; exit}' out)" "$total_mb"
expect "total of node 1 with a block less" "$(awk '/^MemTotal/ {last = $3} END {print last}' out)" \
  "$(awk "BEGIN {printf \"%.2f\", $total_mb - 128}")"
