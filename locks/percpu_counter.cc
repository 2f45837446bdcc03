#include "locks/percpu_counter.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <string>

namespace memhp {
namespace detail {

constinit row_kind rows = row_kind::thread;
constinit std::ptrdiff_t rseq_offset = 0;

}  // namespace detail

namespace {

// Threads beyond this many share the last row, with locked instructions.
constexpr unsigned thread_rows = 1024;
constexpr unsigned shared_row = thread_rows - 1;
constexpr unsigned no_row = ~0U;

// The most CPUs that this kernel can ever have. Not from /sys: that may be an emulated
// one, and a row too few would be a lock that does not lock. The mask in /proc has a
// digit for every four.
unsigned possible_cpus() {
  std::ifstream status{"/proc/self/status"};
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("Cpus_allowed:")) continue;
    const auto digits =
        std::ranges::count_if(line.substr(line.find(':')),
                              [](unsigned char c) { return std::isxdigit(c) != 0; });
    return 4 * static_cast<unsigned>(digits);
  }
  // The system call returns the size of the kernel's masks.
  std::array<unsigned long, 1024> mask{};
  const long bytes = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask.data());
  return bytes > 0 ? 8 * static_cast<unsigned>(bytes) : 8 * sizeof mask;
}

unsigned cpu_rows() {
  static const unsigned count = possible_cpus();
  return count;
}

// Which thread has which row.
struct row_table {
  std::mutex lock;
  std::array<bool, thread_rows> taken{};
  std::atomic<unsigned> used = 0;  // rows that were ever taken

  unsigned take() {
    const std::lock_guard hold{lock};
    const auto free = std::find(taken.begin(), taken.begin() + shared_row, false);
    const auto row = static_cast<unsigned>(free - taken.begin());
    taken[row] = true;
    used = std::max(used.load(), row + 1);
    return row;
  }
  void give_back(unsigned row) {
    const std::lock_guard hold{lock};
    if (row != shared_row) taken[row] = false;
  }
};
row_table& table() {
  static auto& made = *new row_table;  // threads may outlive every destructor
  return made;
}

// Trivial, so that it can be read in a signal handler and after the thread's destructors.
thread_local constinit unsigned my_row = no_row;

struct row_owner {
  ~row_owner() {
    if (my_row == no_row) return;
    table().give_back(my_row);
    my_row = shared_row;  // what comes still
  }
};

unsigned take_row() {
  thread_local row_owner gives_back;
  static_cast<void>(&gives_back);
  my_row = table().take();
  return my_row;
}

}  // namespace

void detail::add_to_thread_row(std::byte* row0) {
  const unsigned row = my_row == no_row ? take_row() : my_row;
  auto& word = *reinterpret_cast<std::atomic<std::uint64_t>*>(
      row0 + (std::size_t{row} << percpu_row_shift));
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
  if (row != shared_row) {
    // One instruction: a signal handler that locks between its load and its store loses
    // nothing. Nobody else writes here.
    asm volatile("incq %0" : "+m"(word) : : "memory", "cc");
    return;
  }
#endif
  word.fetch_add(1, std::memory_order_seq_cst);
}

void percpu_init() {
#if MEMHP_RSEQ
  static const bool decided = [] {
    // 0 where glibc could not register: an old kernel, valgrind, gVisor, or the tunable.
    if (__rseq_size == 0 || std::getenv("MEMHP_LOCKS_NO_RSEQ") != nullptr) return true;
    detail::rseq_offset = __rseq_offset;
    detail::rows = detail::row_kind::cpu;
    return true;
  }();
  static_cast<void>(decided);
#endif
}

unsigned percpu_rows() {
  return detail::rows == detail::row_kind::cpu
             ? cpu_rows()
             : table().used.load(std::memory_order_acquire);
}

std::size_t percpu_segment_bytes() {
  const unsigned rows = detail::rows == detail::row_kind::cpu ? cpu_rows() : thread_rows;
  return std::size_t{rows} << percpu_row_shift;
}

void percpu_forget_other_threads() {
  row_table& known = table();
  new (&known.lock) std::mutex;  // a thread that is not there any more may have held it
  known.taken.fill(false);
  if (my_row != no_row) known.taken[my_row] = true;
}

}  // namespace memhp
