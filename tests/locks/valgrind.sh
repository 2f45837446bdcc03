#!/bin/sh
# The locks under memcheck: nothing is read before it is written or after it is freed, and
# no memory is lost. There is no rseq then, so readers count in rows of their threads, which
# come and go with them.
#   valgrind.sh LOCKS_TEST
set -eu
[ -x "$1" ] || { echo "$1 is not built"; exit 1; }
command -v valgrind >/dev/null || { echo "SKIPPED: valgrind is not installed"; exit 77; }
# Not those that fork, or take their time: one thread runs at a time here.
exec valgrind --quiet --fair-sched=yes --error-exitcode=1 --leak-check=full "$1" \
  --gtest_filter='PercpuRwSemaphore.*:PercpuArena.*:PercpuCounter.*:Mutex.*:Completion.*:WaitQueue.*'
