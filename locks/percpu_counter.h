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
// Thread safety: any thread, and signal handlers: an increment cannot be torn. Where rows
// are threads, a thread's first one takes a mutex while its signals wait. (In a process
// with more than 32 thread-specific keys it may allocate.)
// Cost: six instructions, and two for the look at a gate. Memory order: an increment is
// a release on x86-64 (stores are not reordered) and by its instruction on aarch64; the
// compiler moves nothing across it.
//
// Limits: a shared object with these sequences in it must not be unloaded: the kernel may
// still look at the last one that a thread was in. A filter that refuses rseq(2) to
// threads made after it ends the process at their first count: they have no CPU number.
//
// Source: rseq(2), <sys/rseq.h> of glibc 2.35; the two counts are SRCU's.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

#include "locks/tsan.h"

// ThreadSanitizer does not see what assembly does.
#if defined(RSEQ_SIG) && (defined(__x86_64__) || defined(__aarch64__)) && \
    !defined(MEMHP_TSAN)
#define MEMHP_RSEQ 1
#else
#define MEMHP_RSEQ 0
#endif

namespace memhp {

using percpu_count = std::atomic<std::uint64_t>;
struct percpu_counts {
  percpu_count acquired;
  percpu_count released;
};
static_assert(sizeof(percpu_counts) == 16);

// What lies between an increment and the look after it: nothing but compiler order, or a
// full fence. The latter costs a locked instruction instead of a plain one.
enum class percpu_order : bool { plain, fenced };

// What an increment found.
struct percpu_added {
  bool open;                 // the gate
  const percpu_count& word;  // the one that was added to
};

// A row follows the one before after this many bytes: what one segment of the arena has
// for each row.
inline constexpr unsigned percpu_row_shift = 16;

// Where glibc keeps a thread's struct rseq, from its thread pointer, if that is known
// when this is compiled; else 0. A constant spares each sequence a load that its first
// store waits for: some CPUs (AMD's family 25) let the loads behind that store wait as
// well, and take twice as long. From glibc 2.41 on the place depends on the program.
#if defined(__x86_64__) && defined(__GLIBC__) && __GLIBC__ == 2 && __GLIBC_MINOR__ == 36
inline constexpr std::ptrdiff_t known_rseq_offset = 2336;
#else
inline constexpr std::ptrdiff_t known_rseq_offset = 0;
#endif

namespace detail {

// Where it lies in this process; 0 if rows are threads (the thread pointer's own place is
// never it). Decided once, before the first lock is made.
extern constinit std::ptrdiff_t rseq_offset;

#if MEMHP_RSEQ && defined(__x86_64__)
// gcc 12 takes an offset from %fs for an address near 0, where no object is.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Warray-bounds"

// A word of struct rseq as an operand behind "%%fs:", and for nothing else.
template <class Word>
[[gnu::always_inline]] inline Word& behind_fs(std::ptrdiff_t at) {
  return *reinterpret_cast<Word*>(at);  // NOLINT(performance-no-int-to-ptr)
}

// One increment at row0 + offset + (cpu << percpu_row_shift), and then a look at `gate`:
// open if it is at most `Most`. Between 1: and 2: the kernel sends the thread to 4: if
// it takes the CPU away; the increment is the last instruction, so then nothing has
// happened yet and the sequence begins anew. The look comes after the sequence.
//
// The scratch register is an output that is written early, not a clobber, and the look a
// flag, not a jump: gcc 12 has once put the gate's address into a register that an
// `asm goto` clobbered, and that function's readers did not see writers.
template <std::size_t Offset, std::uint32_t Most, percpu_order Order>
[[gnu::always_inline]] inline percpu_added add_to_cpu_row(
    std::ptrdiff_t rseq, std::byte* row0, const std::atomic<std::uint32_t>& gate) {
  std::byte* scratch = nullptr;
  bool open = false;
  asm volatile(
      ".pushsection __rseq_cs, \"aw?\"\n\t"
      ".balign 32\n"
      "3:\n\t"
      ".long 0, 0\n\t"             // version, flags
      ".quad 1f, 2f - 1f, 4f\n\t"  // start, length, where to go on
      ".popsection\n"
      "5:\n\t"
      "leaq 3b(%%rip), %[scratch]\n\t"
      "movq %[scratch], %%fs:%[cs]\n"
      "1:\n\t"
      "movl %%fs:%[cpu], %k[scratch]\n\t"
      "shlq %[shift], %[scratch]\n\t"
      // Not incq (row0, scratch): CPUs that forward a store to the next load by renaming,
      // at no cost, do so for one base register only. It halves the time of a pair there.
      "addq %[row0], %[scratch]\n\t"
      ".if %c[locked]\n\t"
      "lock\n\t"
      ".endif\n\t"
      "incq %c[offset](%[scratch])\n"
      "2:\n\t"
      "cmpl %[most], %[gate]\n\t"
      ".pushsection .text.memhp_rseq_abort, \"ax?\"\n\t"
      ".byte 0x0f, 0xb9, 0x3d\n\t"  // the kernel wants the signature before 4:
      ".long %c[signature]\n"
      "4:\n\t"
      "jmp 5b\n\t"
      ".popsection\n\t"
      : [scratch] "=&r"(scratch), "=@ccbe"(open)
      : [cs] "m"(behind_fs<std::uint64_t>(rseq + 8)),
        [cpu] "m"(behind_fs<std::uint32_t>(rseq + 4)), [row0] "r"(row0), [gate] "m"(gate),
        [offset] "i"(Offset), [shift] "i"(percpu_row_shift), [most] "i"(Most),
        [signature] "i"(RSEQ_SIG), [locked] "i"(Order == percpu_order::fenced ? 1 : 0)
      : "memory");
  return {open, *reinterpret_cast<percpu_count*>(scratch + Offset)};
}
#pragma GCC diagnostic pop
#elif MEMHP_RSEQ
// The same for aarch64: the store commits, and is a release.
template <std::size_t Offset, std::uint32_t Most, percpu_order Order>
[[gnu::always_inline]] inline percpu_added add_to_cpu_row(
    std::ptrdiff_t rseq, std::byte* row0, const std::atomic<std::uint32_t>& gate) {
  std::byte* place = nullptr;
  std::uint64_t count = 0;
  asm volatile(
      ".pushsection __rseq_cs, \"aw?\"\n\t"
      ".balign 32\n"
      "3:\n\t"
      ".long 0, 0\n\t"
      ".quad 1f, 2f - 1f, 4f\n\t"
      ".popsection\n"
      "5:\n\t"
      "adrp %[place], 3b\n\t"
      "add %[place], %[place], :lo12:3b\n\t"
      "str %[place], [%[rseq], 8]\n"
      "1:\n\t"
      "ldr %w[place], [%[rseq], 4]\n\t"
      "add %[place], %[word], %[place], lsl %c[shift]\n\t"
      "ldr %[count], [%[place]]\n\t"
      "add %[count], %[count], 1\n\t"
      "stlr %[count], [%[place]]\n"
      "2:\n\t"
      ".pushsection .text.memhp_rseq_abort, \"ax?\"\n\t"
      ".long %c[signature]\n"
      "4:\n\t"
      "b 5b\n\t"
      ".popsection\n\t"
      : [place] "=&r"(place), [count] "=&r"(count)
      : [rseq] "r"(static_cast<char*>(__builtin_thread_pointer()) + rseq),
        [word] "r"(row0 + Offset), [shift] "i"(percpu_row_shift),
        [signature] "i"(RSEQ_SIG)
      : "memory");
  if constexpr (Order == percpu_order::fenced)
    std::atomic_thread_fence(std::memory_order_seq_cst);
  return {gate.load(std::memory_order_acquire) <= Most,
          *reinterpret_cast<percpu_count*>(place)};
}
#endif

}  // namespace detail

#if MEMHP_RSEQ
// Adds 1 to the word at `Offset` of the pair whose row 0 is at `row0`, in the row that is
// ours, and says whether `gate` is at most `Most` then: an acquire load, after the
// increment in the order asked for. Only where percpu_inline() is true.
template <std::size_t Offset, std::uint32_t Most, percpu_order Order>
[[gnu::always_inline]] inline percpu_added percpu_add_inline(
    std::byte* row0, const std::atomic<std::uint32_t>& gate) {
  if constexpr (known_rseq_offset != 0)
    return detail::add_to_cpu_row<Offset, Most, Order>(known_rseq_offset, row0, gate);
  else
    return detail::add_to_cpu_row<Offset, Most, Order>(detail::rseq_offset, row0, gate);
}
#endif

// Adds 1 to the word whose row 0 is at `row0`, in the row that is ours, everywhere;
// returns the one it added to. A call: for rows that are threads, for a struct rseq that
// lies elsewhere than where this was compiled for, and for a caller that is compiled for
// ThreadSanitizer where the library is not. What a row is, the library alone decides: two
// opinions in one process would be a lock that does not lock.
const percpu_count& percpu_add(std::byte* row0);

// Whether percpu_add_inline() counts where percpu_add() does, in this process.
bool percpu_inline();

// Decides what rows are, the first time. Every lock calls it before it is used.
void percpu_init();

// How many rows there may be to add up.
unsigned percpu_rows();

// Bytes of address space for the rows of one segment of locks.
std::size_t percpu_segment_bytes();

// In the child of a fork: rows of threads that are not there are free again.
void percpu_forget_other_threads();

}  // namespace memhp
