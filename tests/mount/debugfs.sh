#!/bin/sh
# kernel/debug is for the machine's owner alone, and its files, which show no size, are
# read and written as others.
. "$(dirname "$0")/lib.sh"
chmod 755 "$scratch"
up "$scratch/hp" --memory 512M
cd hp/kernel/debug
expect "mode and owner" "$(stat -c '%a %u' .)" "700 $(id -u)"
cd memhp
expect "size" "$(stat -c %s help plug_dimm ../powerpc/memtrace/enable | tr '\n' ' ')" "0 0 0 "
expect "help by cat" "$(cat help | wc -c)" "$(wc -c <help)"
cp help "$scratch/copy"
expect "help by cp" "$(wc -c <"$scratch/copy")" "$(wc -c <help)"
expect "help by tail" "$(tail -n 1 help)" "$(tail -n 1 "$scratch/copy")"
expect "help by grep" "$(grep -c plug_dimm help)" "$(grep -c plug_dimm "$scratch/copy")"
echo "size=128M node=0" >plug_dimm
expect "size after a write" "$(stat -c %s plug_dimm)" 0
expect "the DIMM" "$(cat ../../../devices/system/memory/memory32/state)" offline
cd "$scratch"

memhp run --memory 256M -- stat -c %a /sys/kernel/debug >mode
expect "mode in memhp run" "$(cat mode)" 700

is_root || exit 0
nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
expect "what everybody may read" "$(nobody cat hp/devices/system/memory/memory3/state)" online
status_of nobody cat hp/kernel/debug/memhp/help
expect "exit status of another user's look" $status 1
expect_line err "Permission denied"
