#!/bin/sh
# nothing_blocks.sh SOURCE_DIR OBJECT...: the kernel model (emu/, without emu/explore/)
# decides by what it observes through tracked locks and cells, and waits through them only.
# Then it runs the same way on OS threads and under a scheduler that replays a schedule.
# This keeps out of its sources and objects what would break that: thread_local, locks and
# clocks of the standard library, calls that block, read a clock or yield.
set -u
sources=$1
shift
bad=0

# No unit is excepted. One that has to be (code at the edge, on which no branch of the model
# depends) would be named here, with its reason.

words='thread_local|std::mutex|std::shared_mutex|std::recursive_mutex|std::timed_mutex|std::condition_variable|std::(steady|system|high_resolution)_clock|chrono::[a-z_]*_clock|std::this_thread|std::j?thread|std::latch|std::barrier|std::counting_semaphore|std::(future|promise|async)'
for file in "$sources"/emu/*.h "$sources"/emu/*.cc; do
  # Comments may name them.
  if sed 's,//.*,,' "$file" | grep -nE "$words"; then
    echo "$file: uses what the lines above name"
    bad=1
  fi
done

calls='pthread_(mutex|cond|rwlock|spin|barrier)_|pthread_(create|join|self)|clock_(gettime|nanosleep)|gettimeofday|nanosleep|usleep|sched_yield|syscall|sem_(wait|timedwait)|poll|select|epoll_wait|__tls_get_addr|_ZN?K?St.*(condition_variable|this_thread|steady_clock|system_clock)'
checked=0
for object in "$@"; do
  checked=$((checked + 1))
  wanted=$(nm --undefined-only "$object") || exit 1
  if echo "$wanted" | awk '{ print $2 }' | grep -E "^($calls)"; then
    echo "$object: calls what the lines above name"
    bad=1
  fi
done
[ "$checked" -gt 0 ] || { echo "no objects given"; exit 1; }
[ "$bad" -eq 0 ] && echo "$checked objects: nothing blocks"
exit "$bad"
