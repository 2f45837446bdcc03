#!/bin/sh
# headers.sh SOURCE_DIR STAGE: each installed header is named in locks/README.md or included
# by another that is installed. (That none is missing, the consumer sees: it compiles each.)
set -eu
readme=$1/locks/README.md
cd "$2/include/memhp/locks"
status=0
for header in *.h; do
  grep -qF "\`$header\`" "$readme" || grep -qF "#include \"locks/$header\"" ./*.h || {
    echo "FAILED: $header is installed; nobody is told of it and no header needs it" >&2
    status=1
  }
done
# What README.md offers is there.
for header in $(grep -o '`[a-z_]*\.h`' "$readme" | tr -d '`' | sort -u); do
  [ -f "$header" ] || { echo "FAILED: $header is not installed" >&2; status=1; }
done
exit $status
