// The seam between the tracked locks and whoever runs the program: OS threads, or a
// scheduler that decides at every lock operation which task goes on.
//
// `controlled` is null for OS threads, and with the validator off each operation of a
// tracked lock then costs one predictable branch more. Otherwise the lock's real
// counterpart is not even constructed: the operation becomes a step that the scheduler
// sees, orders and applies to the few bytes of locks/lock_model.h. A program whose every
// decision comes from what it observes through tracked locks and cells, and that uses no
// thread_local, clock, address or blocking call to decide anything, then runs the same
// way each time for the same schedule.
//
// Thread safety: control_locks() is called while no tracked lock exists, on the one
// thread that then runs all tasks. A tracked lock belongs to the mode it was born in.
// Starting tasks is not part of this interface: who gives a program its threads (the
// run_work of a machine's environment) gives it tasks.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>

#include "locks/lock_model.h"

namespace memhp {

// A tracked object of an execution, numbered by birth from 1: the same in every replay,
// which an address is not. 0: born under OS threads.
using object_id = std::uint32_t;

class execution {
 public:
  virtual ~execution() = default;

  // An object is born. `name` must outlive it.
  virtual object_id add(lock_kind kind, std::string_view name) = 0;
  // It dies; a lock that is held or waited for then is a failure.
  virtual void remove(object_id object) = 0;

  // One visible step of the current task. Returns what the operation returns, once the
  // step was chosen to run; other tasks run meanwhile. May end the task by an exception,
  // never for a release (is_release()), so guards may call it from destructors.
  virtual std::uint32_t at(lock_op op, object_id object, std::uint32_t argument = 0) = 0;

  // The current task reads or writes data that a lock guards. No switch: with the lock
  // held nobody could interfere, and that it is held is checked.
  enum class access : std::uint8_t { read, write };
  virtual void touch(object_id cell, access how) = 0;

  // Whether the current task holds the object: for assertions, no step.
  virtual bool holds_to_write(object_id object) const = 0;
  // Whether somebody reads it.
  virtual bool is_read(object_id object) const = 0;

  // The last trylock of the current task failed, and it will start all over: returns when
  // that lock was given back, or at once if no trylock failed. The caller holds nothing;
  // to wait here with a lock would be a deadlock that the real program does not have.
  virtual void before_trying_again() = 0;

  // What lock_stat counts with: virtual time in nanoseconds, since when the last acquire
  // of the current task had to wait (none if it did not), and the CPU of the current
  // task. Each task has one of its own.
  virtual std::uint64_t now() const { return 0; }
  virtual std::optional<std::uint64_t> last_wait_began() const { return std::nullopt; }
  virtual int cpu() const { return 0; }

  // The current task found something wrong. Ends the execution.
  [[noreturn]] virtual void fail(std::string_view what) = 0;
};

inline constinit execution* controlled = nullptr;

// Who wants to hear of tracked locks, as bits of one word: while it is 0, which is what a
// lock loads once, they are the raw ones. As the validator it may change at any time.
enum watcher : std::uint8_t { by_validator = 1, by_execution = 2 };
namespace detail {
inline constinit std::atomic<std::uint8_t> watchers = 0;
}
inline bool watched() {
  return detail::watchers.load(std::memory_order_relaxed) != 0;
}
inline void set_watched(watcher by, bool on) {
  if (on)
    detail::watchers.fetch_or(by, std::memory_order_relaxed);
  else
    detail::watchers.fetch_and(static_cast<std::uint8_t>(~by), std::memory_order_relaxed);
}

inline void control_locks(execution* by) {
  controlled = by;
  set_watched(by_execution, by != nullptr);
}

}  // namespace memhp
