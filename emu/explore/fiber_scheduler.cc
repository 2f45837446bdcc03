#include "emu/explore/fiber_scheduler.h"

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

#include "emu/explore/schedule.h"
#include "locks/lock_rule.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace memhp {
namespace {

constexpr std::size_t most_steps = 1'000'000;
constexpr std::size_t no_choice = SIZE_MAX;

// The address sanitizer must hear of every change of stacks: before it, and on arrival.
void leaving_stack([[maybe_unused]] void** kept, [[maybe_unused]] const void* to,
                   [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(kept, to, bytes);
#endif
}
void arrived_on_stack([[maybe_unused]] void* kept, [[maybe_unused]] const void** from,
                      [[maybe_unused]] std::size_t* bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(kept, from, bytes);
#endif
}

// What Boost calls a stack allocator.
struct pool_allocator {
  stack_pool* pool;
  boost::context::stack_context allocate() const { return pool->take(); }
  void deallocate(boost::context::stack_context& stack) const { pool->give_back(stack); }
};

bool is_try(lock_op op) {
  switch (op) {
    using enum lock_op;
    case try_lock:
    case try_read_lock:
    case try_write_lock:
    case try_wait:
    case get_active: return true;
    default: return false;
  }
}

// How many holds more the task has after a step that succeeded.
int holds_after(lock_op op) {
  switch (op) {
    using enum lock_op;
    case lock:
    case try_lock:
    case read_lock:
    case try_read_lock:
    case write_lock:
    case try_write_lock:
    case get_active: return 1;
    case unlock:
    case read_unlock:
    case write_unlock:
    case put_active: return -1;
    default: return 0;
  }
}

void mix(std::uint64_t& digest, std::uint64_t value) {  // FNV-1a, a word at a time
  constexpr std::uint64_t prime = 0x100000001b3;
  digest = (digest ^ value) * prime;
}

}  // namespace

struct fiber_scheduler::fiber_task {
  fiber_task(unsigned n, std::string called, std::function<void()> what)
      : number{n}, name{std::move(called)}, body{std::move(what)}, validated{name} {}

  const unsigned number;
  const std::string name;
  std::function<void()> body;
  lockdep::task_state validated;  // what the validator knows of it
  vector_clock clock;

  enum class life : std::uint8_t { fresh, begun, finished } state = life::fresh;
  wanted_step wanted{};
  std::uint32_t result = 0;  // of the last step
  int holds = 0;
  object_id failed_on = 0;  // object of the last trylock that failed, and its version
  std::uint32_t failed_version = 0;
  std::optional<std::uint64_t> waits_since;  // for lock_stat

