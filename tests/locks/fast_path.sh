#!/bin/sh
# A reader's lock and unlock: at most MOST instructions, none of them locked.
#   fast_path.sh OBJECT MOST
# Prints them. What lies behind the return is for writers that are about.
set -eu
[ -f "$1" ] || { echo "$1 is not built"; exit 1; }
code=$(objdump -d --no-show-raw-insn "$1" | awk '
  /<.*read_pair.*>:$/ { inside = 1; next }
  inside && /^[ ]+[0-9a-f]+:/ { print; if (/ret/) exit }')
# Without what any function does before and after: saving registers, moving its argument.
count=$(printf '%s\n' "$code" |
  grep -vcE '\<(ret|endbr64|push|pop|nop[wl]?)\>|,%rsp|mov +%rdi,|lea .*\(%rdi\)')
printf '%s\n\n%s instructions\n' "$code" "$count"
[ -n "$code" ] || { echo "read_pair is not in $1"; exit 1; }
[ "$count" -le "$2" ] || { echo "more than $2"; exit 1; }
if printf '%s\n' "$code" | grep -qE '\<(lock|xchg|mfence)\>'; then
  echo "one of them is locked"
  exit 1
fi
