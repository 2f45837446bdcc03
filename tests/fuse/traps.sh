#!/bin/sh
# traps.sh TESTS: README.md here numbers the traps without a gap, and every test that it
# names exists below TESTS.
set -eu
tests=$1
table=${2:-$tests/fuse/README.md}
status=0
complain() { echo "$*" >&2; status=1; }

next=1
for number in $(sed -n 's/^| \([0-9][0-9]*\) |.*/\1/p' "$table"); do
  [ "$number" -eq "$next" ] || complain "trap $number where $next should be"
  next=$((number + 1))
done
[ "$next" -eq 13 ] || complain "$((next - 1)) traps of 12"
! grep -E '^\| [0-9]+ \|.*\| *\|$' "$table" || complain "a trap without a test"

for name in $(grep -oE '`[A-Z][A-Za-z]+\.[A-Z][A-Za-z0-9]+`' "$table" | tr -d '`' | grep -v '^X\.'); do
  grep -qE "^TEST(_F)?\(${name%%.*}, ${name#*.}\)" "$tests"/fuse/*_test.cc ||
    complain "no test $name"
done
for name in $(grep -oE '`mount\.[a-z_]+`' "$table" | tr -d '`' | grep -v '\.x$'); do
  [ -e "$tests/mount/${name#mount.}.sh" ] || complain "no test $name"
done
exit $status
