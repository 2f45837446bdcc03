#!/bin/bash
# A block for which the host's hugetlb pool has no pages stays offline: its writer gets
# ENOMEM, the log says what to do, and once there are pages the same write works.
. "$(dirname "$0")/lib.sh"
need flock
is_root || skip "only root may change the hugetlb pool"

# One test at a time has the pool; the tests of blocks/ take the same lock.
pool=/proc/sys/vm/nr_hugepages
lock=/sys/kernel/mm/hugepages/hugepages-2048kB
[ -r $lock/nr_hugepages ] || skip "this kernel has no 2 MiB hugetlb pages"
exec 9<$lock/nr_hugepages
flock 9
before=$(cat $pool)
restore_pool() { echo "$before" >$pool; }
at_end=restore_pool
free_pages() { cat $lock/free_hugepages; }
# leave FREE: so many pages of the pool, others' not counted, are free.
leave() {
  echo "$(($(cat $pool) + $1 - $(free_pages)))" >$pool
  [ "$(free_pages)" -eq "$1" ] || skip "the pool cannot be given $1 free pages here"
}

# 128 MiB are 64 pages: enough for the boot block, 63 for one that comes later.
leave 127
up "$scratch/hp" --memory 128M --backing hugetlb
expect "backing" "$(figure backing hp)" hugetlb
memory=hp/devices/system/memory
echo 0x100000000 >$memory/probe
status_of bash -c "echo online >$memory/memory32/state"
expect "exit status of the write" $status 1
expect_line err "Cannot allocate memory"
expect "state of the block" "$(cat $memory/memory32/state)" offline
expect "pages that are free" "$(free_pages)" 63
expect_line hp.log "0x100000000-.*: the hugetlb pool is empty: raise vm.nr_hugepages"
expect "errors counted as ENOMEM" "$(figure ENOMEM hp)" 1

leave 64
echo online >$memory/memory32/state || fail "not online though the pool has the pages"
expect "state of the block" "$(cat $memory/memory32/state)" online
expect "pages that are free" "$(free_pages)" 0
