// Faults that are switched on through files: which kernel/debug/memhp/help documents.
//
// The files of a fault are those of the kernel's fault injection (lib/fault-inject.c,
// Documentation/fault-injection/fault-injection.rst, 6.1): probability in percent,
// interval, times.
//
// Thread safety: any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "blocks/memory_notifier.h"
#include "blocks/result.h"
#include "emu/kernfs.h"

namespace memhp {

struct kernel;
class task;

// struct fault_attr, and what its fault does.
class fault_attr final : public kobject {
 public:
  // should_fail(): whether it happens this time. Costs one load while probability is 0.
  bool should_fail() {
    return probability.load(std::memory_order_relaxed) != 0 && draw();
  }

  std::atomic<std::int64_t> probability = 0;  // percent
  std::atomic<std::int64_t> interval = 1;     // only every so many chances are drawn for
  std::atomic<std::int64_t> times = 1;        // then no more; -1: for ever
  std::atomic<std::int64_t> delay_ms = 0;     // of those that delay
  std::atomic<std::int64_t> error = -1;       // of those that fail: EPERM

 private:
  bool draw();

  std::atomic<std::uint64_t> chances_ = 0;
  std::atomic<std::uint64_t> drawn_ = 0;
};

// The faults of a machine.
struct fault_points {
  fault_attr fail_populate;  // the host has no memory for a block
  fault_attr fail_notifier;  // a notifier vetoes online or offline
  fault_attr slow_populate;  // the host takes its time
  fault_attr slow_migrate;   // pages take their time to move

  // not_enough_memory if it is to fail; may wait.
  result<> before_populate(const kernel& k);
  // Waits, unless a signal is pending for `by`.
  void before_migrate(const kernel& k, const task& by);
};

// Their files below kernel/debug/memhp, and the notifier.
class fault_files {
 public:
  explicit fault_files(kernel& k);
  ~fault_files();
  fault_files(const fault_files&) = delete;
  fault_files& operator=(const fault_files&) = delete;

 private:
  kernel& k_;
  const memory_notifier notifier_;
};

}  // namespace memhp