  boost::context::stack_context stack;
  boost::context::fiber fiber;  // where it goes on
  boost::context::fiber back;   // where the scheduler goes on
  void* sanitizer_kept = nullptr;
};

fiber_scheduler::fiber_scheduler(stack_pool& stacks) : stacks_{stacks} {
  if (controlled != nullptr)
    lock_rule_broken("a second scheduler at a time", "fiber_scheduler", this);
  tasks_.push_back(std::make_unique<fiber_task>(0, "outside", nullptr));
  tasks_[0]->clock.tick(0);
  outcome_.digest = 0xcbf29ce484222325;
  controlled = this;
}

fiber_scheduler::~fiber_scheduler() {
  controlled = nullptr;
}

void fiber_scheduler::outside(const std::function<void()>& part) {
  fiber_task* const former = std::exchange(running_, tasks_[0].get());
  part();
  running_ = former;
}

void fiber_scheduler::add_task(std::string name, std::function<void()> body) {
  const auto number = static_cast<unsigned>(tasks_.size());
  if (number > max_tasks) lock_rule_broken("too many tasks", name);
  auto made = std::make_unique<fiber_task>(number, std::move(name), std::move(body));
  // What its parent did so far happened before all that it does.
  fiber_task& parent = running_ != nullptr ? *running_ : *tasks_[0];
  made->clock.join(parent.clock);
  made->clock.tick(number);
  parent.clock.tick(parent.number);
  tasks_.push_back(std::move(made));
}

// --- objects
// ----------------------------------------------------------------------------

object_id fiber_scheduler::add(lock_kind kind, std::string_view name) {
  objects_.push_back({.state = {kind}, .name = name});
  return static_cast<object_id>(objects_.size());
}

void fiber_scheduler::remove(object_id id) {
  object& o = objects_[id - 1];
  o.alive = false;
  if (abandoned_) return;
  const lock_state& s = o.state;
  const bool in_use = s.kind != lock_kind::completion &&
                      (s.owner != 0 || s.announced != 0 || s.count != 0);
  if (in_use) found(outcome::end::failed, std::string{o.name} + " dies in use");
}

bool fiber_scheduler::holds_to_write(object_id id) const {
  if (abandoned_) return true;
  return objects_[id - 1].state.owner == running().number + 1;
}

bool fiber_scheduler::is_read(object_id id) const {
  return abandoned_ || objects_[id - 1].state.count != 0;
}

void fiber_scheduler::touch(object_id cell, access how) {
  if (abandoned_) return;
  fiber_task& self = running();
  if (cell == 0) fail("a cell of another execution");
  object& o = objects_[cell - 1];
  const auto other = o.history.access(self.number, self.clock, how);
  if (other)
    fail("data race on " + std::string{o.name} + " with " + tasks_[*other]->name);
}

// --- steps, on the side of the tasks
// ------------------------------------------------------

fiber_scheduler::fiber_task& fiber_scheduler::running() const {
  if (running_ == nullptr)
    lock_rule_broken("tracked operation outside of a task", "fiber_scheduler", this);
  return *running_;
}

std::uint32_t fiber_scheduler::at(lock_op op, object_id object, std::uint32_t argument) {
  if (abandoned_) return pass_abandoned(op);
  fiber_task& self = running();
  if (object == 0) fail("a lock of another execution");
  const wanted_step wanted{{op, self.number, argument}, object};
  if (self.number == 0) {
    if (!enabled(objects_[object - 1].state, wanted.step)) {
      self.wanted = wanted;
      fail(waits_for(self));
    }
    return apply_step(self, wanted);
  }
  self.wanted = wanted;
  if (op != lock_op::write_lock) self.waits_since.reset();  // which ends announce_write
  switch_back(self);
  return abandoned_ ? pass_abandoned(op) : self.result;
}

std::uint64_t fiber_scheduler::now() const {
  constexpr std::uint64_t step_ns = 1000;
  return (chosen_.size() + 1) * step_ns;
}

std::optional<std::uint64_t> fiber_scheduler::last_wait_began() const {
  return running().waits_since;
}

int fiber_scheduler::cpu() const {
  return static_cast<int>(running().number);
}

// In a run that is given up: acquires end the task, releases pass, for they come from
// destructors; so does what destructors acquire while the exception is under way.
std::uint32_t fiber_scheduler::pass_abandoned(lock_op op) {
  const bool may_throw = running_ != nullptr && running_->number != 0 &&
                         !is_release(op) && std::uncaught_exceptions() == 0;
  if (may_throw) throw abandoned{};
  return 1;
}

void fiber_scheduler::before_trying_again() {
  if (abandoned_) {
    pass_abandoned(lock_op::try_again);
    return;
  }
  fiber_task& self = running();
  if (self.holds != 0) fail("tries again while it holds something");
  if (self.failed_on == 0) return;
  at(lock_op::try_again, std::exchange(self.failed_on, 0), self.failed_version);
}

void fiber_scheduler::fail(std::string_view what) {
  if (running_ == nullptr || running_->number == 0)
    lock_rule_broken(what, "outside of the tasks");
  found(outcome::end::failed, running_->name + ": " + std::string{what});
  abandoned_ = true;
  throw abandoned{};
}

void fiber_scheduler::found(outcome::end how, std::string what) {
  if (found_) return;  // what follows may follow from it
  found_ = true;
  outcome_.how = how;
  outcome_.what = std::move(what);
}

// --- fibers
// -------------------------------------------------------------------------------

void fiber_scheduler::start(fiber_task& task) {
  task.state = fiber_task::life::begun;
  task.stack = stacks_.take();
  const boost::context::preallocated place{task.stack.sp, task.stack.size, task.stack};
  task.fiber = boost::context::fiber{
      std::allocator_arg, place, pool_allocator{&stacks_},
      [this, &task](boost::context::fiber&& back) {
        arrived_on_stack(nullptr, &thread_stack_, &thread_stack_bytes_);
        task.back = std::move(back);
        body_of(task);
        leaving_stack(nullptr, thread_stack_, thread_stack_bytes_);
        return std::move(task.back);
      }};
}

void fiber_scheduler::body_of(fiber_task& task) {
  try {
    task.body();
    if (!abandoned_) {
      if (task.holds != 0)
        found(outcome::end::failed, task.name + ": ends while it holds something");
      lockdep::check_task_exit();
    }
  } catch (const abandoned&) {
    task.body = nullptr;  // unwound; what it captured goes too
  }
  task.state = fiber_task::life::finished;
}

void fiber_scheduler::switch_to(fiber_task& task) {
  running_ = &task;
  lockdep::task_state* const former = lockdep::set_current(&task.validated);
  void* kept = nullptr;
  leaving_stack(&kept, static_cast<char*>(task.stack.sp) - task.stack.size,
                task.stack.size);
  task.fiber = std::move(task.fiber).resume();
  arrived_on_stack(kept, nullptr, nullptr);
  lockdep::set_current(former);
  running_ = nullptr;
}

void fiber_scheduler::switch_back(fiber_task& task) {
  leaving_stack(&task.sanitizer_kept, thread_stack_, thread_stack_bytes_);
  task.back = std::move(task.back).resume();
  arrived_on_stack(task.sanitizer_kept, nullptr, nullptr);
}

// --- the run
// ------------------------------------------------------------------------------

bool fiber_scheduler::can_run(const fiber_task& task) const {
  if (task.state != fiber_task::life::begun) return task.state == fiber_task::life::fresh;
  const object& o = objects_[task.wanted.object - 1];
  return o.alive && enabled(o.state, task.wanted.step);
}

std::vector<unsigned> fiber_scheduler::able() const {
  std::vector<unsigned> who;
  for (const auto& task : tasks_)
    if (task->number != 0 && can_run(*task)) who.push_back(task->number);
  return who;
}

void fiber_scheduler::note_who_waits() {
  for (const auto& task : tasks_)
    if (task->number != 0 && task->state == fiber_task::life::begun &&
        !task->waits_since && !can_run(*task))
      task->waits_since = now();
}

bool fiber_scheduler::all_finished() const {
  return std::ranges::all_of(tasks_, [](const auto& task) {
    return task->number == 0 || task->state == fiber_task::life::finished;
  });
}

std::uint32_t fiber_scheduler::apply_step(fiber_task& task, const wanted_step& wanted) {
  object& o = objects_[wanted.object - 1];
  const lock_op op = wanted.step.op;
  if (const char* rule = broken_rule(o.state, wanted.step)) {
    found(outcome::end::failed, task.name + ": " + rule + ": " + std::string{o.name});
    return 0;
  }
  const std::uint32_t result = apply(o.state, wanted.step);
  if (is_try(op) && result == 0) {
    task.failed_on = wanted.object;
    task.failed_version = o.state.version;
  } else {
    task.holds += holds_after(op);
    pass_on(op, task.number, task.clock, o.clock);
  }
  mix(outcome_.digest, task.number);
  mix(outcome_.digest, static_cast<std::uint64_t>(op) << 32 | wanted.object);
  mix(outcome_.digest, result);
  return result;
}

void fiber_scheduler::take_step(fiber_task& task) {
  if (task.state == fiber_task::life::fresh)
    start(task);
  else
    task.result = apply_step(task, task.wanted);
  if (!found_) switch_to(task);
}

outcome fiber_scheduler::run(const chooser& choose) {
  while (!found_) {
    const std::vector<unsigned> who = able();
    if (lockdep::counting()) note_who_waits();
    if (who.empty()) {
      if (!all_finished()) describe_deadlock();
      break;
    }
    if (chosen_.size() == most_steps) {
      found(outcome::end::failed, "does not end");
      break;
    }
    const std::size_t choice = choose(who);
    if (choice >= who.size()) {
      found(outcome::end::replay_differs,
            "step " + std::to_string(chosen_.size()) + " cannot be taken");
      break;
    }
    chosen_.push_back(static_cast<std::uint8_t>(who[choice]));
    take_step(*tasks_[who[choice]]);
  }
  outcome_.steps = chosen_.size();
  outcome_.schedule = to_string(schedule{chosen_, outcome_.digest});
  if (found_) abandon();
  for (const auto& task : tasks_) tasks_[0]->clock.join(task->clock);
  return outcome_;
}

outcome fiber_scheduler::random_walk(std::uint64_t seed) {
  std::mt19937_64 random{seed};
  // How many steps a task takes in a row, about, is drawn for the whole run: one step at
  // a time hardly ever lets a task come to its end before another begins.
  constexpr std::array<std::uint64_t, 4> rows = {1, 4, 16, 64};
  const std::uint64_t row = rows[random() % rows.size()];
  return run([&](const std::vector<unsigned>& who) {
    if (!chosen_.empty() && random() % row != 0) {
      const auto same = std::ranges::find(who, chosen_.back());
      if (same != who.end()) return static_cast<std::size_t>(same - who.begin());
    }
    return static_cast<std::size_t>(random() % who.size());
  });
}

outcome fiber_scheduler::replay(std::string_view text) {
  const auto wanted = schedule_from(text);
  if (!wanted) {
    found(outcome::end::replay_differs, "not the text of a schedule");
    return run({});
  }
  outcome end = run([&](const std::vector<unsigned>& who) {
    const std::size_t step = chosen_.size();
    if (step == wanted->tasks.size()) return no_choice;
    const auto hit = std::ranges::find(who, wanted->tasks[step]);
    return hit == who.end() ? no_choice : static_cast<std::size_t>(hit - who.begin());
  });
  if (end.how == outcome::end::replay_differs) return end;
  const bool same = end.steps == wanted->tasks.size() &&
                    (!wanted->digest || *wanted->digest == end.digest);
  if (same) return end;
  end.how = outcome::end::replay_differs;
  end.what = "the steps are not those that were recorded";
  return end;
}

void fiber_scheduler::abandon() {
  abandoned_ = true;
  for (std::size_t i = 1; i < tasks_.size(); ++i)
    while (tasks_[i]->state == fiber_task::life::begun) switch_to(*tasks_[i]);
}

std::string fiber_scheduler::waits_for(const fiber_task& task) const {
  const object& o = objects_[task.wanted.object - 1];
  std::string text{to_string(task.wanted.step.op)};
  text += " of " + std::string{o.name};
  if (!o.alive) return text + ", which is gone";
  if (o.state.owner != 0) text += ", held by " + tasks_[o.state.owner - 1U]->name;
  if (o.state.count != 0) text += ", used by " + std::to_string(o.state.count);
  if (o.state.announced != 0 && task.wanted.step.op != lock_op::write_lock)
    text += ", wanted by a writer";
  return text;
}

void fiber_scheduler::describe_deadlock() {
  std::string what = "deadlock";
  for (const auto& task : tasks_) {
    if (task->state != fiber_task::life::begun) continue;
    outcome_.stuck.push_back({task->name, waits_for(*task)});
    what += "; " + task->name + ": " + outcome_.stuck.back().waits_for;
  }
  found(outcome::end::deadlock, std::move(what));
}

}  // namespace memhp
