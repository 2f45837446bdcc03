#!/bin/sh
# stress-ng --memhotplug takes blocks offline and online again; the machine stands it.
# It counts what it tries as done, so that blocks came and went shows in the uevents only.
. "$(dirname "$0")/lib.sh"
need stress-ng
memhp run --memory 1G --dimm 256M@0 --auto-online online_movable -- sh -c '
  stress-ng --memhotplug 2 --memhotplug-ops 20 --timeout 20 --metrics-brief 2>&1
  cat /sys/devices/system/memory/memory*/state | sort | uniq -c
  for action in offline online; do
    echo "$action: $(grep -c "^$action@/devices/system/memory/memory" \
      /sys/kernel/debug/memhp/uevents)"
  done
  "$1" stat --json' sh "$MEMHP" >out
expect_line out "stress-ng: info: .* successful run completed"
expect_no_line out "going-offline$"
writes=$(sed -n 's/^ *"write": \([0-9]*\).*/\1/p' out)
[ "$writes" -ge 20 ] || fail "only $writes writes reached the machine"
expect_line out '^ *"going-offline": 0'
for action in offline online; do
  expect_line out "^$action: [1-9]"
done
