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

// One try. The increment is the last instruction of the sequence, its commit: before it
// nothing has happened, and the kernel lets the thread go on at 4: after it we are out.
// A thread without rseq has cpu_id -1, as unsigned beyond every limit.
[[gnu::always_inline]] inline outcome try_add(struct rseq* self, std::uint64_t* column,
                                              unsigned cpus) {
  constexpr unsigned shift =
      std::countr_zero(percpu_row::percpu_stride * sizeof(percpu_pair));
  asm volatile goto(
      ".pushsection __rseq_cs, \"aw\"\n\t"
      ".balign 32\n"
      "3:\n\t"
      ".long 0, 0\n\t"             // version, flags
      ".quad 1f, 2f - 1f, 4f\n\t"  // start, length, where to go on when interrupted
      ".popsection\n\t"
      "leaq 3b(%%rip), %%rax\n\t"
      "movq %%rax, %[cs]\n"
      "1:\n\t"
      "movl %[cpu], %%eax\n\t"
      "cmpl %[cpus], %%eax\n\t"
      "jae %l[no_entry]\n\t"
      "shlq %[shift], %%rax\n\t"
      "incq (%[column], %%rax)\n"
      "2:\n\t"
      ".pushsection __rseq_failure, \"ax\"\n\t"
      ".byte 0x0f, 0xb9, 0x3d\n\t"  // the signature that the kernel wants before 4:
      ".long %c[signature]\n"
      "4:\n\t"
      "jmp %l[interrupted]\n\t"
      ".popsection\n\t"
      :
      : [cs] "m"(self->rseq_cs), [cpu] "m"(self->cpu_id), [cpus] "r"(cpus),
        [column] "r"(column), [signature] "i"(RSEQ_SIG), [shift] "i"(shift)
      : "memory", "cc", "rax"
      : interrupted, no_entry);
  return outcome::added;
interrupted:
  return outcome::interrupted;
no_entry:
  return outcome::no_entry;
}

bool rseq_add(const percpu_row& row, counter which) {
  struct rseq* const self = this_thread_rseq();
  std::uint64_t* const column = &word(row.row[0], which);
  while (true) {
    const outcome what = try_add(self, column, row.cpus);
    if (what != outcome::interrupted) return what == outcome::added;
  }
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
