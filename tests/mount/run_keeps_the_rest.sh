#!/bin/sh
# What is not the machine's stays the host's: no link of the host leads nowhere inside, and
# its ACPI devices stand beside the machine's, in the tree and on the bus.
. "$(dirname "$0")/lib.sh"
acpi=/sys/devices/LNXSYSTM:00/LNXSYBUS:00
bus=/sys/bus/acpi/devices
cat >look <<'EOF'
find /sys -maxdepth 6 -xtype l 2>/dev/null | sort >"$1.dangling"
ls "$2" >"$1.acpi" 2>/dev/null
for link in "$3"/*; do echo "${link##*/} $(readlink "$link")"; done |
  grep -v "PNP0C80:\|/PNP0A06:04/\|/ACPI0012:00/" >"$1.bus" # but the replaced ones
EOF
sh look outside "$acpi" "$bus"
memhp run --memory 256M --dimm 128M@0 --dax 128M@0 -- sh -c '
  sh look inside "$1" "$2"
  echo "size=128M node=0" >/sys/kernel/debug/memhp/plug_dax
  readlink -e /sys/bus/dax/devices/dax1.0 >dax1
  echo "size=128M node=0" >/sys/kernel/debug/memhp/plug_dimm
  cd "$2"
  readlink -e PNP0C80:00 PNP0C80:01
  head -n 1 PNP0C80:01/subsystem/devices/PNP0C80:01/hid' - "$acpi" "$bus" >dimms
expect "links that lead nowhere inside alone" \
  "$(comm -13 outside.dangling inside.dangling)" ""
memhp run --memory 256M --cpus 1 -- sh look one_cpu "$acpi" "$bus"
expect "links that lead nowhere on a machine with one CPU" \
  "$(comm -13 outside.dangling one_cpu.dangling)" ""
memhp run --memory 256M --cpus 4 -- ls /sys/bus/cpu/devices >cpus
expect "the bus of the CPUs" "$(tr '\n' ' ' <cpus)" "cpu0 cpu1 cpu2 cpu3 "
expect "ACPI devices of the host that are missing" \
  "$(comm -23 outside.acpi inside.acpi)" ""
expect "the host's links on the bus" "$(cat inside.bus)" "$(cat outside.bus)"
expect_line inside.acpi '^PNP0A06:04$'
expect "a dax device that comes later" "$(cat dax1)" \
  "$acpi/ACPI0012:00/ndbus0/region1/dax1.1/dax1.0"
expect "DIMMs, one of them plugged later" "$(cat dimms)" "$acpi/PNP0A06:04/PNP0C80:00
$acpi/PNP0A06:04/PNP0C80:01
PNP0C80"
