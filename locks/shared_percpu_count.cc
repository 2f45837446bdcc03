#include "locks/shared_percpu_count.h"

#include <sched.h>

#include <atomic>
#include <bit>

#if defined(__x86_64__) && defined(__has_include)
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif
#endif

// ThreadSanitizer does not see what assembly does; valgrind and gVisor have no rseq, and
// say so through __rseq_size.
#if defined(RSEQ_SIG) && !defined(__SANITIZE_THREAD__)
#define MEMHP_SHARED_RSEQ 1
#else
#define MEMHP_SHARED_RSEQ 0
#endif

namespace memhp {
namespace {

percpu_pair& on_cpu(const percpu_row& row, unsigned cpu) {
  return row.row[std::size_t{cpu} * percpu_row::percpu_stride];
}

std::uint64_t& word(percpu_pair& pair, counter which) {
  return which == counter::acquired ? pair.acquired : pair.released;
}

void locked_add(percpu_pair& pair, counter which) {
  std::atomic_ref{word(pair, which)}.fetch_add(1, std::memory_order_seq_cst);
}

#if MEMHP_SHARED_RSEQ

struct rseq* this_thread_rseq() {
  std::byte* thread = nullptr;
  asm("movq %%fs:0, %0" : "=r"(thread));  // the thread pointer; its own address is there
  return reinterpret_cast<struct rseq*>(thread + __rseq_offset);
}

enum class outcome : std::uint8_t { added, interrupted, no_entry };

// Adds 1 in the row of this CPU; false if this thread has no number of one. When the
// kernel takes the CPU away between 1: and 2: it lets the thread go on at 4:, and the
// sequence begins anew: the increment is the last instruction, before it nothing has
// happened. A thread without rseq has cpu_id -1, as unsigned beyond every limit.
[[gnu::always_inline]] inline bool add_to_cpu_row(struct rseq* self,
                                                  std::uint64_t* column, unsigned cpus) {
  constexpr unsigned shift =
      std::countr_zero(percpu_row::percpu_stride * sizeof(percpu_pair));
  std::uintptr_t scratch = 0;
  bool known = false;
  asm volatile(
      ".pushsection __rseq_cs, \"aw\"\n\t"
      ".balign 32\n"
      "3:\n\t"
      ".long 0, 0\n\t"             // version, flags
      ".quad 1f, 2f - 1f, 4f\n\t"  // start, length, where to go on when interrupted
      ".popsection\n"
      "5:\n\t"
      "leaq 3b(%%rip), %[scratch]\n\t"
      "movq %[scratch], %[cs]\n"
      "1:\n\t"
      "movl %[cpu], %k[scratch]\n\t"
      "cmpl %[cpus], %k[scratch]\n\t"
      "jae 6f\n\t"
      "shlq %[shift], %[scratch]\n\t"
      "incq (%[column], %[scratch])\n"
      "2:\n\t"
      "movb $1, %[known]\n"
      "6:\n\t"
      ".pushsection __rseq_failure, \"ax\"\n\t"
      ".byte 0x0f, 0xb9, 0x3d\n\t"  // the signature that the kernel wants before 4:
      ".long %c[signature]\n"
      "4:\n\t"
      "jmp 5b\n\t"
      ".popsection\n\t"
      : [scratch] "=&r"(scratch), [known] "+&q"(known), [cs] "=m"(self->rseq_cs)
      : [cpu] "m"(self->cpu_id), [cpus] "r"(cpus), [column] "r"(column),
        [signature] "i"(RSEQ_SIG), [shift] "i"(shift)
      : "memory", "cc");
  return known;
}

bool rseq_add(const percpu_row& row, counter which) {
  return add_to_cpu_row(this_thread_rseq(), &word(row.row[0], which), row.cpus);
}

#else

bool rseq_add(const percpu_row&, counter) {
  return false;
}

#endif

}  // namespace

bool rseq_usable() {
#if MEMHP_SHARED_RSEQ
  return __rseq_size > 0;
#else
  return false;
#endif
}

void percpu_add(const percpu_row& row, counter which, bool use_rseq) {
  if (use_rseq) {
    if (rseq_add(row, which)) return;
  } else {
    const int cpu = sched_getcpu();
    if (cpu >= 0 && static_cast<unsigned>(cpu) < row.cpus) {
      locked_add(on_cpu(row, static_cast<unsigned>(cpu)), which);
      return;
    }
  }
  locked_add(*row.beyond, which);
}

std::uint64_t percpu_sum(const percpu_row& row, counter which) {
  auto sum = std::atomic_ref{word(*row.beyond, which)}.load(std::memory_order_seq_cst);
  for (unsigned cpu = 0; cpu < row.cpus; ++cpu)
    sum += std::atomic_ref{word(on_cpu(row, cpu), which)}.load(std::memory_order_seq_cst);
  return sum;
}

void percpu_clear(const percpu_row& row) {
  for (const counter which : {counter::acquired, counter::released}) {
    std::atomic_ref{word(*row.beyond, which)}.store(0, std::memory_order_seq_cst);
    for (unsigned cpu = 0; cpu < row.cpus; ++cpu)
      std::atomic_ref{word(on_cpu(row, cpu), which)}.store(0, std::memory_order_seq_cst);
  }
}

}  // namespace memhp
