#!/bin/sh
# What is not the machine's stays the host's: no link of the host leads nowhere inside, and
# its ACPI devices stand beside the machine's.
. "$(dirname "$0")/lib.sh"
acpi=/sys/devices/LNXSYSTM:00/LNXSYBUS:00
cat >look <<'EOF'
find /sys -maxdepth 6 -xtype l 2>/dev/null | sort >"$1.dangling"
ls "$2" >"$1.acpi" 2>/dev/null
EOF
sh look outside "$acpi" || true # a host without ACPI
memhp run --memory 256M --dimm 128M@0 --dax 128M@0 -- sh -c '
  sh look inside "$1"
  echo "size=128M node=0" >/sys/kernel/debug/memhp/plug_dax
  readlink -e /sys/bus/dax/devices/dax1.0 >dax1' - "$acpi"
expect "links that lead nowhere inside alone" \
  "$(comm -13 outside.dangling inside.dangling)" ""
expect "ACPI devices of the host that are missing" \
  "$(comm -23 outside.acpi inside.acpi)" ""
expect_line inside.acpi '^PNP0A06:04$'
expect "a dax device that comes later" "$(cat dax1)" \
  "$acpi/ACPI0012:00/ndbus0/region1/dax1.1/dax1.0"
