#!/bin/sh
# memhp scenario run --forced --threads: real hangs, found and cleaned up; and Ctrl-C.
. "$(dirname "$0")/lib.sh"
# ThreadSanitizer sees, rightly, that these orders of locks can deadlock: they will.
export TSAN_OPTIONS="${TSAN_OPTIONS:+$TSAN_OPTIONS:}detect_deadlocks=0"
all="remove-vs-online probe-vs-online online-without-lock cpu-offline-vs-cache-create
cache-destroy-vs-sysfs blocking-sysfs-lock"

# child_of PID: its only one.
child_of() { tr -d ' ' <"/proc/$1/task/$1/children"; }
# all_sleep PID: its threads, but the first, which watches them.
all_sleep() {
  for task in /proc/"$1"/task/*; do
    [ "${task##*/}" = "$1" ] || grep -q "^State:.S" "$task/status" || return 1
  done
}

for name in $all; do
  status_of memhp scenario run "$name" --forced --threads
  expect "status of $name before ($(cat err))" $status 3
  expect "complaints of $name before" "$(cat err)" ""
  case $name in
  online-without-lock) expect_line out "present_pages is 32768" ;; # nothing hangs
  *)
    expect "hung tasks of $name" "$(grep -c '^INFO: task .* blocked for more than 1 seconds\.$' out)" 2
    expect "stacks of $name" "$(sed -n '/^INFO: task/,$p' out | grep -c '^Call Trace:')" 2
    expect_line out "^Showing all locks held in the system:"
    ;;
  esac
  for era in after patched; do
    status_of memhp scenario run "$name" --forced --threads --era $era
    expect "status of $name $era" $status 0
    expect "output of $name $era" "$(cat out err)" ""
  done
done

# A signal ends the hang, and nobody is left. A shell's background command ignores SIGINT.
for ending in INT=130 TERM=143; do
  signal=${ending%=*}
  background env --default-signal "$MEMHP" scenario run remove-vs-online --forced \
    --threads --hung-task-timeout 600 2>hang
  eventually grep -q "2 tasks wait for each other; reported in 600 seconds" hang
  child=$(child_of "$pid")
  all_sleep "$child" || fail "not all tasks of $child sleep"
  started=$(date +%s)
  kill -s $signal "$pid"
  status=0
  wait "$pid" || status=$?
  took=$(($(date +%s) - started))
  expect "status after SIG$signal" $status ${ending#*=}
  eventually is_gone "$child"
  [ $took -le 10 ] || fail "SIG$signal took $took seconds"
done

# Whose parent is killed does not stay either.
background env --default-signal "$MEMHP" scenario run cache-destroy-vs-sysfs --forced \
  --threads --hung-task-timeout 0 2>hang
eventually grep -q "2 tasks wait for each other; Ctrl-C ends them" hang
child=$(child_of "$pid")
kill -9 "$pid"
eventually is_gone "$child"

wrong() {
  pattern=$1
  shift
  status_of memhp scenario run remove-vs-online "$@"
  expect "status of $*" $status 2
  expect_one_line err
  expect_line err "$pattern"
}
wrong "--threads" --threads
wrong "--hung-task-timeout" --forced --hung-task-timeout 5
wrong "--hung-task-timeout 'soon'" --forced --threads --hung-task-timeout soon
wrong "--timeline" --forced --threads --timeline x
