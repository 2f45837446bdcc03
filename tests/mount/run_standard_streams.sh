#!/bin/sh
# memhp run leaves standard input and output to its command: pipes end when it ends.
. "$(dirname "$0")/lib.sh"
echo "through the pipe" | memhp run --memory 512M --commit touch -- cat | cat >out
expect "what came through" "$(cat out)" "through the pipe"
# The reader ends as soon as the command closes its output, with the command still there.
mkfifo fifo
cat >closes <<'CLOSES'
echo first
exec >&-
: >closed
sleep 1000
CLOSES
background sh -c 'exec "$MEMHP" run --memory 512M --commit touch -- sh closes >fifo'
expect "output until it was closed" "$(timeout "$deadline_s" cat fifo)" "first"
eventually test -e closed
kill -TERM "$pid"
