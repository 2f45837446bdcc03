#!/bin/bash
# Wrong options end before anything is mounted, with one line that says what to write
# instead and exit status 2.
. "$(dirname "$0")/lib.sh"
mkdir hp
echo '{"nodes": 2, "memori": "1G"}' >unknown.json
echo '{"movable-node": "yes"}' >kind.json
echo 'nodes = 2' >not.json
# OPTIONS | what the line must say
while IFS='|' read -r options must_say; do
  for command in "run $options -- true" "up $options --mount hp"; do
    # shellcheck disable=SC2086 # the words of the table
    status_of memhp $command
    expect "exit status of $command" $status 2
    [ "$(wc -l <err)" -eq 1 ] || fail "$command: not one line: $(cat err)"
    expect "standard output of $command" "$(cat out)" ""
    grep -Eq -- "$must_say" err || fail "$command: $(cat err)"
  done
done <<'TABLE'
--nodes 0|number from 1 to 64
--nodes 65|number from 1 to 64
--nodes two|number from 1 to 64
--memory 1Q|such as 512M
--memory -1G|such as 512M
--memory 100M|multiple of the block size.*128M
--memory 0|multiple of the block size
--memory 99999999999T|smaller size
--movablecore 100M|multiple of the block size
--movablecore 8G|write less than
--block-size 100M|power of two
--block-size 1M|between 2M and 2G
--max-memory 3G|power of two
--max-memory 512M|raise --max-memory
--nodes 2 --memory 1T|raise --max-memory
--dimm 512M|SIZE@NODE
--dimm 512M@x|number from 0
--dimm 512M@-1|number from 0
--dimm 100M@0|multiple of the block size
--dimm 2T@0|raise --max-memory
--dax 512M|SIZE@NODE
--dax 1M@0|multiple of 2M
--dax 2T@0|raise --max-memory
--platform s390|write none, hyperv, xen or pseries
--cpus 0|number from 1
--nodes 2 --node-cpus 0-1;1|CPU 1
--node-cpus x|0-1;2-3;
--nodes 2 --distances 10,20|rows?
--distances 10,x|10,20;20,10
--nodes 2 --distances 10,20;20,11|10
--kernel-blocks 1-|0,3-5
--kernel-blocks 99|block 99
--auto-online maybe|online_movable
--online-policy best|contig-zones
--backing gold|hugetlb
--commit never|touch
--era v1.0|patched
--config absent.json|No such file
--config not.json|JSON object
--config unknown.json|memori.*memory
--config kind.json|movable-node
--no-such-option|--help
surplus|surplus
TABLE
for command in "" "fly" "up" "up --mount hp surplus" "up --mount absent/hp" "up --mount unknown.json" \
  "up --mount hp -- true" "stat --watch often" "stat --mount absent/hp" "down" "run --log" "run --nodes" \
  "up --nodes --mount hp"; do
  # shellcheck disable=SC2086
  status_of memhp $command
  expect "exit status of memhp $command" $status 2
  [ "$(wc -l <err)" -eq 1 ] || fail "memhp $command: not one line: $(cat err)"
done
expect_no_line /proc/self/mountinfo "$scratch"
no_figures hp || fail "there is a machine"
