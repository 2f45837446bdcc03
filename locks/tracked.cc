#include "locks/tracked.h"

#include "locks/blocked_tasks.h"
#include "locks/lock_rule.h"

namespace memhp {

void detail::bad_unlock(const dep_map& map, const char* wanted) {
  const void* const ip = __builtin_return_address(0);
  if (controlled != nullptr) controlled->fail(wanted);
  if (!lockdep::report_bad_unlock(map, ip)) lock_rule_broken(wanted, map.name());
}

void detail::not_held(const dep_map& map, const char* wanted, lockdep::hold as,
                      std::source_location where) {
  const void* const ip = __builtin_return_address(0);
  if (controlled != nullptr) controlled->fail(wanted);
  if (lockdep::is_held(map, as)) lock_rule_broken(wanted, map.name());
  lockdep::assert_held(map, as, where, ip);
}

void detail::count_step(dep_map& map) {
  if (const auto since = controlled->last_wait_began()) lockdep::contended(map, *since);
  lockdep::acquired(map);
}

void tracked_completion::complete() {
  if (controlled == nullptr) [[likely]]
    return lock_.raw().complete();
  lock_.step(lock_op::complete);
}

void tracked_completion::complete_all() {
  if (controlled == nullptr) [[likely]]
    return lock_.raw().complete_all();
  lock_.step(lock_op::complete_all);
}

void tracked_completion::wait() {
  lockdep::wait_for(map_);
  if (controlled != nullptr) [[unlikely]] {
    lock_.step(lock_op::wait);
    return;
  }
  if (!blocked_tasks::watched()) return lock_.raw().wait();
  if (lock_.raw().wait_for(blocked_tasks::grace())) return;
  const blocked_tasks::scope recorded;
  lock_.raw().wait();
}

bool tracked_completion::try_wait() {
  if (controlled == nullptr) [[likely]]
    return lock_.raw().try_wait();
  return lock_.step(lock_op::try_wait) != 0;
}

tracked_wait_queue::tracked_wait_queue(std::string_view name)
    : queue_{lock_kind::wait_queue, name} {}
tracked_wait_queue::~tracked_wait_queue() = default;

void tracked_wait_queue::wake_all() {
  if (controlled == nullptr) [[likely]]
    return queue_.raw().wake_all();
  queue_.step(lock_op::wake);
}

void tracked_wait_queue::wait_until(bool (*condition)(void*), void* what) {
  if (controlled == nullptr) [[likely]] {
    const auto is_true = [&] { return condition(what); };
    if (!blocked_tasks::watched()) return queue_.raw().wait(is_true);
    if (queue_.raw().wait_for(is_true, blocked_tasks::grace())) return;
    const blocked_tasks::scope recorded;
    return queue_.raw().wait(is_true);
  }
  for (;;) {
    // Before the condition is looked at: a wake-up that comes after it is then not lost.
    const std::uint32_t seen = queue_.step(lock_op::prepare_to_wait);
    if (condition(what)) return;
    queue_.step(lock_op::sleep, seen);
  }
}

}  // namespace memhp
