#!/bin/bash
# The daemon has nothing of its own mount open and stands nowhere in it, or it would wait
# for itself: not before a client comes, not beside clients that hold files, not while
# stores are parked.
. "$(dirname "$0")/lib.sh"
up "$scratch/hp" --memory 1G
memory=$scratch/hp/devices/system/memory
keeper=$(figure keeper hp)
worker=$(figure pid hp)

# Of every thread, since each may have a working directory of its own.
places() {
  for process in "$keeper" "$worker"; do
    for place in /proc/"$process"/task/*/cwd /proc/"$process"/task/*/root /proc/"$process"/fd/*; do
      echo "$place $(readlink "$place" || echo closed meanwhile)"
    done
  done
}
expect_outside() {
  places >places
  expect_line places "/fd/[0-9]+ /dev/fuse$" # it can be seen what they have open
  expect_line places "/cwd /$"
  ! grep -E " $scratch/hp(/|$)" places || fail "the daemon is in its own mount, $1"
}
expect_outside "when it has started"

exec 5<"$memory/memory3/state" 6>"$memory/memory3/online" 7<"$memory"
read -r state <&5
expect "state" "$state" online
ls -lR "$scratch/hp/devices" >/dev/null
expect_outside "beside open files"

pin() { echo 0x28000000 >"$scratch/hp/kernel/debug/memhp/page_$1"; }
pin pin
background bash -c "echo offline >$memory/memory5/state"
going_offline() { [ "$(cat "$memory/memory5/state")" = going-offline ]; } # no grep: it seeks
eventually going_offline
background bash -c "echo 1 >$memory/memory6/online"
both_parked() { [ "$(figure parked hp)" -eq 2 ]; }
eventually both_parked
expect_outside "while stores are parked"
pin unpin
for pid in $pids; do wait "$pid" || true; done
