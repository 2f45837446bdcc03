// What a task sees of the scheduler: the objects, the steps that it takes, and the fiber
// that it runs on. Who goes on is decided in fiber_run.cc.
#include "emu/explore/fiber_scheduler.h"

#include <exception>
#include <utility>

#include "emu/explore/fiber_task.h"
#include "locks/lock_rule.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace memhp {
namespace {

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

}  // namespace

fiber_scheduler::fiber_scheduler(stack_pool& stacks) : stacks_{stacks} {
  if (controlled != nullptr)
    lock_rule_broken("a second scheduler at a time", "fiber_scheduler", this);
  tasks_.push_back(std::make_unique<fiber_task>(0, "outside", nullptr));
  tasks_[0]->clock.tick(0);
  outcome_.digest = 0xcbf29ce484222325;
  control_locks(this);
}

fiber_scheduler::~fiber_scheduler() {
  control_locks(nullptr);
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

// --- objects ---------------------------------------------------------------------------

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

// --- steps, on the side of the tasks -----------------------------------------------

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
  while (showing_) {
    self.shown_stack = stack_trace::capture(1);
    self.shown_held = lockdep::held_locks();
    switch_back(self);
  }
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

// --- fibers ---------------------------------------------------------------------------

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

}  // namespace memhp
