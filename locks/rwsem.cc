#include "locks/rwsem.h"

#include "locks/blocked_tasks.h"
#include "locks/futex.h"
#include "locks/guards.h"

namespace memhp {

// Lives on the stack of the one who waits. Once it has been granted it may be gone.
struct rw_semaphore::waiter {
  enum : std::uint32_t { waits = 0, sleeps = 1, is_called = 2, is_granted = 3 };

  const bool writes;
  waiter* next = nullptr;
  // What it sleeps on. `sleeps` costs who wakes it a system call, `waits` does not.
  std::atomic<std::uint32_t> word = waits;
};

bool rw_semaphore::take_shared() {
  std::uint32_t seen = state_.load(std::memory_order_relaxed);
  while ((seen & (writer | handoff)) == 0)
    if (state_.compare_exchange_weak(seen, seen + reader, std::memory_order_acquire,
                                     std::memory_order_relaxed))
      return true;
  return false;
}

// The caller has counted itself in, but may not enter: a writer is inside, or the lock
// is promised to the head of the queue.
void rw_semaphore::lock_shared_slow(std::uint32_t before) {
  // Our count keeps further writers out, so as soon as this one leaves we are in, even
  // if the lock has been promised to somebody since.
  const auto writer_left = [&] {
    return (state_.load(std::memory_order_acquire) & writer) == 0;
  };
  if ((before & handoff) == 0 && spin_until(writer_left)) return;
  waiter self{.writes = false};
  wait_in_queue(self, reader);
}

void rw_semaphore::lock_slow() {
  bool promised = false;
  const bool done = spin_until([&] {
    std::uint32_t seen = state_.load(std::memory_order_relaxed);
    promised = (seen & handoff) != 0;
    if (promised) return true;
    return is_free(seen) &&
           state_.compare_exchange_strong(seen, seen + writer, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  });
  if (done && !promised) return;
  waiter self{.writes = true};
  wait_in_queue(self, 0);
}

// Queues, takes back what the caller has counted itself in with, and returns when the
// caller holds the lock.
void rw_semaphore::wait_in_queue(waiter& self, std::uint32_t counted_in) {
  wake_ups due;
  {
    guard hold{queue_lock_};
    const bool first = head_ == nullptr;
    (first ? head_ : tail_->next) = &self;
    tail_ = &self;
    // A pairs with B in the two unlocks: we show the queue and take our count back, and
    // look at what is left afterwards. Who leaves after it sees `queued` and serves the
    // queue; who left before it, or found our count in the way of what he had to do, has
    // left it to us. Without the look both may wait for the other.
    const std::uint32_t change = (first ? std::uint32_t{queued} : 0U) - counted_in;
    const std::uint32_t after =
        state_.fetch_add(change, std::memory_order_relaxed) + change;
    if (first)
      due = grant();  // it may have become free; then to ourselves
    else if ((after & handoff) != 0 || is_free(after))
      due = serve();
  }
  wake(due);
  while (!compete(self)) {
  }
}

// Waits until the word says `is_called` or `is_granted`, and returns which.
std::uint32_t rw_semaphore::await_news(futex_word& word) {
  const auto news = [&] {
    return word.load(std::memory_order_acquire) > waiter::sleeps;  // C
  };
  if (spin_until(news)) return word.load(std::memory_order_relaxed);
  std::uint32_t seen = waiter::waits;
  // Fails if news came meanwhile; then there is nobody who would wake us.
  word.compare_exchange_strong(seen, waiter::sleeps, std::memory_order_relaxed);
  while (!news()) blocked_tasks::sleep_on(&word, waiter::sleeps);
  return word.load(std::memory_order_relaxed);
}

// Waits until somebody calls or grants. Called, it takes the lock if it is free, and
// otherwise has it promised: from now on it is handed over. True if the caller holds it.
bool rw_semaphore::compete(waiter& self) {
  if (await_news(self.word) == waiter::is_granted) return true;

  wake_ups due;
  {
    guard hold{queue_lock_};  // called: we are the head, and nobody else takes us off
    self.word.store(waiter::waits, std::memory_order_relaxed);
    while (true) {
      due = grant();
      if (due.granted != nullptr) break;
      std::uint32_t seen = state_.load(std::memory_order_relaxed);
      // D pairs with B: who left before this step left the lock as the exchange sees it;
      // who leaves after it sees the promise, and keeps it. A plain test and set would
      // let the last holder leave in between, who relies on us because we were called.
      if (!may_enter(self, seen) &&
          state_.compare_exchange_weak(seen, (seen | handoff) & ~std::uint32_t{called},
                                       std::memory_order_relaxed))
        break;
    }
  }
  wake(due);
  return false;  // if it was granted to us, the next round says so
}

void rw_semaphore::unlock_shared_slow(std::uint32_t before) {
  if (before < reader)
    lock_rule_broken("release of a read hold that nobody has", "rw_semaphore", this);
  // The last one out keeps a promise that was made to a writer.
  if (is_free(before - reader) || (before & handoff) == 0) left(before - reader);
}

void rw_semaphore::unlock_slow(std::uint32_t before) {
  if ((before & writer) == 0)
    lock_rule_broken("release of a write hold that nobody has", "rw_semaphore", this);
  left(before - writer);
}

// B: somebody has left, and `after` is what he left behind. A head that was called is on
// its way and sees it.
void rw_semaphore::left(std::uint32_t after) {
  if ((after & queued) == 0) return;
  if ((after & handoff) != 0 || (after & called) == 0) serve_queue();
}

void rw_semaphore::downgrade() NO_THREAD_SAFETY_ANALYSIS {
  tsan_pre_unlock(this);
  const std::uint32_t before =
      state_.fetch_add(std::uint32_t{reader} - writer, std::memory_order_release);
  if ((before & writer) == 0)
    lock_rule_broken("downgrade of a write hold that nobody has", "rw_semaphore", this);
  if ((before & queued) != 0) serve_queue();
  tsan_post_unlock(this);
  tsan_pre_try(this, tsan_hold::read);
  tsan_post_try(this, true, tsan_hold::read);
}

void rw_semaphore::serve_queue() {
  wake_ups due;
  {
    guard hold{queue_lock_};
    due = serve();
  }
  wake(due);
}

// Keeps a promise if it can be kept now; without one calls the head, once.
rw_semaphore::wake_ups rw_semaphore::serve() {
  if (head_ == nullptr) return {};
  const std::uint32_t seen = state_.load(std::memory_order_relaxed);
  if ((seen & handoff) != 0) return grant();
  if ((seen & called) != 0) return {};
  state_.fetch_or(called, std::memory_order_relaxed);
  const auto was = head_->word.exchange(waiter::is_called, std::memory_order_relaxed);
  return {.called = was == waiter::sleeps ? &head_->word : nullptr};
}

bool rw_semaphore::may_enter(const waiter& who, std::uint32_t seen) {
  return who.writes ? is_free(seen) : (seen & writer) == 0;
}

// Takes off the queue who may enter now, a writer alone or a run of readers, and counts
// them in. The caller wakes them once it has let go of queue_lock_.
rw_semaphore::wake_ups rw_semaphore::grant() {
  waiter* const first = head_;
  waiter* last = first;
  std::uint32_t enters = first->writes ? std::uint32_t{writer} : std::uint32_t{reader};
  if (!first->writes)
    for (; last->next != nullptr && !last->next->writes; last = last->next)
      enters += reader;
  const std::uint32_t settled =
      std::uint32_t{called} | handoff | (last->next == nullptr ? queued : 0U);

  // Acquire, so that all releases so far happen before the grant; C carries it on to the
  // one who waits.
  std::uint32_t seen = state_.load(std::memory_order_relaxed);
  do {
    if (!may_enter(*first, seen)) return {};
  } while (!state_.compare_exchange_weak(seen, (seen & ~settled) + enters,
                                         std::memory_order_acq_rel,
                                         std::memory_order_relaxed));
  head_ = last->next;
  if (head_ == nullptr) tail_ = nullptr;
  last->next = nullptr;
  return {.granted = first};
}

void rw_semaphore::wake(wake_ups due) {
  if (due.called != nullptr) futex_wake(due.called, 1);
  for (waiter* one = due.granted; one != nullptr;) {
    waiter* const next = one->next;  // before the grant: afterwards it may be gone
    futex_word* const word = &one->word;
    // Pairs with C. After it only the address is used.
    const auto was = word->exchange(waiter::is_granted, std::memory_order_release);
    if (was == waiter::sleeps) futex_wake(word, 1);
    one = next;
  }
}

}  // namespace memhp
