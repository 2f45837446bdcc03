#!/bin/bash
# memhp stat counts blocks by node, zone and state, memory, requests and errors.
. "$(dirname "$0")/lib.sh"
up "$scratch/hp" --nodes 2 --memory 1G --dimm 512M@1
memory=hp/devices/system/memory
echo online_movable >$memory/memory32/state
echo offline >$memory/memory3/state
for try in 1 2 3; do echo nonsense >$memory/memory4/state && fail "nonsense was taken"; done 2>/dev/null
memhp stat --mount hp >out
expect_line out "^machine +$scratch/hp$"
expect_line out "^ +alive for "
expect_line out "^ +1  Movable +0 +1 +0$"
expect_line out "^ +all +4 +16 +0$"
expect_line out "^errors .*EINVAL 3"
memhp stat --json --mount hp | python3 -c '
import json, sys
stat = json.load(sys.stdin)
assert stat["blocks"] == {"offline": 4, "online": 16, "going-offline": 0}, stat["blocks"]
assert stat["nodes"][1]["zones"]["Movable"] == {"online": 1}, stat["nodes"]
assert stat["errors"]["EINVAL"] == 3, stat["errors"]
assert stat["operations"]["write"] >= 5, stat["operations"]
assert stat["resident_bytes"] == 16 * stat["block_size"], stat["resident_bytes"]
assert stat["memmap_bytes"] > 0
assert stat["alive"] and not stat["stopped"] and stat["parked"] == 0'
# Memory that goes offline is the host's again.
before=$(figure resident_bytes hp)
echo offline >$memory/memory5/state
expect "resident bytes of one block less" $((before - $(figure resident_bytes hp))) 134217728
expect "watched readings" \
  "$(timeout 60 "$MEMHP" stat --json --watch 1 --mount hp | head -n 3 | grep -c '"alive":true')" 3
