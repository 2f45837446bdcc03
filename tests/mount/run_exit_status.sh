#!/bin/sh
# memhp run answers with its command's exit status, and with 125 to 127 for its own
# failures.
. "$(dirname "$0")/lib.sh"
run() { status_of memhp run --memory 512M --commit touch -- "$@"; }
run true;                    expect "exit status of true" $status 0
run sh -c 'exit 42';         expect "exit status of exit 42" $status 42
run sh -c 'kill -TERM $$';   expect "exit status of a death by SIGTERM" $status 143
run sh -c 'kill -KILL $$';   expect "exit status of a death by SIGKILL" $status 137
run ./absent;                expect "exit status of an absent command" $status 127
expect_one_line err
run "$scratch";              expect "exit status of a directory" $status 126
expect_one_line err
status_of memhp run --memory 512M --log /dev/full/log -- true
expect "exit status of a log that cannot be" $status 2
expect_one_line err
