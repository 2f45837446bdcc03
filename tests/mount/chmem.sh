#!/bin/sh
# chmem takes blocks offline and brings them back, into the zone that it is told.
. "$(dirname "$0")/lib.sh"
need chmem lsmem
memhp run --memory 1G --dimm 512M@0 --kernel-blocks 0 -- sh -c '
  cd /sys/devices/system/memory
  chmem -v -d -b 3 && cat memory3/state
  chmem -e -z Movable -b 32 && cat memory32/state memory32/valid_zones
  chmem -v -e 256M && lsmem --raw -o RANGE,STATE,ZONES --split STATE,ZONES
  chmem -d -b 0 || echo "refused: $?"
  cat memory0/state' >out 2>err
expect_line out "^Memory Block 3 \(0x0000000018000000-0x000000001fffffff\) disabled$"
expect "states" "$(sed -n '2,4p' out)" "offline
online
Movable"
# 256M more: the two lowest blocks that are offline.
expect_line out "^Memory Block 3 .* enabled$"
expect_line out "^Memory Block 33 .* enabled$"
expect_line out "^0x0000000100000000-0x000000010fffffff online Movable$"
expect_line out "^0x0000000110000000-0x000000011fffffff offline "
expect_line err "0x0000000000000000-0x0000000007ffffff.* disable failed"
expect "memory0 and exit status" "$(tail -n 2 out)" "refused: 1
online"
