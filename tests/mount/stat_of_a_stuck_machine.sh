#!/bin/bash
# memhp stat answers while the daemon is stopped, and after it was killed.
. "$(dirname "$0")/lib.sh"
up "$scratch/hp" --memory 512M
worker=$(figure pid hp)
keeper=$(figure keeper hp)
kill -STOP "$worker" "$keeper"
timeout 5 "$MEMHP" stat --mount hp >out || fail "no answer"
stopped() { memhp stat --mount hp | grep -Eq "alive for .* STOPPED"; } # a signal takes its time
eventually stopped
expect_line out "^ +all +0 +4 +0$"
kill -9 "$worker" "$keeper"
eventually is_gone "$worker"
eventually is_gone "$keeper"
timeout 5 "$MEMHP" stat --mount hp >out || fail "no answer"
expect_line out "dead since "
expect_line out "^ +all +0 +4 +0$"
