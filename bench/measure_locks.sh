#!/bin/sh
# All figures of the locks, on this machine as it is, in one command:
#   bench/measure_locks.sh [DIRECTORY [OPTION...]]
# DIRECTORY (default build/lock_figures) gets locks.md (the tables and targets of
# locks_bench and lockdep_bench), locks.csv, locks.json, lockdep.csv, lockdep.json and a
# picture of the scaling curve for each placement of threads. OPTIONs go to both programs.
# Some eight minutes on two CPUs; keep everything else away from the machine meanwhile.
set -eu
cd "$(dirname "$0")/.."
out=${1:-build/lock_figures}
[ $# -eq 0 ] || shift
bench=build/release/bench
mkdir -p "$out"
"$bench/locks_bench/locks_bench" --markdown --csv "$out/locks.csv" \
  --json "$out/locks.json" "$@" >"$out/locks.md"
"$bench/lockdep_bench/lockdep_bench" --markdown --csv "$out/lockdep.csv" \
  --json "$out/lockdep.json" "$@" >"$out/lockdep.md"
{ printf '\n'; cat "$out/lockdep.md"; } >>"$out/locks.md"
rm "$out/lockdep.md"
python3 bench/plot.py "$out/locks.csv" "$out/read_pair.svg"
for placement in "one socket" "across sockets"; do
  if grep -q "^read pair,.*,$placement," "$out/locks.csv"; then
    python3 bench/plot.py "$out/locks.csv" \
      "$out/read_pair_$(printf %s "$placement" | tr ' ' _).svg" "$placement"
  fi
done
cat "$out/locks.md"
