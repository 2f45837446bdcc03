#!/bin/sh
# Every subcommand explains itself, on standard output.
. "$(dirname "$0")/lib.sh"
for command in "" run up down stat eras scenario lockgraph stress; do
  # shellcheck disable=SC2086 # "" is no word
  status_of memhp $command --help
  expect "exit status of memhp $command --help" $status 0
  expect "standard error" "$(cat err)" ""
  expect_line out "^Usage: memhp ${command:-SUBCOMMAND}"
done
for option in nodes memory movablecore dimm dax platform block-size max-memory cpus node-cpus distances \
  auto-online online-policy movable-node backing commit era lockdep lock-stat hung-task-timeout config; do
  memhp run --help >out
  expect_line out "^  --$option "
done
status_of memhp --version
expect_line out "^memhp [0-9]+\.[0-9]+\.[0-9]+$"
