#include "locks/blocked_tasks.h"

#include <algorithm>
#include <iterator>
#include <list>

#include "locks/guards.h"
#include "locks/lockdep_internal.h"

namespace memhp::blocked_tasks {

// Of one wait.
struct detail::record {
  std::uint64_t wait = 0;
  lockdep::detail::task_id task;
  stack_trace where;
  std::list<record>::iterator self;
};

namespace {

using detail::record;

// Never destroyed: a thread may sleep while the program ends.
struct all_records {
  lockdep::detail::plain_mutex lock;
  std::list<record> records GUARDED_BY(lock);  // in the order of their numbers
  std::uint64_t waits GUARDED_BY(lock) = 0;

  static all_records& instance() {
    static auto& made = *new all_records;
    return made;
  }
};

}  // namespace

void set_watched(bool on, std::chrono::nanoseconds grace) {
  detail::grace_ns.store(grace.count(), std::memory_order_relaxed);
  detail::watched.store(on, std::memory_order_relaxed);
}

std::vector<std::uint64_t> waits() {
  all_records& all = all_records::instance();
  const guard hold{all.lock};
  std::vector<std::uint64_t> found;
  found.reserve(all.records.size());
  for (const record& each : all.records) found.push_back(each.wait);
  return found;
}

std::optional<blocked_task> find(std::uint64_t wait) {
  std::optional<record> found;
  {
    all_records& all = all_records::instance();
    const guard hold{all.lock};
    const auto at = std::ranges::find(all.records, wait, &record::wait);
    if (at == all.records.end()) return std::nullopt;
    found = *at;
  }
  return blocked_task{
      .wait = wait, .task = found->task.described(), .where = found->where};
}

scope::scope()
    : record_{[] {
        record mine{.task = lockdep::detail::self.id_of_current(),
                    .where = stack_trace::capture()};
        all_records& all = all_records::instance();
        const guard hold{all.lock};
        mine.wait = ++all.waits;
        all.records.push_back(mine);
        record& kept = all.records.back();
        kept.self = std::prev(all.records.end());
        return &kept;
      }()} {}

scope::~scope() {
  all_records& all = all_records::instance();
  const guard hold{all.lock};
  all.records.erase(record_->self);
}

// Once the moment is over, and not before, it is worth a stack trace.
void detail::sleep_on(const void* word, std::uint32_t expected) {
  const auto until = std::chrono::steady_clock::now() + grace();
  if (futex_wait_until(word, expected, until) != futex_result::timed_out) return;
  const scope recorded;
  futex_wait(word, expected);
}

}  // namespace memhp::blocked_tasks
