#!/bin/bash
# What the kernel's FUSE decides without asking the server, and otherwise than it does for
# sysfs: the table of tests/oracle/README.md. A line here that fails on another kernel is
# a line to change there.
. "$(dirname "$0")/lib.sh"
need python3
up "$scratch/hp" --memory 1G
memory=hp/devices/system/memory

cat >calls.py <<'CALLS'
import ctypes, errno, fcntl, mmap, os, resource, signal, struct, sys
path = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)

def answer(what, call):
    try:
        print(what, call())
    except OSError as error:
        print(what, errno.errorcode[error.errno])

def number_by_ioctl(fd, request):
    return struct.unpack("i", fcntl.ioctl(fd, request, struct.pack("i", 0)))[0]

def handle_of(path):
    # struct file_handle: the room that there is, its type, the bytes.
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0), 8 + 128)
    if libc.name_to_handle_at(-100, path.encode(), handle, ctypes.byref(ctypes.c_int()), 0):
        raise OSError(ctypes.get_errno(), "")
    return "given"

FIBMAP, FIONREAD = 1, 0x541B
fd = os.open(path, os.O_RDWR)
answer("seek to 2^31", lambda: os.lseek(fd, 1 << 31, os.SEEK_SET))
answer("seek to 2^62", lambda: os.lseek(fd, 1 << 62, os.SEEK_SET))
os.lseek(fd, 0, os.SEEK_SET)
answer("FIBMAP", lambda: number_by_ioctl(fd, FIBMAP))
answer("handle", lambda: handle_of(path))
answer("FIONREAD", lambda: number_by_ioctl(fd, FIONREAD))
mapped = mmap.mmap(fd, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ)
print("mapped", mapped[:8])
answer("FIONREAD then", lambda: number_by_ioctl(fd, FIONREAD))
print("size then", os.fstat(fd).st_size)

resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
signal.signal(signal.SIGXFSZ, lambda *_: print("SIGXFSZ"))
answer("write beyond RLIMIT_FSIZE", lambda: os.write(fd, b"offline"))
CALLS
# Through a pipe: the limit on files is also one on the standard output.
python3 calls.py $memory/memory3/state 2>err | cat >out
[ ! -s err ] || fail "$(cat out err)"
fibmap=0
is_root || fibmap=EPERM # as of every file system
expect "what the kernel answered" "$(cat out)" "seek to 2^31 2147483648
seek to 2^62 4611686018427387904
FIBMAP $fibmap
handle given
FIONREAD 4096
mapped b'online\\n\\x00'
FIONREAD then 7
size then 4096
SIGXFSZ
write beyond RLIMIT_FSIZE EFBIG"
expect "the block that was not written" "$(cat $memory/memory3/state)" online

# A writer that waits for device_hotplug_lock and is stopped: the kernel takes no stop
# before the answer, so it waits on in D, and stops when it has the answer. Block 5 cannot
# finish going offline while a page of it is pinned.
pin() { echo 0x28000000 >hp/kernel/debug/memhp/page_"$1"; }
in_state() { grep -q "^State:.$2 " "/proc/$1/status"; }
pin pin
background bash -c "echo offline >$memory/memory5/state"
offliner=$pid
going_offline() { [ "$(cat $memory/memory5/state)" = going-offline ]; } # no grep: it seeks
eventually going_offline
background bash -c "echo offline >$memory/memory6/state; echo answered >answered"
waiter=$pid
restarts() { [ "$(figure restarts hp)" -ge 2 ]; }
eventually restarts
kill -STOP "$waiter"
before=$(figure restarts hp)
restarts_further() { [ "$(figure restarts hp)" -ge $((before + 10)) ]; }
eventually restarts_further
in_state "$waiter" D || fail "not in D: $(grep State "/proc/$waiter/status")"
pin unpin
eventually in_state "$waiter" T
expect "what it has done after its answer" "$(cat answered 2>&1)" "cat: answered: No such file or directory"
kill -CONT "$waiter"
wait "$waiter" || fail "the stopped writer failed"
wait "$offliner" || fail "the pinned block did not go offline"
expect "what it did when it went on" "$(cat answered)" answered
expect "the block that it wrote to" "$(cat $memory/memory6/state)" offline
