#!/bin/bash
# A daemon that was killed leaves a dead mount at most: memhp up replaces it and says so,
# memhp down removes it.
. "$(dirname "$0")/lib.sh"
kill_both() {
  keeper=$(figure keeper hp)
  worker=$(figure pid hp)
  kill -STOP "$worker" # so that it cannot notice the other one's end
  kill -9 "$keeper"
  kill -9 "$worker"
  eventually is_gone "$worker"
  is_mounted "$scratch/hp" || fail "the mount is gone, nothing to test"
}
up "$scratch/hp" --memory 512M --log first.log
kill_both
up "$scratch/hp" --memory 1G --log second.log
expect_line second.log "dead.*replaced"
expect "blocks of the second machine" "$(ls -d hp/devices/system/memory/memory[0-9]* | wc -l)" 8
expect "mounts" "$(grep -c " $scratch/hp " /proc/self/mountinfo)" 1
kill_both
status_of memhp down --mount hp
expect "exit status" $status 0
expect_line err "was dead; cleaned up"
is_not_mounted "$scratch/hp" || fail "still mounted"
no_figures "$scratch/hp" || fail "the figures are still there"
