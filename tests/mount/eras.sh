#!/bin/sh
# memhp eras lists the kernels, --era makes a machine lock like one, and what the validator
# finds stands in proc/kmsg in that kernel's words.
. "$(dirname "$0")/lib.sh"
memhp eras >out
expect_line out "^ERA +KERNELS +SEED +WHAT CHANGED$"
expect_line out "^v3\.19 +3\.16-4\.0 +before seed 001 "
expect_line out "^f1037ec0cc8a +5\.6-5\.8 +after seed 000 "
expect_line out "^6b8f0798b85a +6\.8- "
expect_line out "^patched +default "
memhp eras --json >json
python3 - json <<'PYTHON'
import json, sys
eras = json.load(open(sys.argv[1]))
names = [era["era"] for era in eras]
assert names[0] == "v3.19" and names[-1] == "patched", names
seeds = {(era["seed"], era["side"]): era["era"] for era in eras if era["seed"]}
assert len(seeds) == 10, seeds
assert seeds["000", "after"] == "f1037ec0cc8a", seeds
assert [era["default"] for era in eras].count(True) == 1
PYTHON

# A name that is nearly one, and one that is none.
for command in "run --era 381eab5a6ee8 -- true" "up --era 381eab5a6ee8 --mount $scratch/no"; do
  # shellcheck disable=SC2086
  status_of memhp $command
  expect "exit status of $command" $status 2
  expect_one_line err
  expect_line err "write 381eab4a6ee8 or .*memhp eras lists them$"
done

# Seed 000: a DIMM is removed after one of its blocks went online.
remove_after_online() {
  mkdir -p "$1"
  up "$scratch/$1" --era "$2" --lockdep on --memory 512M --dimm 256M@0 --log "$scratch/$1.txt"
  echo online >"$1/devices/system/memory/memory32/state"
  echo 1 >"$1/devices/LNXSYSTM:00/LNXSYBUS:00/PNP0A06:04/PNP0C80:00/eject"
  eventually test ! -e "$1/devices/system/memory/memory32"
  sed 's/^[^;]*;//' "$1/proc/kmsg" >"$1.kmsg"
}
remove_after_online before 381eab4a
expect_line before.kmsg "^WARNING: possible circular locking dependency detected$"
expect_line before.kmsg "\(kn->count(#[0-9]+)?\)\{[+.]{4}\}, at: "
expect_line before.kmsg "\(mem_hotplug_lock\.rw_sem\)\{\+.\+.\}, at: "
expect_line before.kmsg "^  kn->count(#[0-9]+)? --> cpu_hotplug_lock\.rw_sem --> mem_hotplug_lock\.rw_sem$"
expect_no_line before.kmsg "kn->active|-\{0:0\}"
expect_line before.txt "kernel: WARNING: possible circular locking dependency detected$"

remove_after_online old v4.10
expect_line old.kmsg "^\[ INFO: possible circular locking dependency detected \]$"
expect_line old.kmsg "^ \(s_active(#[0-9]+)?\)\{[+.]{6}\}, at: \[<[0-9a-f]{16}>\] "
expect_line old.kmsg "^ \(mem_hotplug\.lock#2\)\{"

# Seed 004: a slab cache is destroyed after a file of it was written.
mkdir slab
up "$scratch/slab" --era seed-004-before --lockdep on --memory 512M --log "$scratch/slab.txt"
debug=slab/kernel/debug/memhp
echo "box size=256" >$debug/kmem_cache_create
echo 7 >slab/kernel/slab/box/min_partial
echo box >$debug/kmem_cache_destroy
sed 's/^[^;]*;//' slab/proc/kmsg >slab.kmsg
expect_line slab.kmsg "^\[ INFO: possible circular locking dependency detected \]$"
expect_line slab.kmsg "^ \(s_active(#[0-9]+)?\)\{[+.]{6}\}, at: \[<"
expect_line slab.kmsg "^ \(slab_mutex\)\{\+\.\+\.\+\.\}, at: \[<"
expect_line slab.kmsg "^ #[0-9]+:  \(cpu_hotplug\.dep_map\)\{"

# Seed 003: a debugged cache is created after a CPU went down.
mkdir key
up "$scratch/key" --era 1f0723a4 --lockdep on --memory 512M --cpus 2 --log "$scratch/key.txt"
echo 0 >key/devices/system/cpu/cpu1/online
echo "box size=256 debug=U" >key/kernel/debug/memhp/kmem_cache_create
sed 's/^[^;]*;//' key/proc/kmsg >key.kmsg
expect_line key.kmsg "^WARNING: possible circular locking dependency detected$"
expect_line key.kmsg "\(cpu_hotplug_lock\)\{\+\+\+\+\}-\{0:0\}, at: static_key_enable\+"
expect_line key.kmsg "\(slab_mutex\)\{\+\.\+\.\}-\{3:3\}, at: "

for era in f1037ec0 today patched; do
  remove_after_online $era $era
  expect_no_line $era.kmsg "possible circular"
done
