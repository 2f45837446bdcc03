#!/bin/sh
# lsmem lists the machine's blocks, nodes and zones at the real paths.
. "$(dirname "$0")/lib.sh"
need lsmem
memhp run --nodes 2 --memory 1G --dimm 512M@1 -- sh -c '
  lsmem --raw --output RANGE,SIZE,STATE,NODE,BLOCK --split STATE,NODE
  echo offline > /sys/devices/system/memory/memory3/state
  lsmem --summary=only --bytes' >out
expect "blocks" "$(head -n 4 out)" "RANGE SIZE STATE NODE BLOCK
0x0000000000000000-0x000000003fffffff 1G online 0 0-7
0x0000000040000000-0x000000007fffffff 1G online 1 8-15
0x0000000100000000-0x000000011fffffff 512M offline 1 32-35"
expect_line out "^Memory block size: +134217728$"
expect_line out "^Total online memory: +2013265920$"
expect_line out "^Total offline memory: +671088640$"
