#include "emu/explore/race_check.h"

namespace memhp {

void pass_on(lock_op op, unsigned task, vector_clock& of_task, object_clock& of_object) {
  switch (op) {
    using enum lock_op;
    case read_lock:
    case try_read_lock:
    case get_active: of_task.join(of_object.writers); return;
    case read_unlock:
    case put_active:
      of_object.readers.join(of_task);
      of_task.tick(task);
      return;
    case announce_write:
    case prepare_to_wait:
    case try_again: return;
    case load: of_task.join(of_object.writers); return;
    case exchange:
      of_task.join(of_object.writers);
      of_object.writers.join(of_task);
      of_task.tick(task);
      return;
    default: break;
  }
  if (is_release(op)) {
    of_object.writers.join(of_task);
    of_task.tick(task);
    return;
  }
  of_task.join(of_object.writers);
  of_task.join(of_object.readers);
}

std::optional<unsigned> cell_history::unordered(const vector_clock& before,
                                                const vector_clock& now) {
  for (unsigned task = 0; task < before.tasks(); ++task)
    if (before.of(task) > now.of(task)) return task;
  return std::nullopt;
}

std::optional<unsigned> cell_history::access(unsigned task, const vector_clock& now,
                                             execution::access how) {
  if (const auto other = unordered(writes_, now)) return other;
  if (how == execution::access::write) {
    if (const auto other = unordered(reads_, now)) return other;
    writes_.set(task, now.of(task));
  } else {
    reads_.set(task, now.of(task));
  }
  return std::nullopt;
}

}  // namespace memhp
