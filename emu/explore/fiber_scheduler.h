// A scheduler that runs the tasks of a program on fibers of one thread and decides at
// each operation of a tracked lock who goes on: at random with a seed, or as a schedule
// says.
//
//   stack_pool stacks;
//   fiber_scheduler run{stacks};
//   std::unique_ptr<machine> m;
//   run.outside([&] { m = *machine::boot(config); });
//   run.add_task("online", [&] { m->write(".../memory8/state", "online"); });
//   run.add_task("remove", [&] { m->write(".../eject", "1"); });
//   const outcome end = run.random_walk(seed);
//   run.outside([&] { look at it; m.reset(); });
//
// What it finds:
//   - deadlock: nobody may go on though not all have finished; who waits for what;
//   - a data race on a cell, by happens-before, whatever the order was in this run;
//   - a broken rule: a lock given back by who does not hold it, a task that ends with a
//     lock, a lock that dies held, a retry that waits with something held;
//   - a tracked operation where no task runs, or on an object of another execution;
//   - a replay that does not do what its schedule recorded.
// A run that found something is abandoned: its tasks are unwound by an exception at their
// next acquire, releases pass, and the locks no longer mean anything.
//
// Invariants:
//   1. One scheduler at a time; `controlled` is this object while it lives, so what is
//      tracked must be born and die within its life, by outside() or a task.
//   2. Between two steps a task runs alone. So all that it may decide by are tracked
//      objects and what it alone writes.
//   3. A schedule names the task of every step, so the same program does the same.
//
// The tasks' side is in fiber_scheduler.cc, the run in fiber_run.cc.
//
// Thread safety: none; everything happens on the thread that made it. Not under
// ThreadSanitizer, whose notion of a stack breaks: `fibers_work` says so.
#pragma once

#include <boost/context/fiber.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emu/explore/race_check.h"
#include "emu/explore/stack_pool.h"
#include "locks/execution.h"
#include "locks/lockdep.h"

namespace memhp {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool fibers_work = false;
#else
inline constexpr bool fibers_work = true;
#endif

// How a run ended.
struct outcome {
  enum class end : std::uint8_t { finished, deadlock, failed, replay_differs };
  end how = end::finished;
  std::string what;      // one line for people; empty if finished
  std::string schedule;  // replays this run
  struct stuck_task {
    std::string name;
    std::string waits_for;  // "lock of device_hotplug_lock, held by remove"
    reported_task task;
    stack_trace stack;                // where it waits
    std::vector<reported_lock> held;  // as the validator knows them, if it is on
  };
  std::vector<stuck_task> stuck;  // of a deadlock
  std::size_t steps = 0;
  std::uint64_t digest = 0;  // of every step and its result
};

// A part of an interleaving that is made to happen: one task goes on alone until its next
// step would take one of the locks `wants`; until it waits or has ended if that comes
// first, or if there is none. Names of locks are equal also if one has '.' for the
// other's '_'.
struct stage {
  std::string_view task;
  std::vector<std::string_view> wants = {};
  unsigned skip = 0;  // so many times it may take such a lock before
};

// A step that was taken, for whoever draws it. Times are virtual nanoseconds.
struct seen_step {
  unsigned task;  // from 1, in the order in which tasks were added
  std::string_view task_name;
  lock_op op;
  object_id object;
  std::string_view name;  // of the object
  bool done;              // false: a try that failed
  std::uint64_t at;
  std::optional<std::uint64_t> waited_since;
};

class fiber_scheduler final : public execution {
 public:
  // `stacks` must outlive it.
  explicit fiber_scheduler(stack_pool& stacks);
  ~fiber_scheduler() override;
  fiber_scheduler(const fiber_scheduler&) = delete;
  fiber_scheduler& operator=(const fiber_scheduler&) = delete;

  // Runs `part` before or after the run, on the caller's stack, where nothing may wait.
  void outside(const std::function<void()>& part);

  // Adds a task; also for tasks, which may start others (a workqueue's worker). At most
  // max_tasks.
  static constexpr unsigned max_tasks = 52;
  void add_task(std::string name, std::function<void()> body);

  // Runs all tasks to their end or until something is found. Once.
  outcome random_walk(std::uint64_t seed);
  // Follows the schedule of an earlier outcome: letters for tasks in the order in which
  // they were added, each with the number of steps if not 1, and "#" with the digest.
  outcome replay(std::string_view schedule);

  // Runs the stages in turn, and then whoever can run, the task that was added first
  // before the others.
  outcome forced(std::span<const stage> stages);
  // Is told of every step of a task from now on.
  void watch(std::function<void(const seen_step&)> observer) {
    observer_ = std::move(observer);
  }

  // execution
  object_id add(lock_kind kind, std::string_view name) override;
  void remove(object_id object) override;
  std::uint32_t at(lock_op op, object_id object, std::uint32_t argument) override;
  void touch(object_id cell, access how) override;
  bool holds_to_write(object_id object) const override;
  bool is_read(object_id object) const override;
  void before_trying_again() override;
  std::uint64_t now() const override;  // a step takes a microsecond
  std::optional<std::uint64_t> last_wait_began() const override;
  int cpu() const override;
  [[noreturn]] void fail(std::string_view what) override;

 private:
  struct object {
    lock_state state;
    std::string_view name;
    bool alive = true;
    object_clock clock;
    cell_history history;
  };
  struct wanted_step {
    lock_step step;
    object_id object = 0;
  };
  struct fiber_task;
  struct abandoned {};  // thrown to unwind a task

  // Who runs next, as an index into `able`; none if the source has no say.
  using chooser = std::function<std::size_t(const std::vector<unsigned>& able)>;

  fiber_task& running() const;
  outcome run(const chooser& choose);
  std::vector<unsigned> able() const;
  void note_who_waits();
  bool can_run(const fiber_task& task) const;
  void take_step(fiber_task& task);
  std::uint32_t apply_step(fiber_task& task, const wanted_step& wanted);
  void start(fiber_task& task);
  void switch_to(fiber_task& task);
  void switch_back(fiber_task& task);
  void body_of(fiber_task& task);
  std::uint32_t pass_abandoned(lock_op op);
  void abandon();
  void found(outcome::end how, std::string what);
  void describe_deadlock();
  std::string waits_for(const fiber_task& task) const;
  bool would_take(const fiber_task& task, const stage& end) const;
  void show_stack(fiber_task& task);
  bool all_finished() const;

  stack_pool& stacks_;
  std::vector<object> objects_;                     // by id - 1
  std::vector<std::unique_ptr<fiber_task>> tasks_;  // 0: outside()
  fiber_task* running_ = nullptr;
  outcome outcome_;
  std::vector<std::uint8_t> chosen_;  // task of each step
  bool found_ = false;
  bool abandoned_ = false;
  bool showing_ = false;  // the task that runs looks at its stack and comes back
  std::function<void(const seen_step&)> observer_;

  // The stack of the thread itself, for the address sanitizer.
  const void* thread_stack_ = nullptr;
  std::size_t thread_stack_bytes_ = 0;
};

}  // namespace memhp
