#!/bin/sh
# The transcript that README.md opens with is what these commands print.
. "$(dirname "$0")/lib.sh"
readme=$(dirname "$0")/../../README.md
sed '1,/^```$/d;/^```$/,$d' "$readme" >transcript
machine=$(sed -n 's/^\$ memhp run \(.*\) -- bash$/\1/p' transcript)
[ -n "$machine" ] || fail "README.md does not open with memhp run"

# Each command, and then what it prints, as in a shell of root.
sed -n 's/^# //p' transcript | while read -r command; do
  printf 'echo "# %s"\n%s\n' "$command" "$command"
done >session
# shellcheck disable=SC2086 # one word an option
memhp run $machine -- sh session >printed
# How much is free depends on what the host gives out in which order.
for text in transcript printed; do
  sed '/^\$ /d;s/free: .*/free/' $text >$text.same
done
diff transcript.same printed.same || fail "README.md shows something else"
