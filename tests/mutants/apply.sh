#!/bin/sh
# Every mutant still applies to the tree and says what it is, and there are at least ten.
# That each is found shows scripts/mutants, which takes longer.
set -eu
command -v git >/dev/null || { echo "SKIPPED: git is not installed"; exit 77; }
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
GIT_CEILING_DIRECTORIES=$(dirname "$PWD")
export GIT_CEILING_DIRECTORIES

status=0
count=0
for patch in "$here"/*.patch "$here"/locks/*.patch; do
  git apply --check "$patch" || { echo "FAILED: $patch does not apply"; status=1; }
  fields="What Test"
  [ "${patch%/*}" != "$here" ] || fields="$fields Like"
  for field in $fields; do
    grep -q "^$field: ." "$patch" || { echo "FAILED: $patch has no line $field:"; status=1; }
  done
  count=$((count + 1))
done
[ $count -ge 10 ] || { echo "FAILED: $count mutants"; status=1; }
exit $status
