#!/bin/bash
# memhp stress: workers of every kind find nothing wrong with the default machine, leave a
# running one as it was, and find what is wrong with the machine of a kernel that had a bug.
. "$(dirname "$0")/lib.sh"
everything=mix=3,dimm=1,cpu=1,slab=1,list=1,scan=1,signal=1@100

# A machine of its own.
status_of memhp stress --workers "$everything" --calls 300 --seed 7 --quiet --json figures \
  --junit findings.xml --record log
expect "exit status ($(cat out err))" $status 0
expect_line out "^no finding, seed 7$"
expect_line figures '"online": \{'
expect_line findings.xml 'failures="0"'

# What is recorded can be done again.
status_of memhp stress --replay log --quiet
expect "exit status of a replay ($(cat out err))" $status 0
expect_line out "^[1-9][0-9]* calls in " # ejects find other DIMMs plugged, or none

# A machine that runs is left as it was.
up hp --dimm 1G@0 --commit touch
echo online_movable >hp/devices/system/memory/memory33/state
state() { (cd hp && grep . devices/system/memory/memory*/state devices/system/memory/memory*/valid_zones && ls devices/system/memory); }
state >before
mkdir plots
status_of memhp stress --tree hp --faults --workers "$everything" --calls 100 --quiet --plot plots
expect "exit status ($(cat out err))" $status 0
state >after
cmp before after || fail "the machine is not as it was: $(diff before after)"
expect_line plots/throughput.svg "^<svg .*"
expect_line plots/latency.svg "^<polyline"

# The last kernel before seed 000.
status_of memhp stress --era 5666848774ef --workers mix=2,dimm=1 --time 5s --quiet
expect "exit status with a bug ($(cat out err))" $status 1
expect_line out "^FINDING the kernel complains: WARNING: possible circular locking"
expect_line out "again: memhp stress --.*--era 5666848774ef"

# Nonsense ends before anything is touched.
while IFS='|' read -r options must_say; do
  # shellcheck disable=SC2086 # the words of the table
  status_of memhp stress $options
  expect "exit status of $options" $status 2
  expect "standard output of $options" "$(cat out)" ""
  expect_one_line err
  grep -Eq -- "$must_say" err || fail "$options: $(cat err)"
done <<'TABLE'
--workers fly=1|write one of probe
--workers online=0|COUNT from 1
--workers online=2@x|COUNT from 1
--time soon|such as 60s
--seed x|number
--blocks 1-|0,3-5
--tree /nowhere|No such file
--tree /tmp|no hotplug tree
--tree /sys|--i-know-this-is-the-real-kernel
--tree /sys --i-know-this-is-the-real-kernel|needs --blocks
--tree hp --nodes 2|leave out
--shrink x|--replay
--replay before|no log
--plot nowhere|mkdir -p
TABLE
