// What no lock of our kind can undercut: parts of one, and one that only spins.
#pragma once

#include <linux/membarrier.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "bench/locks_bench/contender.h"
#include "bench/locks_bench/measure.h"
#include "locks/futex.h"

namespace memhp::bench {

// The loop around the others.
struct empty_loop {
  static constexpr std::string_view name = "limit: empty loop";
  static constexpr role part = role::limit;
  struct session {
    explicit session(empty_loop& /*loop*/) {}
  };
  void read_lock(session& /*mine*/) {}
  void read_unlock(session& /*mine*/) {}
};

// Two counters of the CPU, each bumped in a restartable sequence, and nothing else: no
// test of a state. The least with which readers can be counted by CPU, without any order
// or, Fenced, with the fence that a reader needs while writers run no barrier for it.
template <bool Fenced>
class rseq_pair_of {
 public:
  static constexpr std::string_view name =
      Fenced ? "limit: fenced rseq pair" : "limit: bare rseq pair";
  static constexpr role part = role::limit;
  struct session {
    explicit session(rseq_pair_of& /*pair*/) {}
  };

  // Without rseq (valgrind, glibc.pthread.rseq=0) there is nothing to measure.
  rseq_pair_of() : counters_(cpus()) {
    if (__rseq_size == 0) throw std::runtime_error{"this process has no rseq"};
  }
  void read_lock(session& /*mine*/) { bump<Fenced>(counters_.data()); }
  void read_unlock(session& /*mine*/) { bump<false>(&counters_.data()->left); }

 protected:
  // Who left first: readers that come or go meanwhile seem to be in, never out.
  bool nobody_reads() {
    std::uint64_t left = 0;
    std::uint64_t entered = 0;
    for (percpu& each : counters_)
      left += std::atomic_ref{each.left}.load(std::memory_order_acquire);
    for (percpu& each : counters_)
      entered += std::atomic_ref{each.entered}.load(std::memory_order_acquire);
    return entered == left;
  }

 private:
  struct alignas(128) percpu {  // no CPU disturbs another
    std::uint64_t entered = 0;
    std::uint64_t left = 0;
  };

  // Adds one to the word of this CPU, 128 bytes a CPU from `first` on. If the kernel
  // takes the CPU away in between, it continues at 4, which starts over.
  template <bool Locked>
  static void bump(void* first) {
#if defined(__x86_64__)
    std::uintptr_t scratch;
    asm volatile(
        ".pushsection __rseq_cs, \"aw\"\n\t"
        ".balign 32\n"
        "3:\t.long 0, 0\n\t"
        ".quad 1f, 2f - 1f, 4f\n\t"
        ".popsection\n"
        "5:\tlea 3b(%%rip), %[scratch]\n\t"
        "mov %[scratch], %%fs:8(%[rseq])\n"
        "1:\tmov %%fs:4(%[rseq]), %k[scratch]\n\t"
        "shl $7, %[scratch]\n\t"
        // Added up first: with an index register some CPUs take twice as long.
        "add %[first], %[scratch]\n\t"
        ".if %c[locked]\n\tlock\n\t.endif\n\t"
        "incq (%[scratch])\n"
        "2:\n\t"
        ".pushsection __rseq_failure, \"ax\"\n\t"
        ".byte 0x0f, 0xb9, 0x3d\n\t"  // with the signature an undefined instruction
        ".long 0x53053053\n"
        "4:\tjmp 5b\n\t"
        ".popsection"
        : [scratch] "=&r"(scratch)
        : [rseq] "r"(__rseq_offset), [first] "r"(first), [locked] "i"(Locked ? 1 : 0)
        : "memory", "cc");
#elif defined(__aarch64__)
    std::uintptr_t scratch;
    std::uint64_t value;
    asm volatile(
        ".pushsection __rseq_cs, \"aw\"\n\t"
        ".balign 32\n"
        "3:\t.long 0, 0\n\t"
        ".quad 1f, 2f - 1f, 4f\n\t"
        ".popsection\n"
        "5:\tadrp %[scratch], 3b\n\t"
        "add %[scratch], %[scratch], :lo12:3b\n\t"
        "str %[scratch], [%[rseq], #8]\n"
        "1:\tldr %w[scratch], [%[rseq], #4]\n\t"
        "add %[scratch], %[first], %[scratch], lsl #7\n\t"
        "ldr %[value], [%[scratch]]\n\t"
        "add %[value], %[value], #1\n\t"
        "str %[value], [%[scratch]]\n"
        "2:\n\t"
        ".pushsection __rseq_failure, \"ax\"\n\t"
        ".inst 0xd428bc00\n"
        "4:\tb 5b\n\t"
        ".popsection"
        : [scratch] "=&r"(scratch), [value] "=&r"(value)
        : [rseq] "r"(static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset),
          [first] "r"(first)
        : "memory", "cc");
    if constexpr (Locked) std::atomic_thread_fence(std::memory_order_seq_cst);
#else
#error "no restartable sequence for this processor yet"
#endif
  }

  // Numbers of CPUs are below it.
  static std::size_t cpus() {
    return static_cast<std::size_t>(sysconf(_SC_NPROCESSORS_CONF));
  }

  std::vector<percpu> counters_;
};
using rseq_pair = rseq_pair_of<false>;
using fenced_rseq_pair = rseq_pair_of<true>;

// The least lock whose readers are counted by CPU and fenced: a flag, the counts, and
// everybody spins. No queue, no sleep, no order of arrival.
class spinning_over_cpus : fenced_rseq_pair {
 public:
  static constexpr std::string_view name = "limit: spinning lock over CPU counts";
  static constexpr role part = role::limit;
  struct session : fenced_rseq_pair::session {
    explicit session(spinning_over_cpus& lock) : fenced_rseq_pair::session{lock} {}
  };

  void read_lock(session& mine) {
    while (true) {
      fenced_rseq_pair::read_lock(mine);
      if (!writing_.load(std::memory_order_acquire)) return;
      fenced_rseq_pair::read_unlock(mine);
      wait_for_writer();
    }
  }
  void read_unlock(session& mine) { fenced_rseq_pair::read_unlock(mine); }
  void write_lock(session& /*mine*/) {
    while (writing_.exchange(true)) wait_for_writer();
    while (!nobody_reads()) cpu_relax();
  }
  void write_unlock(session& /*mine*/) {
    writing_.store(false, std::memory_order_release);
  }

 private:
  void wait_for_writer() const {
    while (writing_.load(std::memory_order_relaxed)) cpu_relax();
  }

  alignas(128) std::atomic<bool> writing_ = false;
};

// The expedited barrier that a writer pays so that readers need none.
struct membarrier_call {
  static constexpr std::string_view name = "limit: membarrier alone";
  static constexpr role part = role::limit;
  struct session {
    explicit session(membarrier_call& /*call*/) {}
  };
  membarrier_call() {
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0)
      throw std::runtime_error{"membarrier is not to be had"};
  }
  void write_lock(session& /*mine*/) {
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
      throw std::runtime_error{"membarrier failed"};
  }
  void write_unlock(session& /*mine*/) {}
};

}  // namespace memhp::bench
