#!/bin/sh
# On a terminal: Ctrl-C reaches the command only, Ctrl-Z stops the job and fg goes on, and
# an interactive shell inside has job control of its own.
. "$(dirname "$0")/lib.sh"
need python3 bash
cat >steps <<'STEPS'
# Written so that its echo does not look like the prompt.
type PS1='out''er> '\r
wait outer>
type $MEMHP run --memory 512M --commit touch -- sh -c 'echo ready; exec cat'\r
wait ready\r\n
# cat echoes lines: it has the terminal
type hello\r
wait hello\r\nhello
type \x1a
wait Stopped
wait outer>
type fg\r
wait exec cat
type again\r
wait again\r\nagain
type \x03
wait outer>
type echo "status $?"\r
wait status 130
wait outer>
type $MEMHP run --memory 512M --commit touch -- bash --norc --noprofile\r
wait bash.*[#$]
type PS1='inn''er> '\r
wait inner>
type sh -c 'echo ready; exec cat'\r
wait ready\r\n
type \x1a
wait Stopped
wait inner>
type fg\r
wait exec cat
type inside\r
wait inside\r\ninside
type \x03
wait inner>
type cat /sys/devices/system/memory/memory1/state\r
wait online
wait inner>
type suspend\r
wait Stopped
wait outer>
type fg\r
wait inner>
type exit 9\r
wait outer>
type echo "status $?"\r
wait status 9
wait outer>
type $MEMHP run --memory 512M --commit touch -- sh -c 'echo ready >&2; exec cat' | tr a-z A-Z\r
wait ready\r\n
type pipe\r\x04
wait PIPE
wait outer>
type exit 3\r
end
STEPS
status=0
env -u PROMPT_COMMAND python3 "$tests/pty_session.py" bash --norc --noprofile <steps >out 2>&1 || status=$?
expect "the session ($(cat out))" $status 3
