// Who sleeps, and cannot be interrupted: what a detector of hung tasks looks at.
//
// Whoever waits for a lock, for a tracked_completion or in a tracked_wait_queue and still
// sleeps after a moment (`grace`) writes down who it is and where, and goes on sleeping.
// Threads that are idle wait on a raw completion and are not among them.
//
// Cost: nothing when a lock need not be waited for, nor while the waiter spins; one clock
// reading for a wait that is shorter than the moment; a stack trace (some microseconds)
// and a mutex for a longer one. Not watched (the default): a load and a branch a sleep.
//
// Thread safety: every function may be called by any thread. Not for the child of a fork
// of a program with several threads.
// Mirrors TASK_UNINTERRUPTIBLE and the switch counts that kernel/hung_task.c (6.1) looks
// at: a task that was woken and sleeps again begins a new wait.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "locks/futex.h"
#include "locks/lockdep_report.h"
#include "locks/stack_trace.h"

namespace memhp {

// One task and the wait that it is in.
struct blocked_task {
  std::uint64_t wait = 0;  // a number that no other wait has
  reported_task task;
  stack_trace where;  // innermost first
};

namespace blocked_tasks {

namespace detail {
inline constinit std::atomic<bool> watched = false;
inline constinit std::atomic<std::int64_t> grace_ns = 0;
struct record;
void sleep_on(const void* word, std::uint32_t expected);
}  // namespace detail

inline constexpr std::chrono::milliseconds usual_grace{100};

// From now on, or no longer. A sleep that has begun is not seen before the next one.
void set_watched(bool on, std::chrono::nanoseconds grace = usual_grace);
inline bool watched() {
  return detail::watched.load(std::memory_order_relaxed);
}
// How long a sleep is nobody's business.
inline std::chrono::nanoseconds grace() {
  return std::chrono::nanoseconds{detail::grace_ns.load(std::memory_order_relaxed)};
}

// The waits of those that sleep now, the longest asleep first.
std::vector<std::uint64_t> waits();
// One of them; nothing once it is over. Reads the task's name from a file.
std::optional<blocked_task> find(std::uint64_t wait);

// While it lives, the current thread is one of them; its stack is that of where it began.
class scope {
 public:
  scope();
  ~scope();
  scope(const scope&) = delete;
  scope& operator=(const scope&) = delete;

 private:
  detail::record* const record_;
};

// futex_wait() for one who waits for a lock; as there, the condition is tested again
// after every return.
inline void sleep_on(const void* word, std::uint32_t expected) {
  if (watched())
    detail::sleep_on(word, expected);
  else
    futex_wait(word, expected);
}

}  // namespace blocked_tasks
}  // namespace memhp
