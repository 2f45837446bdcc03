#!/bin/sh
# In every restartable sequence of a program, the gate is looked at through a register
# that the sequence does not write before: a compiler once gave it one, and the readers of
# that function looked at their counter in its place.
#   sequences.sh PROGRAM
set -eu
[ -f "$1" ] || { echo "$1 is not built"; exit 1; }
objdump -d --no-show-raw-insn "$1" | awk '
  /^[0-9a-f]+ <.*>:$/ { function_name = $2 }
  # Where the sequence is announced: mov SCRATCH,%fs:8(rseq), or %fs: and a constant.
  /mov +%[a-z0-9]+,%fs:0x[0-9a-f][0-9a-f]?[0-9a-f]?(\(%[a-z0-9]+\))?$/ {
    split($0, half, /mov +/)
    scratch = half[2]
    sub(/,.*/, "", scratch)
    next
  }
  scratch != "" && /[ \t]incq / { counted = 1; next }
  counted {
    found++
    if (index($0, "(" scratch) || index($0, scratch ",")) {
      print function_name " " $0
      bad = 1
    }
    if ($0 !~ /cmpl +\$0x[01],/) {
      print function_name " does not look at a gate:" $0
      bad = 1
    }
    scratch = ""
    counted = 0
  }
  END {
    print found + 0 " sequences"
    exit bad || found < 2
  }'
