#!/bin/bash
# SIGTERM and SIGINT end a daemon cleanly, with files open and in use; --foreground stays
# and tells a service manager when it is ready.
. "$(dirname "$0")/lib.sh"
need python3
for signal in TERM INT; do
  up "$scratch/hp" --memory 512M
  keeper=$(figure keeper hp)
  exec 7<hp/devices/system/memory/memory1/state
  background sh -c 'cd hp/devices && exec sleep 1000'
  eventually sh -c "readlink /proc/$pid/cwd | grep -q /hp/devices"
  kill -s $signal "$keeper"
  eventually is_gone "$keeper"
  is_not_mounted "$scratch/hp" || fail "still mounted after SIG$signal"
  no_figures "$scratch/hp" || fail "the figures are still there"
  exec 7<&-
done

cat >listen.py <<'PYTHON'
import socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind("notify")
listener.settimeout(20)
open("listening", "w").close()
for _ in range(2):
    print(listener.recv(4096).decode(), flush=True)
PYTHON
background python3 listen.py >told
listener=$pid
eventually test -e listening
background env NOTIFY_SOCKET="$scratch/notify" "$MEMHP" up --mount hp --memory 512M --foreground 2>foreground.log
eventually grep -q "^READY=1" told
expect_line told "^MAINPID=$pid$"
expect "a block, once ready" "$(cat hp/devices/system/memory/memory1/state)" "online"
kill -TERM "$pid"
status=0
wait "$pid" || status=$?
expect "exit status in the foreground" $status 0
wait "$listener"
expect_line told "^STOPPING=1"
expect_line foreground.log "unmounted $scratch/hp"
is_not_mounted "$scratch/hp" || fail "still mounted"
