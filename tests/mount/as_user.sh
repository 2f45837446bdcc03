#!/bin/sh
# as_user.sh TEST: runs a test as an ordinary user. From root: as uid 65534, with copies
# of what it needs where that user can read them, and in a private namespace a /dev whose
# fuse is open to all, as on an installed system.
set -eu
test=$1
if [ "$(id -u)" -ne 0 ]; then
  echo "SKIPPED: the plain test has already run as an ordinary user"
  exit 77
fi
user=65534
place=$(mktemp -d "${TMPDIR:-/tmp}/memhp-user.XXXXXX")
trap 'rm -rf --one-file-system "$place"' EXIT
chmod 755 "$place"
mkdir "$place/tests" "$place/tmp"
cp "$(dirname "$0")"/*.sh "$(dirname "$0")"/*.py "$place/tests/"
cp "$MEMHP" "$place/memhp"
chmod -R a+rX "$place"
chown "$user:$user" "$place/tmp"

cat >"$place/enter" <<'INNER'
set -eu
mount --make-rprivate /
dev=$1/dev
mkdir "$dev"
mount -t tmpfs -o mode=755 memhp-dev "$dev"
for node in null zero full random urandom tty; do
  [ -e "/dev/$node" ] || continue
  touch "$dev/$node"
  mount --bind "/dev/$node" "$dev/$node"
done
mkdir "$dev/pts" "$dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620 memhp-pts "$dev/pts"
ln -s pts/ptmx "$dev/ptmx"
mount -t tmpfs -o mode=1777 memhp-shm "$dev/shm"
ln -s /proc/self/fd "$dev/fd"
mknod -m 666 "$dev/fuse" c 10 229
mount --move "$dev" /dev
shift
exec "$@"
INNER
status=0
unshare -m sh "$place/enter" "$place" \
  setpriv --reuid "$user" --regid "$user" --clear-groups \
  env MEMHP="$place/memhp" TMPDIR="$place/tmp" sh "$place/tests/$(basename "$test")" || status=$?
exit $status
