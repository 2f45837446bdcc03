#!/bin/bash
# Whoever is killed with SIGKILL, memhp, its worker or the command: nothing is left, no
# process, mount, shared memory or directory; and the same after a plain end.
. "$(dirname "$0")/lib.sh"
# What a run could leave. Processes are told by a variable that all of them inherit.
export MEMHP_TEST_MARK="$scratch"
left_processes() {
  grep -lsF "MEMHP_TEST_MARK=$scratch" /proc/[0-9]*/environ | cut -d/ -f3 |
    grep -vx "$$" | while read -r pid; do
      # Of ours only the test itself runs without a machine.
      [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = sleep ] && echo "$pid"
      grep -qs memhp "/proc/$pid/comm" && echo "$pid"
    done
  true
}
no_processes() { [ -z "$(left_processes)" ]; }
mounts_and_sys() { cut -d' ' -f 5- /proc/self/mountinfo; ls /dev/shm | grep '^memhp' || true; ls /sys/devices/system/memory; }
mounts_and_sys >before

# start: a run whose command has a background job and one that left its session.
start() {
  rm -f ready
  background memhp run --nodes 2 --memory 512M --commit touch -- sh -c \
    'sleep 1000 & setsid sh -c "sleep 1000 & exec sleep 1000" & echo $$ >ready.new; mv ready.new ready; exec sleep 1000'
  eventually test -e ready
  command=$(cat ready)
  worker=$(pgrep -P "$pid" -x memhp-worker)
}
ends_clean() {
  status=0
  wait "$pid" 2>/dev/null || status=$?
  eventually no_processes
  mounts_and_sys | diff before - || fail "$1 left something behind"
}

start
kill -9 "$pid"
ends_clean "a killed memhp"

start
kill -9 "$worker"
ends_clean "a killed worker"
expect "exit status after the worker was killed" "$status" 125

start
kill -9 "$command"
ends_clean "a killed command"
expect "exit status after the command was killed" "$status" 137

start
kill -TERM "$command"
ends_clean "a command that ended"
expect "exit status of a command that ended" "$status" 143
