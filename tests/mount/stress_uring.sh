#!/bin/bash
# memhp stress --driver uring: all workers on one ring find nothing wrong with the default
# machine, what they did can be done again, by them or by threads, and a bug is found.
. "$(dirname "$0")/lib.sh"
need python3
everything=mix=3,dimm=1,cpu=1,slab=1,list=1,scan=1,signal=1@100

# without_ring COMMAND...: io_uring_setup answers EPERM, as in a container.
cat >without_ring.py <<'PY'
import ctypes, os, struct, sys
SETUP, LOAD, EQUAL, RETURN = 425, 0x20, 0x15, 0x06
words = [(LOAD, 0, 0, 0), (EQUAL, 0, 1, SETUP), (RETURN, 0, 0, 0x00050001), (RETURN, 0, 0, 0x7fff0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *w) for w in words))
libc = ctypes.CDLL(None, use_errno=True)
filter = struct.pack("HxxxxxxP", len(words), ctypes.addressof(program))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.create_string_buffer(filter)):
    sys.exit(3)
os.execvp(sys.argv[1], sys.argv[1:])
PY
status_of python3 without_ring.py "$MEMHP" stress --driver uring --time 1s
expect "exit status without io_uring ($(cat err))" $status 2
expect_one_line err
expect_line err "no io_uring here: Operation not permitted.*use --driver threads"
expect "standard output without io_uring" "$(cat out)" ""

status_of memhp stress --driver threads --in-flight 8
expect "exit status of threads in flight" $status 2
expect_line err "of --driver uring"
status_of memhp stress --driver uring --in-flight 4 --workers read=5
expect "exit status of fewer calls than workers" $status 2
expect_line err "at least one for each worker, 5"

memhp stress --driver uring --workers read=1 --calls 1 --quiet >out 2>err || true
if grep -q "no io_uring here" err; then skip "$(cat err)"; fi

status_of memhp stress --driver uring --in-flight 64 --workers "$everything" --calls 200 \
  --seed 7 --quiet --json figures --record log
expect "exit status ($(cat out err))" $status 0
expect_line out "^no finding, seed 7$"
for operation in online offline probe plug cpu_down cache_create read list scan hold interrupt; do
  expect_line figures "\"$operation\": \{"
done

for driver in uring threads; do
  status_of memhp stress --driver $driver --replay log --quiet
  expect "exit status of a replay by $driver ($(cat out err))" $status 0
  expect_line out "^[1-9][0-9]* calls in "
done

# Thousands of stores at a time, and a machine that is left as it was.
up hp --dimm 1G@0 --commit touch
echo online_movable >hp/devices/system/memory/memory33/state
state() { (cd hp && grep . devices/system/memory/memory*/state devices/system/memory/memory*/valid_zones); }
state >before
status_of memhp stress --tree hp --driver uring --in-flight 1024 --workers online=4,offline=4 \
  --calls 500 --quiet
expect "exit status with 1024 in flight ($(cat out err))" $status 0
expect_line out "^4000 calls in "
state >after
cmp before after || fail "the machine is not as it was: $(diff before after)"

# What runs in the machine is interrupted, too, not only what has not begun.
status_of memhp stress --tree hp --driver uring --workers online=2,offline=2,signal=1@500 \
  --faults slow-migrate=20ms@1 --calls 50 --quiet --json figures
expect "exit status with interrupts ($(cat out err))" $status 0
expect_line figures '"EINTR": [1-9]'

# The last kernel before seed 000.
status_of memhp stress --driver uring --era 5666848774ef --workers mix=2,dimm=1 --time 5s --quiet
expect "exit status with a bug ($(cat out err))" $status 1
expect_line out "^FINDING the kernel complains: WARNING: possible circular locking"
