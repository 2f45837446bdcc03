#!/bin/sh
# The percpu locks compiled for aarch64, which nothing here runs: their sequences are there,
# a reader's counts are releases and its looks acquires.
#   aarch64.sh COMPILER SOURCE
set -eu
compiler=$1
source=$2
out=$(mktemp -d "${TMPDIR:-/tmp}/memhp-aarch64.XXXXXX")
trap 'rm -rf "$out"' EXIT
compile() {
  "$compiler" -std=c++23 -O2 -Wall -Wextra -Wpedantic -Werror -DFMT_SHARED -I"$source" \
    -c "$source/$1" -o "$out/made.o"
}
for file in futex membarrier percpu_counter shared_percpu_count shared_percpu_rwsem percpu_rwsem; do
  compile "locks/$file.cc"
done
compile tests/locks/fast_path.cc
code=$("${compiler%g++}objdump" -d --no-show-raw-insn "$out/made.o")
for wanted in stlr ldar tpidr_el0; do
  found=$(printf '%s\n' "$code" | grep -cw "$wanted" || true)
  echo "$wanted $found times"
  [ "$found" -ge 2 ] || { printf '%s\n' "$code"; exit 1; }
done
