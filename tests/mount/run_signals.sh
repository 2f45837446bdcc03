#!/bin/bash
# A signal sent to memhp run reaches its command, with what it makes of it.
. "$(dirname "$0")/lib.sh"
for signal in TERM INT HUP USR1 USR2 WINCH; do
  rm -f ready got
  # A shell's background command ignores SIGINT, and so would what it starts.
  background env --default-signal "$MEMHP" run --memory 512M --commit touch -- \
    bash -c "trap 'echo $signal >got; exit 7' $signal; echo >ready; while :; do sleep 0.05; done"
  eventually test -e ready
  kill -s $signal "$pid"
  status=0
  wait "$pid" || status=$?
  expect "exit status after SIG$signal" $status 7
  expect "what the trap saw" "$(cat got)" $signal
done
background memhp run --memory 512M --commit touch -- sh -c 'echo >ready2; exec sleep 1000'
eventually test -e ready2
kill -TERM "$pid"
status=0
wait "$pid" || status=$?
expect "exit status of a command without a trap" $status 143
