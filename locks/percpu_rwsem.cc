#include "locks/percpu_rwsem.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>

#include "locks/mutex.h"

namespace memhp {
namespace {

unsigned possible_cpus() {
  static const auto count = std::max<long>(1, sysconf(_SC_NPROCESSORS_CONF));
  return static_cast<unsigned>(count);
}

}  // namespace

percpu_rw_semaphore::percpu_rw_semaphore(std::string_view name)
    : name_{name},
      cpus_{possible_cpus()},
      percpu_{std::make_unique<percpu_counters[]>(cpus_)} {}

percpu_rw_semaphore::percpu_counters& percpu_rw_semaphore::this_cpu() {
  const int cpu = sched_getcpu();
  return percpu_[cpu < 0 ? 0 : static_cast<unsigned>(cpu) % cpus_];
}

void percpu_rw_semaphore::lock_shared() {
  // A pairs with B in lock(): both sides store, then load what the other stored, in
  // the one total order of seq_cst. Either this reader sees blocked_ set, or the
  // writer's scan sees the reader. Weaker orders would let both pass.
  this_cpu().entered.fetch_add(1, std::memory_order_seq_cst);
  if (!blocked_.load(std::memory_order_seq_cst)) return;
  lock_shared_slow();
}

bool percpu_rw_semaphore::try_lock_shared() {
  this_cpu().entered.fetch_add(1, std::memory_order_seq_cst);  // A, as above
  if (!blocked_.load(std::memory_order_seq_cst)) return true;
  this_cpu().left.fetch_add(1, std::memory_order_seq_cst);
  wake_writer();
  return false;
}

void percpu_rw_semaphore::lock_shared_slow() {
  // Count ourselves out again, so that the writer need not wait for a sleeper.
  this_cpu().left.fetch_add(1, std::memory_order_seq_cst);
  wake_writer();

  std::unique_lock hold{queue_lock_};
  if (!blocked_.load(std::memory_order_relaxed)) {
    // blocked_ cannot be set while we hold queue_lock_: no recheck is needed.
    this_cpu().entered.fetch_add(1, std::memory_order_seq_cst);
    return;
  }
  waiter self{.writer = false};
  queue_.push_back(&self);
  granted_.wait(hold, [&] { return self.granted; });  // the waker has counted us in
}

void percpu_rw_semaphore::unlock_shared() {
  // C pairs with D in readers_left(): what was read under the lock is done before the
  // writer can see the reader gone.
  this_cpu().left.fetch_add(1, std::memory_order_seq_cst);
  if (blocked_.load(std::memory_order_seq_cst)) wake_writer();
}

void percpu_rw_semaphore::wake_writer() {
  // The lock orders this wake-up against the writer's test of readers_left().
  const std::lock_guard hold{queue_lock_};
  drained_.notify_all();
}

bool percpu_rw_semaphore::readers_left() const {
  std::uint64_t left = 0;
  std::uint64_t entered = 0;
  for (unsigned cpu = 0; cpu < cpus_; ++cpu)  // D: see invariant 2 for the order
    left += percpu_[cpu].left.load(std::memory_order_seq_cst);
  for (unsigned cpu = 0; cpu < cpus_; ++cpu)
    entered += percpu_[cpu].entered.load(std::memory_order_seq_cst);
  return entered != left;
}

void percpu_rw_semaphore::lock() {
  std::unique_lock hold{queue_lock_};
  if (blocked_.load(std::memory_order_relaxed)) {
    waiter self{.writer = true};
    queue_.push_back(&self);
    granted_.wait(hold, [&] { return self.granted; });  // blocked_ stayed set for us
  } else {
    blocked_.store(true, std::memory_order_seq_cst);  // B pairs with A in lock_shared()
  }
  drained_.wait(hold, [&] { return !readers_left(); });
  writer_.store(this_thread_identity(), std::memory_order_relaxed);
}

void percpu_rw_semaphore::unlock() {
  assert_held_write();
  writer_.store(0, std::memory_order_relaxed);
  const std::lock_guard hold{queue_lock_};
  hand_over();
}

// Lets in the readers at the head of the queue, up to the first writer; that writer,
// if there is one, inherits the closed gate. queue_lock_ is held.
void percpu_rw_semaphore::hand_over() {
  bool to_writer = false;
  while (!queue_.empty() && !to_writer) {
    waiter& head = *queue_.front();
    queue_.pop_front();
    if (!head.writer) this_cpu().entered.fetch_add(1, std::memory_order_seq_cst);
    head.granted = true;
    to_writer = head.writer;
  }
  if (!to_writer) blocked_.store(false, std::memory_order_seq_cst);
  granted_.notify_all();
}

void percpu_rw_semaphore::assert_held_write() const {
  if (writer_.load(std::memory_order_relaxed) != this_thread_identity())
    lock_rule_broken("lock must be held for writing here", name_);
}

void percpu_rw_semaphore::assert_held_read() const {
  if (writer_.load(std::memory_order_relaxed) == 0 && !readers_left())
    lock_rule_broken("lock must be held for reading here", name_);
}

}  // namespace memhp
