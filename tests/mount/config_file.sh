#!/bin/sh
# --config FILE sets any machine option, and the command line wins over it.
. "$(dirname "$0")/lib.sh"
need numactl lsmem
cat >machine.json <<'JSON'
{"nodes": 2, "memory": "512M", "dimm": ["128M@1", "256M@0"], "commit": "touch",
 "node-cpus": [[0, 1], []], "distances": [[10, 33], [33, 10]], "auto-online": "online"}
JSON
memhp run --config machine.json --memory 1G --dimm 128M@1 -- sh -c 'numactl -H; lsmem' >out
expect_line out "^node 0 cpus: 0 1$"
expect_line out "^ +1: +33 +10"
expect_line out "^Total online memory: +2.5G$"
