#!/bin/bash
# Only its owner may read a machine's figures.
. "$(dirname "$0")/lib.sh"
is_root || skip "only root can become somebody else; as root this runs"
chmod 755 "$scratch"
cp "$MEMHP" memhp.copy
chmod 755 memhp.copy
# Machines that were killed earlier may have left theirs, for who asks what they did.
segments() { find /dev/shm -maxdepth 1 -name 'memhp.0.*' | sort; }
before=$(segments)
up "$scratch/hp" --memory 512M
segment=$(comm -13 <(echo "$before") <(segments))
expect "mode" "$(stat -c %a "$segment")" 600
status_of setpriv --reuid 65534 --regid 65534 --clear-groups ./memhp.copy stat --mount "$scratch/hp"
expect "exit status for another user" $status 1
expect_one_line err
expect_line err "no machine"
