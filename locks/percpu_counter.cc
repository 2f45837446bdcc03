#include "locks/percpu_counter.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <string>
#include <utility>

namespace memhp {

constinit std::ptrdiff_t detail::rseq_offset = 0;

namespace {

bool rows_are_cpus() {
  return detail::rseq_offset != 0;
}

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
  return 8 * static_cast<unsigned>(bytes > 0 ? bytes : long{sizeof mask});
}

unsigned cpu_rows() {
  static const unsigned count = possible_cpus();
  return count;
}

// Trivial, so that it can be read in a signal handler and after the thread's destructors.
thread_local constinit unsigned my_row = no_row;

// While one lives, this thread's signals wait.
class signals_wait {
 public:
  signals_wait() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~signals_wait() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  signals_wait(const signals_wait&) = delete;
  signals_wait& operator=(const signals_wait&) = delete;

 private:
  sigset_t before_;
};

// Which thread has which row. Used while signals wait: a handler that counts would find
// the table locked by the thread it interrupts. A thread's end is told by a key's
// destructor, not by that of a thread_local, for which memory is allocated: a handler may
// be the first to count.
class row_table {
 public:
  row_table() : told_{pthread_key_create(&ends_, &row_table::thread_ends) == 0} {}

  // A row for this thread.
  unsigned take() {
    const std::lock_guard hold{lock_};
    const auto free = told_
                          ? std::find(taken_.begin(), taken_.begin() + shared_row, false)
                          : taken_.begin() + shared_row;
    const auto row = static_cast<unsigned>(free - taken_.begin());
    if (row == shared_row || pthread_setspecific(ends_, this) != 0) return share();
    taken_[row] = true;
    used_ = std::max(used_.load(), row + 1);
    return row;
  }
  // How many were ever taken: those to add up.
  unsigned used() const { return used_.load(std::memory_order_acquire); }

  // In the child of a fork.
  void forget_other_threads() {
    new (&lock_) std::mutex;  // a thread that is not there any more may have held it
    taken_.fill(false);
    if (my_row != no_row) taken_[my_row] = true;
  }

 private:
  unsigned share() {
    used_ = thread_rows;
    return shared_row;
  }
  // A destructor that comes after this one and counts takes a row again, and this one
  // comes again.
  static void thread_ends(void* table) {
    auto& rows = *static_cast<row_table*>(table);
    const signals_wait meanwhile;
    const std::lock_guard hold{rows.lock_};
    rows.taken_[std::exchange(my_row, no_row)] = false;
  }

  std::mutex lock_;
  std::array<bool, thread_rows> taken_{};
  std::atomic<unsigned> used_ = 0;
  pthread_key_t ends_{};
  const bool told_;  // else there are no keys left, and all threads share a row
};
row_table& table() {
  static auto& made = *new row_table;  // threads may outlive every destructor
  return made;
}

unsigned take_row() {
  const signals_wait meanwhile;
  if (my_row == no_row) my_row = table().take();  // else a handler was first
  return my_row;
}

// Adds to the row of this thread; takes one the first time.
percpu_count& add_to_thread_row(std::byte* row0) {
  const unsigned row = my_row == no_row ? take_row() : my_row;
  auto& word =
      *reinterpret_cast<percpu_count*>(row0 + (std::size_t{row} << percpu_row_shift));
#if defined(__x86_64__) && !defined(MEMHP_TSAN)
  if (row != shared_row) {
    // One instruction: a signal handler that locks between its load and its store loses
    // nothing. Nobody else writes here.
    asm volatile("incq %0" : "+m"(word) : : "memory", "cc");
    return word;
  }
#endif
  word.fetch_add(1, std::memory_order_seq_cst);
  return word;
}

}  // namespace

const percpu_count& percpu_add(std::byte* row0) {
#if MEMHP_RSEQ
  if (rows_are_cpus()) {
    const std::atomic<std::uint32_t> no_gate = 0;
    return detail::add_to_cpu_row<0, 0, percpu_order::plain>(detail::rseq_offset, row0,
                                                             no_gate)
        .word;
  }
#endif
  return add_to_thread_row(row0);
}

bool percpu_inline() {
  return rows_are_cpus() &&
         (known_rseq_offset == 0 || known_rseq_offset == detail::rseq_offset);
}

void percpu_init() {
  table();  // allocates: not when somebody counts
#if MEMHP_RSEQ
  static const bool decided = [] {
    // 0 where glibc could not register: an old kernel, valgrind, gVisor, or the tunable.
    if (__rseq_size == 0 || std::getenv("MEMHP_LOCKS_NO_RSEQ") != nullptr) return true;
    detail::rseq_offset = __rseq_offset;
    return true;
  }();
  static_cast<void>(decided);
#endif
}

unsigned percpu_rows() {
  return rows_are_cpus() ? cpu_rows() : table().used();
}

std::size_t percpu_segment_bytes() {
  const unsigned rows = rows_are_cpus() ? cpu_rows() : thread_rows;
  return std::size_t{rows} << percpu_row_shift;
}

void percpu_forget_other_threads() {
  table().forget_other_threads();
}

}  // namespace memhp
