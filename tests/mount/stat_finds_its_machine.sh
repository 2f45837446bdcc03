#!/bin/bash
# Without --mount: inside memhp run that machine, outside the only one there is.
. "$(dirname "$0")/lib.sh"
status_of memhp stat
if [ $status -eq 0 ] || grep -q "several machines" err; then
  skip "this user has a machine already: memhp down it"
fi
expect "exit status without a machine" $status 1
expect_one_line err
memhp run --memory 512M -- "$MEMHP" stat >out
expect_line out "^machine +of memhp run$"
expect_line out "^ +all +0 +4 +0$"
up "$scratch/a" --memory 512M
memhp stat >out
expect_line out "^machine +$scratch/a$"
up "$scratch/b" --memory 512M
status_of memhp stat
expect "exit status with two machines" $status 1
expect_one_line err
expect_line err "--mount.*$scratch"
