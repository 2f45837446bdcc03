// Counters in shared memory, two a CPU, that a process changes without a locked
// instruction where it can, in a restartable sequence: the kernel restarts it if the
// thread is moved or interrupted before the increment.
//
// Thread safety: any thread, and signal handlers. One word must be changed either in
// restartable sequences only or by locked instructions only: the former would lose what
// the latter add from another CPU. So a process decides once for its row.
//
// Memory order: percpu_add() in a restartable sequence is an ordinary store on x86-64, so
// a release; the locked one is sequentially consistent. Neither kind of load or store of
// the caller moves across it in the compiler.
//
// Source: rseq(2), glibc's <sys/rseq.h>.
#pragma once

#include <cstddef>
#include <cstdint>

namespace memhp {

struct percpu_pair {
  std::uint64_t acquired;
  std::uint64_t released;
};
static_assert(sizeof(percpu_pair) == 16);

enum class counter : std::uint8_t { acquired, released };

// The counters of one process: on CPU n the pair row[n * percpu_stride]. Between them lie
// those of the other processes on the same CPU, so that CPUs share no cache line.
struct percpu_row {
  static constexpr unsigned percpu_stride = 64;

  percpu_pair* row;
  unsigned cpus;        // CPUs from here on
  percpu_pair* beyond;  // count here, with a locked instruction
};

// Whether threads of this process can use restartable sequences.
bool rseq_usable();

// Adds 1 to `which` counter of the CPU that this runs on.
void percpu_add(const percpu_row& row, counter which, bool use_rseq);

// The sum over all CPUs. Sequentially consistent loads.
std::uint64_t percpu_sum(const percpu_row& row, counter which);

// Sets all to 0. Nobody may change them at the same time.
void percpu_clear(const percpu_row& row);

}  // namespace memhp
