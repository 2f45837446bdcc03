# How scripts/mutants judges what is planted into locks/: by the tests that the head of the
# patch names, each run a few times.
#
# Test: PRESET PROGRAM FILTER [NAME=VALUE...]   in the head of a patch, once or more
#
# A mutant of which g++ makes the code it makes of the tree is none on this machine: its
# tests in `release` cannot see it and are not run. ThreadSanitizer goes by the source, so
# those in `tsan` are.

runs=3
# One that uses no CPU for so many seconds sleeps for ever; the machine may be busy.
asleep_s=4
most_run_s=90
# A race that ThreadSanitizer reports ends the run, so the test that ran is known.
export TSAN_OPTIONS=halt_on_error=1

tests_of() { sed -n 's/^Test: //p' "$@"; }

# build_for PATCH...: what their tests need of each preset.
build_for() {
  local preset programs
  for preset in release tsan; do
    programs=$(tests_of "$@" | awk -v p="$preset" '$1 == p { print $2 }' | sort -u)
    # What the compiler makes of the locks themselves, and of a read in its caller.
    [ "$preset" != release ] || programs="$programs memhp_locks locks_fast_path"
    # shellcheck disable=SC2086 # one word a program
    [ -z "$programs" ] ||
      cmake --build "$tree/build/$preset" --target $programs -- -j"$jobs" || return 1
  done
}

made_code() {
  (cd "$tree/build/release" &&
    find . -name '*.o' \( -path '*/memhp_locks.dir/*' -o -path '*/locks_fast_path.dir/*' \) |
    sort | xargs objdump -d --no-show-raw-insn)
}

# run_test PRESET PROGRAM FILTER [SETTINGS]: leaves the name of a test that fails, or
# nothing, in $failed.
run_test() {
  failed=
  # shellcheck disable=SC2086 # one word a setting
  quietly $most_run_s scripts/until_asleep $asleep_s env ${4:-MEMHP=} \
    "$tree/build/$1/tests/locks/$2" --gtest_brief=0 --gtest_fail_fast --gtest_filter="$3"
  [ $status -ne 0 ] || return 0
  failed=$(sed -n 's/^\[  FAILED  \] \([^ ,]*\).*/\1/p' "$copy/out" | head -n 1)
  [ -n "$failed" ] || failed=$(sed -n 's/^\[ RUN      \] //p' "$copy/out" | tail -n 1)
  [ $status -ne 137 ] || failed="$failed (hangs)"
}

prepare_locks() {
  local preset program filter setting
  for preset in release tsan; do
    (cd "$tree" && cmake --preset $preset -DMEMHP_BENCH=OFF -DMEMHP_LOCKS_ONLY=ON) >"$copy/out" 2>&1 ||
      die "$(cat "$copy/out")"
  done
  build_for "$@" >"$copy/out" 2>&1 || die "$(tail -n 30 "$copy/out")"
  made_code >"$copy/code"
  say "Without a bug nobody may find one"
  while read -r preset program filter setting; do
    run_test "$preset" "$program" "$filter" "$setting"
    [ -z "$failed" ] || die "$preset $program: $failed: $(tail -n 30 "$copy/out")"
  done < <(tests_of "$@" | sort -u)
  echo "| mutant | other code | found by, in how many of $runs runs |" >"$table"
  echo "|---|---|---|" >>"$table"
}

# judge_locks NAME PATCH: a line of the table in $line; false if nobody finds it.
judge_locks() {
  local other=yes found="" why preset program filter setting times by run
  build_for "$2" >"$copy/out" 2>&1 || {
    grep -m 3 error "$copy/out" || true
    line="| $1 | does not build | |"
    return 1
  }
  made_code >"$copy/mutant_code"
  ! cmp -s "$copy/mutant_code" "$copy/code" || other=no
  while read -r preset program filter setting; do
    [ "$other" = yes ] || [ "$preset" != release ] || continue
    times=0
    for ((run = 0; run < runs; ++run)); do
      run_test "$preset" "$program" "$filter" "$setting"
      [ -n "$failed" ] || continue
      times=$((times + 1))
      by=$failed
    done
    [ $times -eq 0 ] || found="$found; $preset $by $times"
  done < <(tests_of "$2")
  why=$(field Survives "$2")
  found=${found#; }
  line="| $1 | $other | ${found:-nobody${why:+: $why}} |"
  [ -n "$found$why" ]
}
