#!/bin/bash
# memhp stress finds the bug of each seed in the last kernel that had it, and names it:
# the locks of a cycle, or the function that ran without its lock.
. "$(dirname "$0")/lib.sh"

# finds ERA COUNT OPTION...: ends with so many findings long before its time is over. Who
# has met the deadlock itself is given up after some seconds.
finds() {
  local era=$1 count=$2
  shift 2
  status_of memhp stress --era "$era" --time 60s --stuck 5s --lockdep on --quiet \
    --max-findings "$count" "$@"
  expect "exit status with the bug of $era ($(cat out err))" $status 1
  expect_line out "^[0-9]+ calls in [0-5]?[0-9]\.[0-9]* s"
  expect_line out "^FINDING the kernel complains: "
  expect_line out "again: memhp stress .*--era $era"
}
cycle="^FINDING .*possible circular locking dependency detected"

case $1 in
seed-000) # a removal waits for the users of sysfs files under mem_hotplug_lock
  finds seed-000-before 1 --workers mix=1,dimm=1
  expect_line out "$cycle"
  expect_line out '-> #[0-9] \(kn->count#?[0-9]*\)'
  expect_line out '-> #[0-9] \(mem_hotplug_lock.rw_sem\)'
  ;;
seed-001) # v3.19: onlining takes mem_hotplug.lock inside dev->mutex, adding outside of it
  finds seed-001-before 2 --validate-dev-mutex --workers probe=1,online=1
  expect_line out "$cycle"
  expect_line out '-> #[0-9] \(&dev->mutex\)'
  expect_line out '-> #[0-9] \(mem_hotplug.lock#?[0-9]*\)'
  ;;
v3.19) # what else v3.19 does: `probe` without device_hotplug_lock, and seed 000's cycle
  finds v3.19 2 --workers probe=1,remove=1,online=1,offline=1
  expect_line out "^FINDING .*WARNING: .* add_memory_resource"
  expect_line out "^ *lockdep_assert_held\(device_hotplug_lock\) failed"
  expect_line out "$cycle"
  expect_line out '-> #[0-9] \(s_active#?[0-9]*\)'
  expect_line out '-> #[0-9] \(mem_hotplug.lock#?[0-9]*\)'
  ;;
seed-002) # `online` changes zones without mem_hotplug_lock
  finds seed-002-before 1 --workers switch=1
  expect_line out "^FINDING .*WARNING: .* (online|offline)_pages"
  expect_line out "^ *lockdep_assert_held_write\(mem_hotplug_lock\) failed"
  expect_line out "^ *online_store\+"
  ;;
seed-003) # a debugged slab cache takes cpu_hotplug_lock under slab_mutex
  finds seed-003-before 1 --workers cpu=1,slab=1
  expect_line out "$cycle"
  expect_line out '-> #[0-9] \(slab_mutex\)'
  expect_line out '-> #[0-9] \(cpu_hotplug_lock\)'
  ;;
seed-004) # the files of a slab cache are removed under slab_mutex
  finds seed-004-before 1 --workers slab=2
  expect_line out "$cycle"
  expect_line out '-> #[0-9] \(s_active#?[0-9]*\)'
  expect_line out '-> #[0-9] \(slab_mutex\)'
  ;;
esac
