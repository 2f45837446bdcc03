#!/bin/bash
# Without /dev/fuse, user namespaces or huge pages: one line that says what is missing and
# how to get on.
. "$(dirname "$0")/lib.sh"
status_of memhp run --memory 512M --backing hugetlb --max-memory 1G -- true
if [ "$(cat /proc/sys/vm/nr_hugepages)" -eq 0 ]; then
  expect "exit status without huge pages" $status 125
  expect_one_line err
  expect_line err "nr_hugepages"
  mkdir hp
  status_of memhp up --mount hp --memory 512M --backing hugetlb --max-memory 1G --log up.log
  expect "exit status of memhp up without huge pages" $status 1
  expect_one_line err
  expect_line err "nr_hugepages"
  is_not_mounted "$scratch/hp" || fail "still mounted"
fi
# No capability and no user namespace, in a user namespace of the test's own.
status_of unshare -Ur sh -c '
  echo 0 >/proc/sys/user/max_user_namespaces
  exec setpriv --bounding-set -all --inh-caps -all "$0" run --memory 512M -- true' "$MEMHP"
expect "exit status without user namespaces" $status 125
expect_one_line err
expect_line err "no user namespace .*run as root.*max_user_namespaces"
# An empty /dev, in a mount namespace of the test's own. -n: an ordinary user may not
# write mount's own records.
mkdir dev
status_of unshare -Urm sh -c '
  mount -n -t tmpfs none dev && touch dev/null && mount -n --bind /dev/null dev/null
  mount -n --move dev /dev && exec "$0" run --memory 512M -- true' "$MEMHP"
expect "exit status without /dev/fuse" $status 125
expect_one_line err
expect_line err "no /dev/fuse: .*modprobe fuse"
