#!/bin/sh
# What a run does to its machine never reaches the host's own tree.
. "$(dirname "$0")/lib.sh"
host() { cd /sys/devices/system && grep -rs . memory/*/state memory/auto_online_blocks node/online node/node*/meminfo | grep -v ' k[Bb]$'; cd "$scratch"; }
[ -d /sys/devices/system/memory ] || skip "the host has no memory blocks to compare"
host >before
memhp run --memory 1G --dimm 512M@0 -- sh -c '
  cd /sys/devices/system/memory
  echo online >auto_online_blocks
  for block in 1 2 3; do echo offline >memory$block/state; done
  cat memory2/state'  >out
expect "inside" "$(cat out)" "offline"
host | diff before - || fail "the host has changed"
