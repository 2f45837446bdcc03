#!/bin/sh
# A daemon logs to a file named after its mount: in /var/log/memhp for root, in the state
# directory of anybody else.
. "$(dirname "$0")/lib.sh"
name=$(echo "$scratch/hp" | sed 's|^/||; s|/|-|g').log
mkdir hp
mounts="$scratch/hp"
memhp up --mount hp --memory 512M
if is_root; then
  log=/var/log/memhp/$name
  cp "$log" copy.log
  memhp down --mount hp
  rm "$log"
  rmdir /var/log/memhp 2>/dev/null || true
else
  cp "state/memhp/$name" copy.log
fi
expect_line copy.log "serving a machine at $scratch/hp"
