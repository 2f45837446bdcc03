// Counters that every CPU has for itself, changed without a locked instruction.
//
// A counter pair is two monotonic counts per row: `acquired` and `released`. Two, because
// a reader may move to another CPU between the two: with a single count that goes up and
// down, a writer that reads the CPUs in turn could meet the -1 and miss the +1. And
// because adding to two words takes half the time of adding to one that was just changed.
//
// A row is a CPU where the process has restartable sequences (rseq): the kernel restarts
// the sequence when the thread is moved or interrupted before its last instruction, the
// increment. Without, a row is a thread; rows outlive their threads and are used again,
// so nothing is registered per lock or added up when a thread ends.
//
// The rows of all locks lie side by side, 16 bytes per lock and row (percpu_arena.h).
//
// Thread safety: any thread, and signal handlers: an increment is one instruction.
// Cost: five instructions. Memory order: an increment is a release on x86-64 (stores are
// not reordered) and by its instruction on aarch64; the compiler moves nothing across it.
//
// Source: rseq(2), <sys/rseq.h> of glibc 2.35; the two counts are SRCU's.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

// ThreadSanitizer does not see what assembly does.
#if defined(RSEQ_SIG) && defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define MEMHP_RSEQ 1
#else
#define MEMHP_RSEQ 0
#endif

namespace memhp {

struct percpu_counts {
  std::atomic<std::uint64_t> acquired;
  std::atomic<std::uint64_t> released;
};
static_assert(sizeof(percpu_counts) == 16);

// A row follows the one before after this many bytes: what one segment of the arena has
// for each row.
inline constexpr unsigned percpu_row_shift = 16;

namespace detail {

// What a row is in this process; decided once, before the first lock is made.
enum class row_kind : std::uint8_t { cpu, thread };
extern constinit row_kind rows;
// Where this thread's struct rseq lies, from the thread pointer.
extern constinit std::ptrdiff_t rseq_offset;

// Adds to the row of this thread; takes one the first time.
void add_to_thread_row(std::byte* row0);

#if MEMHP_RSEQ
// One increment at row0 + (cpu << percpu_row_shift). Between 1: and 2: the kernel sends
// the thread to 4: if it takes the CPU away; the increment is the last instruction, so
// then nothing has happened yet and the sequence begins anew.
[[gnu::always_inline]] inline void add_to_cpu_row(std::byte* row0) {
  asm volatile(
      ".pushsection __rseq_cs, \"aw?\"\n\t"
      ".balign 32\n"
      "3:\n\t"
      ".long 0, 0\n\t"             // version, flags
      ".quad 1f, 2f - 1f, 4f\n\t"  // start, length, where to go on
      ".popsection\n"
      "5:\n\t"
      "leaq 3b(%%rip), %%rax\n\t"
      "movq %%rax, %%fs:8(%[rseq])\n"  // rseq->rseq_cs
      "1:\n\t"
      "movl %%fs:4(%[rseq]), %%eax\n\t"  // rseq->cpu_id
      "shlq %[shift], %%rax\n\t"
      "incq (%[row0], %%rax)\n"
      "2:\n\t"
      ".pushsection .text.memhp_rseq_abort, \"ax?\"\n\t"
      ".byte 0x0f, 0xb9, 0x3d\n\t"  // the kernel wants the signature before 4:
      ".long %c[signature]\n"
      "4:\n\t"
      "jmp 5b\n\t"
      ".popsection\n\t"
      :
      : [rseq] "r"(rseq_offset), [row0] "r"(row0), [shift] "i"(percpu_row_shift),
        [signature] "i"(RSEQ_SIG)
      : "memory", "cc", "rax");
}
#endif

}  // namespace detail

// Adds 1 to the word `row0` of the row that is ours.
[[gnu::always_inline]] inline void percpu_add(std::byte* row0) {
#if MEMHP_RSEQ
  if (detail::rows == detail::row_kind::cpu) [[likely]] {
    detail::add_to_cpu_row(row0);
    return;
  }
#endif
  detail::add_to_thread_row(row0);
}

// Decides what rows are, the first time. Every lock calls it before it is used.
void percpu_init();

// How many rows there may be to add up.
unsigned percpu_rows();

// Bytes of address space for the rows of one segment of locks.
std::size_t percpu_segment_bytes();

// In the child of a fork: rows of threads that are not there are free again.
void percpu_forget_other_threads();

}  // namespace memhp
