#!/bin/sh
# The check that ends every test here sees each kind of lock report, in the words of every
# era, and nothing else; a test whose machine logged one fails.
. "$(dirname "$0")/lib.sh"
golden=$tests/../golden
logged() { sed 's/^/[2026-01-01 00:00:00.000] [info] kernel: /' "$@"; }

seen=0
for report in "$golden"/circular_*.txt "$golden"/recursive*.txt "$golden"/bad_unlock.txt \
  "$golden"/held_*.txt "$golden"/assert_held.txt; do
  logged "$report" >one_report
  lock_reports one_report >/dev/null || fail "a report is not seen: $report"
  seen=$((seen + 1))
done
[ "$seen" -ge 8 ] || fail "only $seen reports in $golden"
# "bad unlock balance" and the rest, as the old eras begin them.
logged "$golden/bad_unlock.txt" | sed 's/WARNING: \(.*\)/[ BUG: \1 ]/' >old_report
lock_reports old_report >/dev/null || fail "not seen: $(cat old_report)"

logged "$golden/proc_lockdep.txt" >no_report
echo "[info] kernel: offlining [mem 0x20000000-0x27ffffff] failed: unmovable page" >>no_report
echo "[info] memory: WARNING: no huge pages" >>no_report
! lock_reports no_report || fail "a report is seen where there is none"

# Such a test, in a shell of its own: its machine has logged what is in FILE.
# shellcheck disable=SC2016 # for that shell
test_with_log() {
  sh -c '. "$(dirname "$0")/lib.sh"; cp "$1" "$scratch/machine.log"' "$tests/a_test" \
    "$scratch/$1"
}
for report in "$golden/circular_4.10.txt" "$golden/circular_5.12.txt"; do
  logged "$report" >reported
  status_of test_with_log reported
  expect "exit status with $report" $status 1
  expect_line err "the validator complained"
done
status_of test_with_log no_report
expect "exit status without a report" $status 0
