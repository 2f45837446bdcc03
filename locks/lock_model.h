// What a lock operation may do and does, as pure functions on a few bytes: the locks as a
// controlled scheduler sees them.
//
// A scheduler that decides itself who runs next must know who could: enabled(). And it
// must not run the real lock, which would put its only thread to sleep: apply() changes
// these bytes instead. Both are also what a program that searches all interleavings would
// interpret; nothing here knows fibers or threads.
//
// The model is that of the raw locks (locks/*.h), reduced to what can be observed:
//   1. A mutex, and who writes, is exclusive. Whoever waits is chosen freely: the model
//      allows every order in which the real queues could serve.
//   2. A writer announces itself before it waits, and an announced writer stops readers
//      that come after it, also one that reads already. Reader, writer, reader is how
//      reader/writer locks deadlock, so the announcement is a step of its own. That
//      readers who queued before a second writer are served before it needs no rule: the
//      same state is reached if that writer announces itself a step later.
//   3. An active reference is got without waiting until it is deactivated; the drain
//      waits for those that are out.
//   4. Who sleeps on a wait queue waits until it was woken since it prepared to; who
//      tries again after a failed trylock waits until that lock was given back since.
//
// Thread safety: pure functions. Mirrors the locks' semantics in kernel/locking and
// fs/kernfs/dir.c (6.1); the fibers' side is emu/explore/fiber_scheduler.h.
#pragma once

#include <cstdint>
#include <string_view>

namespace memhp {

enum class lock_kind : std::uint8_t {
  mutex,
  rw_semaphore,  // percpu_rw_semaphore too: they differ in cost, not in who waits
  completion,
  active_reference,
  wait_queue,
  cell,  // data that decides branches, read and written as single values
};

enum class lock_op : std::uint8_t {
  // mutex
  lock,
  try_lock,
  unlock,
  // rw_semaphore
  read_lock,
  try_read_lock,
  read_unlock,
  announce_write,
  write_lock,
  try_write_lock,
  write_unlock,
  // completion
  wait,
  try_wait,
  complete,
  complete_all,
  // active_reference
  get_active,
  put_active,
  deactivate,
  drain,
  // wait_queue
  prepare_to_wait,
  sleep,  // argument: what prepare_to_wait returned
  wake,
  // cell
  load,
  store,
  exchange,  // and everything else that does both
  // any: after a failed try_*; argument: the version that it failed on
  try_again,
};

std::string_view to_string(lock_op op);

// One step of one task. Tasks are numbered from 0.
struct lock_step {
  lock_op op;
  unsigned task = 0;
  std::uint32_t argument = 0;
};

// Everything the model knows of one object.
struct lock_state {
  lock_kind kind;
  bool closed = false;          // deactivated, or complete_all()
  std::uint16_t owner = 0;      // who locked it or writes: number + 1; 0: nobody
  std::uint16_t announced = 0;  // writers that wait
  std::uint32_t count = 0;      // readers, completions not waited for, active references
  std::uint32_t version = 0;    // times that it was given back, woken or completed

  friend bool operator==(const lock_state&, const lock_state&) = default;
};

// Whether the step could run now. A step that is not enabled waits.
bool enabled(const lock_state& state, const lock_step& step);

// Runs an enabled step. Returns what the operation returns: for a try 1 or 0, for
// prepare_to_wait the argument of the sleep to come, otherwise 1.
std::uint32_t apply(lock_state& state, const lock_step& step);

// Null, or the rule that the step breaks: to give back what one does not hold, to drain
// what is still active, an operation of another kind of lock.
const char* broken_rule(const lock_state& state, const lock_step& step);

// True for steps that only give something back: they are always enabled.
bool is_release(lock_op op);

}  // namespace memhp
