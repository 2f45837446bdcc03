#!/bin/sh
# readme_quotes.sh SOURCE_DIR: what README.md quotes is what is there: the example, line by
# line, and the names under which the library is found.
set -eu
cd "$1"
fail() { echo "FAILED: $*" >&2; exit 1; }

sed -n '/^```cpp$/,/^```$/p' README.md | sed '/^```/d' | diff - examples/config_table.cc ||
  fail "README.md does not quote examples/config_table.cc as it is"

# Each line that a user would copy, with what the project built by this test says.
consumer=tests/install/consumer/CMakeLists.txt
quoted() { grep -qF -- "$1" README.md || fail "README.md does not say: $1"; }
quoted "find_package(memhp COMPONENTS locks REQUIRED)"
quoted "target_link_libraries(program PRIVATE memhp::locks)"
quoted "pkg-config --cflags --libs memhp-locks"
grep -q "find_package(memhp .*COMPONENTS locks)" $consumer || fail "$consumer: find_package"
grep -q "set(locks memhp::locks)" $consumer || fail "$consumer: memhp::locks"
grep -q "pkg_check_modules(.* memhp-locks" $consumer || fail "$consumer: memhp-locks"

# What locks/README.md names exists.
for name in $(grep -o '`[a-z_]*\.h`' locks/README.md | tr -d '`' | sort -u); do
  [ -f "locks/$name" ] || fail "locks/README.md names $name"
done
for name in $(grep -o 'MEMHP_LOCKS_[A-Z_]*' locks/README.md | sort -u); do
  grep -q "getenv(\"$name\")" locks/*.cc || fail "locks/README.md names $name"
done
for variable in $(grep -ho 'getenv("[A-Z_]*")' locks/*.cc | cut -d '"' -f 2); do
  grep -q "$variable" locks/README.md || fail "locks/README.md lacks $variable"
done
