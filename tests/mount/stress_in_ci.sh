#!/bin/bash
# memhp stress where the README's recipes for CI put it: as an ordinary user without a
# capability, and in containers with the right to mount, or without it.
. "$(dirname "$0")/lib.sh"
is_root || skip "only root can make what looks like a container"
work="stress --calls 20 --quiet"
docker=-all,+chown,+dac_override,+fsetid,+fowner,+mknod,+setgid,+setuid,+setfcap,+setpcap,+net_bind_service,+sys_chroot,+kill

# A /dev with what containers have and fuse, and a /tmp of its own, in namespaces.
cat >container <<'INNER'
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 container-dev /mnt
for node in null zero random urandom; do
  touch "/mnt/$node"
  mount --bind "/dev/$node" "/mnt/$node"
done
mkdir /mnt/shm
mount -t tmpfs -o mode=1777 container-shm /mnt/shm
mknod -m 666 /mnt/fuse c 10 229
cp "$MEMHP" /mnt/memhp-copy
mount --move /mnt /dev
mount -t tmpfs -o mode=1777 container-tmp /tmp
cp /dev/memhp-copy /tmp/memhp
export HOME=/tmp TMPDIR=/tmp
cd /tmp
exec "$@"
INNER
container() { unshare -m -p -f -i -u --mount-proc sh "$scratch/container" "$@"; }

# A job's user: no capability, but a set-uid fusermount3 and a /dev/fuse open to all.
# shellcheck disable=SC2086 # the words of the command
status_of container setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all \
  sh -c 'grep CapEff /proc/self/status >&2; /tmp/memhp '"$work"' --junit f.xml && cat f.xml'
expect "exit status of a user ($(cat out err))" $status 0
expect_line err "^CapEff:[[:space:]]*0*$"
expect_line out 'failures="0"'

# A container with --device /dev/fuse --cap-add SYS_ADMIN.
# shellcheck disable=SC2086
status_of container setpriv --bounding-set $docker,+sys_admin --inh-caps -all /tmp/memhp $work
expect "exit status with SYS_ADMIN ($(cat out err))" $status 0
expect_line out "^no finding"

# Without the right to mount: one line that says what to add.
# shellcheck disable=SC2086
status_of container setpriv --bounding-set $docker --inh-caps -all /tmp/memhp $work
expect "exit status without SYS_ADMIN ($(cat out err))" $status 1
expect_one_line err
expect_line err "--cap-add SYS_ADMIN --device /dev/fuse"
