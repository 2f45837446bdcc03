# What every test here starts with: its own scratch directory, machines and processes
# that end with it, and words for what is expected. A test that cannot run here prints
# why and exits 77.
#
# $MEMHP is the program under test. Tests are statements: one script says one thing.
set -eu
export LC_ALL=C
tests=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/memhp-test.XXXXXX")
cd "$scratch"
export MEMHP HOME="$scratch" XDG_STATE_HOME="$scratch/state"
export MEMHP_LOCKDEP="${MEMHP_LOCKDEP-on}" # every machine here is validated
unset NOTIFY_SOCKET MEMHP_STATS || true
deadline_s=20
mounts=
pids=
at_end= # a command that puts back what the test has changed outside its directory

clean_up() {
  status=$?
  set +e
  trap - EXIT
  $at_end
  if [ $status -eq 0 ] && lock_reports "$scratch"/*.log; then
    echo "FAILED: the validator complained about a machine's locks" >&2
    status=1
  fi
  for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
  for mount in $mounts; do "$MEMHP" down --mount "$mount" >/dev/null 2>&1; done
  cd /
  if [ $status -ne 0 ] && [ $status -ne 77 ]; then
    for log in "$scratch"/*.log; do
      if [ -s "$log" ]; then echo "--- $log" && tail -n 20 "$log"; fi
    done
  fi
  rm -rf --one-file-system "$scratch"
  exit $status
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

# lock_reports LOG...: the lines that begin a report of the validator, in the words of any
# era: until 4.10 a lock report says "[ INFO: possible ... ]".
lock_reports() { grep -sE "kernel: (WARNING: |\[ (INFO|BUG): )" "$@"; }

memhp() { "$MEMHP" "$@"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
skip() { echo "SKIPPED: $*"; exit 77; }
is_root() { [ "$(id -u)" -eq 0 ]; }

# need PROGRAM...: skips without one of them.
need() {
  for program in "$@"; do
    command -v "$program" >/dev/null || skip "$program is not installed"
  done
}

# expect WHAT ACTUAL EXPECTED
expect() {
  [ "$2" = "$3" ] && return
  fail "$1
expected: $3
but was:  $2"
}

# expect_line FILE REGEX: some line of FILE matches.
expect_line() {
  grep -Eq -- "$2" "$1" || fail "no line of $1 matches $2:
$(cat "$1")"
}
expect_no_line() {
  ! grep -Eq -- "$2" "$1" || fail "a line of $1 matches $2:
$(cat "$1")"
}

# expect_one_line FILE: what a complaint looks like.
expect_one_line() {
  [ "$(wc -l <"$1")" -eq 1 ] || fail "not one line:
$(cat "$1")"
}

# status_of COMMAND...: runs it, leaves its streams in out and err, its exit status in
# $status.
status_of() {
  status=0
  "$@" >out 2>err || status=$?
}

# eventually COMMAND...: until it succeeds, or for too long.
eventually() {
  local tries=$((deadline_s * 50)) # its own: what it waits for may wait too
  until "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || fail "never came true: $*"
    sleep 0.02
  done
}

# Ended; whether somebody has reaped it does not matter.
is_gone() { ! grep -qs "^State:.[^Z]" "/proc/$1/status"; }
is_mounted() { grep -q " $1 " /proc/self/mountinfo; }
is_not_mounted() { ! is_mounted "$1"; }

# up DIR OPTION...: a machine at a directory, ended with the test.
up() {
  dir=$1
  shift
  mkdir -p "$dir"
  mounts="$mounts $dir"
  case " $* " in
  *" --log "*) ;;
  *) set -- "$@" --log "$scratch/$(basename "$dir").log" ;;
  esac
  memhp up --mount "$dir" "$@" || fail "memhp up failed"
}

# background COMMAND...: started, ended with the test; its process is in $pid. A function
# would run in a shell of its own, which is not what gets the signals then.
background() {
  if [ "$1" = memhp ]; then
    shift
    set -- "$MEMHP" "$@"
  fi
  "$@" &
  pid=$!
  pids="$pids $pid"
}

# no_figures DIR: nothing is left of a machine there, not even its figures.
no_figures() { ! memhp stat --mount "$1" >/dev/null 2>&1; }

# figure NAME [MOUNT]: one number of memhp stat --json.
figure() {
  memhp stat --json ${2:+--mount "$2"} | sed -n "s/^ *\"$1\": \"*\([^\",]*\).*/\1/p" | head -n 1
}
