#!/bin/bash
# Of a daemon's two processes each ends the machine and its mount when the other one is
# killed.
. "$(dirname "$0")/lib.sh"
for victim in pid keeper; do
  up "$scratch/hp" --memory 512M --log up.log
  keeper=$(figure keeper hp)
  worker=$(figure pid hp)
  killed=$(figure $victim hp)
  kill -9 "$killed"
  eventually is_gone "$keeper"
  eventually is_gone "$worker"
  eventually is_not_mounted "$scratch/hp"
  memhp stat --json --mount hp >out
  expect_line out '"alive": false'
  expect_line out '"dead_since": [1-9]'
done
expect_line up.log "ended by signal 9"
expect_line up.log "started this one is gone"
