#!/bin/sh
# lsmem --sysroot reads a mounted tree without any namespace, and sees it change.
. "$(dirname "$0")/lib.sh"
need lsmem
up root/sys --nodes 2 --memory 512M --dimm 256M@1
lsmem --sysroot root --raw --output RANGE,STATE,NODE,ZONES --split STATE,NODE,ZONES >out
expect_line out "^0x0000000000000000-0x0000000007ffffff online 0 "
expect_line out "^0x0000000020000000-0x000000003fffffff online 1 DMA32$"
expect_line out "^0x0000000100000000-0x000000010fffffff offline 1 Normal/Movable$"
echo online_movable >root/sys/devices/system/memory/memory32/state
lsmem --sysroot root --raw --output RANGE,STATE,NODE,ZONES --split STATE,NODE,ZONES >out
expect_line out "^0x0000000100000000-0x0000000107ffffff online 1 Movable$"
