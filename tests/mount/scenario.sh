#!/bin/sh
# memhp scenario: what it prints, and how it ends.
. "$(dirname "$0")/lib.sh"
all="remove-vs-online probe-vs-online online-without-lock cpu-offline-vs-cache-create
cache-destroy-vs-sysfs blocking-sysfs-lock"

status_of memhp scenario list
expect "status of list" $status 0
for name in $all; do expect_line out "^$name "; done
for name in $all; do
  status_of memhp scenario show "$name"
  expect "status of show $name" $status 0
  expect_line out "^before: "
  expect_line out "^  1  "
done
cp out shown
expect_line shown "^ +sh +remover$"
expect_line shown "^  2 +device_hotplug_lock$"

status_of memhp scenario run remove-vs-online
case $(cat err) in *ThreadSanitizer*) skip "fibers do not work under ThreadSanitizer" ;; esac

for name in $all; do
  status_of memhp scenario run "$name" --era patched
  expect "status of $name patched" $status 0
  expect "output of $name patched" "$(cat out err)" ""
  status_of memhp scenario run "$name" --era after --forced
  expect "status of $name after, forced" $status 0
  expect "output of $name after, forced" "$(cat out err)" ""
  status_of memhp scenario run "$name" --forced
  expect "status of $name before, forced" $status 3
  expect "complaints of $name" "$(cat err)" ""
  status_of memhp scenario run "$name" --era before
  case $name in
  probe-vs-online) expect "status of $name before" $status 0 ;; # lockdep cannot see it
  online-without-lock)
    expect "status of $name before" $status 3
    expect_line out "lockdep_assert_held_write"
    ;;
  *)
    expect "status of $name before" $status 3
    expect_line out "possible circular locking dependency detected"
    ;;
  esac
done

status_of memhp scenario run probe-vs-online --validate-dev-mutex
expect "status with dev->mutex validated" $status 3
expect_line out "&dev->mutex"
status_of memhp scenario run online-without-lock --forced
expect_line out "present_pages is 32768, but its online blocks have 65536 pages"
status_of memhp scenario run cache-destroy-vs-sysfs --forced --timeline trace.json
expect "status with a timeline" $status 3
expect_line out "^INFO: task rmmod:2 blocked for more than 120 seconds\.$"
expect_line out "^3 locks held by rmmod/2:$"
expect_line trace.json '"name": "hangs: lock of slab_mutex, held by rmmod"'
if command -v python3 >/dev/null; then
  python3 -c 'import json; assert len(json.load(open("trace.json"))["traceEvents"]) > 5'
fi

# Wrong words: one line, with what is nearest, and 2.
wrong() {
  pattern=$1
  shift
  status_of memhp scenario "$@"
  expect "status of scenario $*" $status 2
  expect_one_line err
  expect_line err "$pattern"
  expect "output of scenario $*" "$(cat out)" ""
}
wrong "'remove-vs-onlin' is no scenario: write remove-vs-online" run remove-vs-onlin
wrong "'probe_vs_online' is no scenario: write probe-vs-online" show probe_vs_online
wrong "--era 'befor' is unknown: write before" run remove-vs-online --era befor
wrong "write list, show NAME or run NAME" runn remove-vs-online
wrong "write list, show NAME or run NAME"
wrong "is no scenario" run
wrong "unknown option --force" run remove-vs-online --force
status_of memhp scenario run remove-vs-online --timeline /no/such/dir/file
expect "status without the file" $status 1
expect_one_line err
