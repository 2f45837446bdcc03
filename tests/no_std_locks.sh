#!/bin/sh
# no_std_locks.sh DIR...: the sources there lock, wait and wake through locks/ only, so that
# the validator sees every order. Fails, and names the line, if a lock of the standard
# library or of pthreads is used.
set -u
words='std::(recursive_|timed_|recursive_timed_|shared_|shared_timed_)?mutex\b|std::condition_variable|std::(counting|binary)_semaphore|std::(latch|barrier|call_once|future|promise|async)\b|pthread_(mutex|rwlock|cond|spin|barrier)_|\bsem_(wait|post|init)\b|SYS_futex|#include <(condition_variable|shared_mutex|semaphore|latch|barrier|future)>'
looked_at=0
bad=0
for dir in "$@"; do
  for file in $(find "$dir" -name '*.h' -o -name '*.cc'); do
    looked_at=$((looked_at + 1))
    # Comments may name them.
    if sed 's,//.*,,' "$file" | grep -nE "$words"; then
      echo "$file: uses what the lines above name; take a lock of locks/"
      bad=1
    fi
  done
done
[ "$looked_at" -gt 0 ] || { echo "no sources given"; exit 1; }
[ "$bad" -eq 0 ] && echo "$looked_at files: no lock but ours"
exit "$bad"
