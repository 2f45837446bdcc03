#!/bin/sh
# lstopo draws the machine's nodes, also those that the host would not let it run on.
. "$(dirname "$0")/lib.sh"
need lstopo-no-graphics
memhp run --nodes 2 --memory 1G --cpus 2 -- lstopo-no-graphics --disallowed --of console >out 2>err
expect_line out "NUMANode L#0 \(P#0 (1023|1024)MB\)"
expect_line out "NUMANode L#1 \(P#1 (1023|1024)MB\)"
