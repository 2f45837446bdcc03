#!/bin/bash
# memhp stress --faults: every fault happens and is seen, nothing is lost or wedged by it,
# and its error is a finding for who did not ask for it.
. "$(dirname "$0")/lib.sh"
up hp --dimm 1G@0 --commit touch
debug=hp/kernel/debug/memhp
memory=hp/devices/system/memory
state() { (cd hp && grep . devices/system/memory/memory*/state devices/system/memory/memory*/valid_zones && ls devices/system/memory); }
state >before

status_of memhp stress --tree hp --workers mix=4,signal=1@1000 --calls 1500 --quiet --json figures \
  --faults veto=0.1,enomem=0.2,slow-populate=1ms@0.1,slow-migrate=1ms@0.1,stop=20ms@1
expect "exit status ($(cat out err))" $status 0
for fault in veto enomem slow-populate slow-migrate stop; do
  expect_line figures "\"$fault\": [1-9]"
done
expect_line figures '"EPERM": [1-9]'
expect_line figures '"ENOMEM": [1-9]'
state >after
cmp before after || fail "the machine is not as it was: $(diff before after)"
for fault in fail_notifier fail_populate slow_populate slow_migrate; do
  expect "$fault afterwards" "$(cat $debug/$fault/probability)" 0
done

# Nobody asked for it.
echo -1 >$debug/fail_notifier/times
echo 50 >$debug/fail_notifier/probability
status_of memhp stress --tree hp --workers switch=2 --calls 50 --quiet
expect "exit status with a fault of somebody else" $status 1
expect_line out "^FINDING switch .*: answered EPERM, which it never may"
echo 0 >$debug/fail_notifier/probability

# A slow migration shows going-offline and ends with a signal.
echo 1 >$memory/memory32/online # whatever the run before could bring back
echo 1 >$debug/slow_migrate/times
echo 10000 >$debug/slow_migrate/delay_ms
echo 100 >$debug/slow_migrate/probability
background bash -c "exec 2>error; trap : USR1; echo offline >$memory/memory32/state"
# Not grep: one that opens the file before the store begins, then looks for holes, waits.
goes_offline() { read -r now <$memory/memory32/state && [ "$now" = going-offline ]; }
is_online() { read -r now <"$1/state" && [ "$now" = online ]; }
eventually goes_offline
kill -USR1 "$pid"
! wait "$pid" || fail "an interrupted offline succeeded"
expect_line error "Interrupted system call"
expect "the state after the signal" "$(cat $memory/memory32/state)" online
echo offline >$memory/memory32/state # times is used up

# Who is asked to end waits for the calls that are under way; who is asked again does not,
# and its faults end with it all the same.
echo online >$memory/memory32/state
background memhp stress --tree hp --workers offline=1 --blocks 32 --time 60s --stuck 900s --quiet \
  --faults slow-migrate=10s@1 >out
eventually goes_offline
ends_when_asked_again() { kill "$pid" 2>/dev/null || true; is_gone "$pid"; }
eventually ends_when_asked_again
status=0
wait "$pid" || status=$?
expect "exit status when asked twice" $status 1
expect_line out "^FINDING offline 0: offline on block 32: has not come back for"
expect "slow_migrate afterwards" "$(cat $debug/slow_migrate/probability)" 0
eventually is_online $memory/memory32
echo offline >$memory/memory32/state

# A terminal that is closed leaves no machine stopped.
machine=$(figure pid hp)
background memhp stress --tree hp --workers read=1 --time 60s --faults stop=300ms@1 --quiet >out
eventually grep -q "^State:.T" "/proc/$machine/status"
kill -HUP "$pid"
eventually is_gone "$pid"
! grep -q "^State:.T" "/proc/$machine/status" || fail "the machine is stopped"

# A slow host and one without memory.
for fault in slow_populate fail_populate; do
  echo 1 >$debug/$fault/times
  echo 100 >$debug/$fault/probability
done
! bash -c "echo online >$memory/memory32/state" 2>error || fail "an online without memory succeeded"
expect_line error "Cannot allocate memory"
expect "what is left of it" "$(cat $debug/fail_populate/times $debug/slow_populate/times)" "0
0"
echo online >$memory/memory32/state

while IFS='|' read -r faults must_say; do
  # shellcheck disable=SC2086 # the words of the table
  status_of memhp stress --tree hp --faults $faults
  expect "exit status of $faults" $status 2
  expect_one_line err
  grep -Eq -- "$must_say" err || fail "$faults: $(cat err)"
done <<'TABLE'
fire=1|write veto, enomem
veto=2|PROBABILITY, at most 1
stop=0.5|stop=TIME@PROBABILITY
veto=1,veto=1|twice
slow-migrate=2s@1 --stuck 20s|--stuck 20s: .* 24 s
TABLE
