#!/bin/sh
# stress-ng --memhotplug takes blocks offline and online again; the machine stands it.
. "$(dirname "$0")/lib.sh"
need stress-ng
memhp run --memory 1G --dimm 256M@0 --auto-online online_movable -- sh -c '
  stress-ng --memhotplug 2 --memhotplug-ops 20 --timeout 20 --metrics-brief 2>&1
  cat /sys/devices/system/memory/memory*/state | sort | uniq -c
  "$1" stat --json' sh "$MEMHP" >out
expect_line out "stress-ng: info: .* successful run completed"
expect_no_line out "going-offline$"
writes=$(sed -n 's/^ *"write": \([0-9]*\).*/\1/p' out)
[ "$writes" -ge 20 ] || fail "only $writes writes reached the machine"
expect_line out '^ *"going-offline": 0'
