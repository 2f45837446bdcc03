# Shared by the scripts here: where the project is, what it needs, how it says things.
# Source it; it changes to the top of the project.
set -eu
cd "$(dirname "$0")/.."

# Each heading says how long after the start it was printed.
began=$(date +%s)
say() { printf '\n== %s (%d s)\n' "$*" $(($(date +%s) - began)); }
die() { printf '%s\n' "$*" >&2; exit 1; }

# All from Debian 12.
build_packages="g++ cmake ninja-build pkg-config libfuse3-dev fuse3 libnuma-dev
  liburing-dev libboost-dev libboost-context-dev libfmt-dev libspdlog-dev libcli11-dev
  nlohmann-json3-dev libgtest-dev libgmock-dev libbenchmark-dev"
demo_packages="util-linux numactl hwloc-nox graphviz"
test_packages="clang-19 clang-tidy-19
  clang-format-19 git stress-ng attr procps python3 daxctl valgrind
  g++-aarch64-linux-gnu"

# Locks that bench/locks_bench compares ours with; it does without those that are missing.
bench_packages="libboost-thread-dev libabsl-dev libtbb-dev libck-dev
  liburcu-dev"

missing_packages() {
  for package in "$@"; do
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
      printf '%s ' "$package"
  done
}

# need PACKAGE...: installs what is missing, as root; tells an ordinary user what to ask for.
need() {
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  say "Installing $missing"
  if [ "$(id -u)" -ne 0 ]; then
    die "missing packages; as root: apt-get install --no-install-recommends $missing"
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  # shellcheck disable=SC2086 # one word a package
  apt-get install -q -y --no-install-recommends $missing
}

# configure PRESET: makes build/PRESET ready to be built.
configure() {
  preset=$1
  cmake --preset "$preset" >"/tmp/memhp-cmake.$$" 2>&1 || {
    cat "/tmp/memhp-cmake.$$"
    die "cmake --preset $preset failed"
  }
  rm -f "/tmp/memhp-cmake.$$"
}

# build PRESET [TARGET...]: configures and builds into build/PRESET.
build() {
  configure "$1"
  shift
  if [ $# -gt 0 ]; then
    cmake --build "build/$preset" --target "$@"
  else
    cmake --build "build/$preset"
  fi
}
