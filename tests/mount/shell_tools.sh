#!/bin/bash
# bash, tee, dd, cat, cp, tar, truncate, touch, find and grep work on the tree as on sysfs,
# the errors included that they meet there.
. "$(dirname "$0")/lib.sh"
memhp run --memory 1G -- bash -c '
  set -eu
  cd /sys/devices/system/memory
  echo offline > memory2/state;           echo "echo $(cat memory2/state)"
  echo online >> memory2/state;           echo "append $(< memory2/state)"
  echo offline | tee memory2/state;       echo "tee $(cat memory2/state)"
  printf online | dd of=memory2/state status=none; echo "dd $(cat memory2/state)"
  echo nonsense > memory2/state && exit 1
  echo "after nonsense $(cat memory2/state)"
  cat probe && exit 1
  echo "stat $(stat -c "%s %a" memory2/state)"
  echo "dd reads $(dd if=memory2/state bs=3 count=1 status=none)"
  echo "blocks $(find . -maxdepth 1 -name "memory*" -type d | wc -l)"
  echo "online $(grep -l "^online$" memory*/state | wc -l)"
  echo "node $(readlink memory2/node0)"
  truncate -s 0 memory2/state; truncate -s 100 memory2/state
  echo "truncated $(stat -c %s memory2/state) $(cat memory2/state)"
  echo offline >"$1/word"
  cp "$1/word" memory2/state;             echo "cp $(cat memory2/state)"
  cp memory2/state "$1/word";             echo "cp back $(cat "$1/word")"
  echo online >memory2/state
  touch -d 2040-01-01 "$1/then"
  touch -d 2040-01-02 memory3/state
  echo "newer $(find . -name state -newer "$1/then")"
  : >memory3/state # writes nothing, but what is opened so gets the time of day
  echo "then newer $(find . -name state -newer "$1/then")"' bash "$scratch" >out 2>err ||
  fail "$(cat out err)"
expect "what the tools saw" "$(cat out)" "echo offline
append online
offline
tee offline
dd online
after nonsense online
stat 4096 644
dd reads onl
blocks 8
online 8
node ../../node/node0
truncated 4096 online
cp offline
cp back offline
newer ./memory3/state
then newer "
expect_line err "write error: Invalid argument"
expect_line err "probe: Permission denied"

# The whole directory of a block. The only file that cannot be read is power management's,
# and every file is shorter than its size says.
mkdir extracted
memhp run --memory 1G -- bash -c '
  cd /sys/devices/system/memory
  cp -r memory2 "$1/copy" 2>"$1/cp.err"; echo "cp $?"
  diff -r --no-dereference memory2 "$1/copy" 2>&1; echo "diff $?"
  tar -cf - memory2 2>"$1/tar.err" | tar -xf - -C "$1/extracted"; echo "tar ${PIPESTATUS[*]}"
  find memory2 -type f | while read -r file; do
    read=$(wc -c <"$file" 2>&1) || continue
    echo "tar: $file: File shrank by $((4096 - read)) bytes; padding with zeros"
    tr -d "\0" <"$1/extracted/$file" | diff "$file" - >/dev/null || echo "$file differs" >&2
  done | sort >"$1/tar.expected"
  echo "links $(readlink memory2/node0 memory2/subsystem | xargs)"
  cd "$1/extracted/memory2"
  echo "extracted $(find . -type f | wc -l) $(readlink node0 subsystem | xargs)"
' bash "$scratch" >out 2>err || fail "$(cat out err)"
unreadable="power/autosuspend_delay_ms"
expect "what became of the copies" "$(cat out)" "cp 1
diff: memory2/$unreadable: Input/output error
diff 2
tar 2 0
links ../../node/node0 ../../../../bus/memory
extracted 16 ../../node/node0 ../../../../bus/memory"
expect "differences of the extracted" "$(cat err)" ""
expect "the errors of cp" "$(cat cp.err)" \
  "cp: error reading 'memory2/$unreadable': Input/output error"
expect "the errors of tar" "$(grep -v "File shrank" tar.err)" \
  "tar: memory2/$unreadable: Read error at byte 0, while reading 4096 bytes: Input/output error
tar: Exiting with failure status due to previous errors"
expect "what tar found shorter" "$(grep "File shrank" tar.err | sort)" "$(cat tar.expected)"
