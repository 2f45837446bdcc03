// The detector of hung tasks: says so, once, when a task has waited for too long.
//
// It has no thread and no clock: whoever has both calls check() now and then. A task is
// hung if one and the same wait of locks/blocked_tasks.h was seen in two calls that lie
// hung_task_timeout_secs apart. What is printed goes to proc/kmsg and the log: for each
// task its stack, and in the end all locks that are held, which the validator knows.
//
// Unlike the kernel's, it reports a hang once and not again after each interval; and it
// sees a task that offlines pinned pages, although a signal would end that: the kernel's
// would sleep in the migration of a page, uninterruptibly.
//
// Thread safety: check() belongs to one thread at a time; the rest to any.
// Mirrors kernel/hung_task.c (6.1).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>

#include "locks/blocked_tasks.h"

namespace memhp {

struct kernel;

class hung_task_detector {
 public:
  explicit hung_task_detector(kernel& k) : k_{k} {}

  // proc/sys/kernel: seconds, 0 for never; and how many tasks are still reported, -1 for
  // any number.
  std::atomic<std::uint64_t> timeout_secs = 120;
  std::atomic<std::int64_t> warnings = 10;

  // `now` is of any clock that only goes forward.
  void check(std::chrono::nanoseconds now);

 private:
  struct seen {
    std::chrono::nanoseconds since{0};
    bool reported = false;
  };
  void note(std::chrono::nanoseconds now);
  bool may_warn();
  bool report(std::uint64_t wait, std::chrono::nanoseconds blocked);
  void show_all_locks() const;

  kernel& k_;
  std::map<std::uint64_t, seen> waits_;  // those that were there at the last check()
};

}  // namespace memhp
