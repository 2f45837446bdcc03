#include "locks/percpu_rwsem.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "locks/blocked_tasks.h"
#include "locks/futex.h"
#include "locks/guards.h"
#include "locks/lock_rule.h"
#include "locks/membarrier.h"
#include "locks/percpu_arena.h"

namespace memhp {
namespace {

constexpr const char* kind = "percpu_rw_semaphore";

// What a waiter's word says.
enum : std::uint32_t { spins, sleeps, granted };

// How often to look before sleeping. To fall asleep and be woken costs more than most
// sections are long, and who was handed the lock asleep makes the next writer wait for
// its waking: some ten microseconds. Less, when the readers that a writer waits for do
// not run, perhaps because it runs in their place.
constexpr unsigned spin_least = 16;
constexpr unsigned spin_most = 256;
// How often to look whether the gate opens before queueing: most writes are over sooner
// than a place in the queue is taken and given.
constexpr unsigned gate_looks = 64;
// How often to give up the CPU before sleeping. Who is waited for was often preempted by
// the one who waits: a yield lets it run, and neither has to be woken afterwards, perhaps
// on a CPU that halted meanwhile.
constexpr unsigned yields = 8;
// A yield that takes longer went to somebody who has nothing to do with the lock. Whoever
// sleeps preempts that one when woken, whoever yielded waits for its turn: so the next
// waits sleep.
constexpr auto long_yield = std::chrono::milliseconds{1};
constexpr unsigned sleeps_per_long_yield = 64;

// A full fence. ThreadSanitizer does not know fences; a locked instruction on a word of
// our own is one, too, and it needs none: our counts are locked instructions then.
void full_fence() {
#if defined(MEMHP_TSAN)
  static thread_local std::atomic<int> word = 0;
  word.fetch_add(1, std::memory_order_seq_cst);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

bool barriers_are_cheap() {
#if defined(MEMHP_TSAN)
  return false;
#else
  return membarrier_usable();
#endif
}

}  // namespace

// One who queues. It lives on the stack of the one who waits; whoever grants it must not
// touch it afterwards.
struct percpu_rw_semaphore::waiter {
  const bool writer;
  waiter* next = nullptr;
  // What a writer that is granted has to know: the gate was open before, so readers that
  // did not see it close need the barrier.
  bool from_idle = false;
  futex_word state = spins;
};

percpu_rw_semaphore::percpu_rw_semaphore(compiled_for<known_rseq_offset> /*here*/)
    : place_{percpu_arena_take(*this)},
      idle_{!barriers_are_cheap() ? fenced_always
            : percpu_inline()     ? idle
                                  : idle + elsewhere},
      fenced_{idle_ == fenced_always ? idle_ : idle_ + (fenced - idle)},
      state_{idle_} {}

percpu_rw_semaphore::~percpu_rw_semaphore() {
  if (is_write_locked() || add_up().readers != 0)
    lock_rule_broken("destroyed while held", kind, this);
  percpu_arena_give_back(place_);
  tsan_destroyed(this);
}

void percpu_rw_semaphore::reset_after_fork() NO_THREAD_SAFETY_ANALYSIS {
  state_.store(idle_, std::memory_order_relaxed);
  drainer_sleeps_.store(0, std::memory_order_relaxed);
  waiters_.store(0, std::memory_order_relaxed);
  reads_before_.store(0, std::memory_order_relaxed);
  bursts_.store(0, std::memory_order_relaxed);
  new (&queue_lock_) mutex;  // a thread that is not there may have held it
  head_ = tail_ = nullptr;
}

// --- readers --------------------------------------------------------------------------

// The reader has counted itself in.
std::uint32_t percpu_rw_semaphore::look_again_after_fence() const {
  full_fence();  // A, for a writer that found the lock fenced
  return state_.load(std::memory_order_acquire);  // C
}

// True if a reader that saw this state after its fence may read.
bool percpu_rw_semaphore::may_read(std::uint32_t seen, const percpu_count& mine) {
  if (seen == blocked) return false;
  if (seen == fenced_ && look_is_due(mine) && worth_a_barrier(add_up())) {
    // From now on writers need the barrier. Being a read-modify-write it passes on what
    // the last writer released (D).
    std::uint32_t expected = fenced_;
    state_.compare_exchange_strong(expected, idle_, std::memory_order_acq_rel,
                                   std::memory_order_relaxed);
  }
  return true;
}

// The reader has not counted itself in.
void percpu_rw_semaphore::lock_shared_slow() {
  if (is_write_locked()) return wait_to_read();
  const percpu_count& mine = count_in();
  lock_shared_counted(mine);
}

// It has. The gate was closed, or a look is due.
void percpu_rw_semaphore::lock_shared_counted(const percpu_count& mine) {
  if (!is_write_locked() && may_read(look_again_after_fence(), mine)) return;
  back_out();
  wait_to_read();
}

// The reader has found the gate closed and is not counted.
void percpu_rw_semaphore::wait_to_read() {
  bool patient = true;  // once: writers that come one after the other do not starve us
  while (true) {
    if (!std::exchange(patient, false) || !gate_opens_soon()) {
      waiter self{.writer = false};
      if (enqueue_or_go_on(self)) return await_grant(self);
    }
    const percpu_count& mine = count_in();  // the gate has opened
    if (may_read(look_again_after_fence(), mine)) return;
    back_out();
  }
}

bool percpu_rw_semaphore::try_lock_shared_untold() {
  if (is_write_locked()) return false;
  const percpu_count& mine = count_in();
  if (may_read(look_again_after_fence(), mine)) return true;
  back_out();
  return false;
}

const percpu_count& percpu_rw_semaphore::count_in() {
  return percpu_add(place_ + offsetof(percpu_counts, acquired));
}

void percpu_rw_semaphore::count_out() {
  percpu_add(place_ + offsetof(percpu_counts, released));
}

// Counts a reader that may not enter out again.
void percpu_rw_semaphore::back_out() {
  count_out();
  full_fence();  // G
  wake_drainer();
}

void percpu_rw_semaphore::unlock_shared_slow() {
  count_out();
  if (!asymmetric()) full_fence();  // G; else a barrier of the writer does it, H
  if (is_write_locked()) unlock_shared_counted();
}

// A writer holds the lock or waits for this reader, which has counted itself out.
void percpu_rw_semaphore::unlock_shared_counted() {
  full_fence();  // between the count and the look at who sleeps: G again
  wake_drainer();
}

void percpu_rw_semaphore::wake_drainer() {
  if (drainer_sleeps_.load(std::memory_order_relaxed) == 0) return;
  if (drainer_sleeps_.exchange(0, std::memory_order_relaxed) != 0)
    futex_wake(&drainer_sleeps_, 1);
}

// Watches a closed gate for a moment; not past those who queue.
bool percpu_rw_semaphore::gate_opens_soon() const {
  if (spin_limit() == 0) return false;
  for (unsigned look = 0; look < gate_looks; ++look) {
    if (waiters_.load(std::memory_order_relaxed) != 0) return false;
    if (state_.load(std::memory_order_relaxed) != blocked) return true;
    cpu_relax();
  }
  return false;
}

// --- writers --------------------------------------------------------------------------

// Closes the gate, if it is open. Not looked at before: that would fetch its line twice.
bool percpu_rw_semaphore::block(std::uint32_t& before) {
  before = state_.exchange(blocked, std::memory_order_seq_cst);  // B
  return before != blocked;
}

void percpu_rw_semaphore::lock_untold() {
  std::uint32_t before = blocked;
  bool patient = true;
  while (!block(before)) {
    if (std::exchange(patient, false) && gate_opens_soon()) continue;
    waiter self{.writer = true};
    if (!enqueue_or_go_on(self)) continue;
    await_grant(self);
    before = self.from_idle ? idle_ : fenced_;
    break;
  }
  if (before == idle_ && asymmetric()) membarrier_all_threads();  // B
  drain(before);
}

// How many readers are in, and what was ever read. There may seem to be more readers than
// there are, never less: a negative number means that somebody gave back what nobody
// held. F pairs with E in unlock_shared().
percpu_rw_semaphore::tally percpu_rw_semaphore::add_up() const {
  const unsigned rows = percpu_rows();
  const auto pair = [this](unsigned row) -> const percpu_counts& {
    return *reinterpret_cast<const percpu_counts*>(
        place_ + (std::size_t{row} << percpu_row_shift));
  };
  std::uint64_t released = 0;
  for (unsigned row = 0; row < rows; ++row)
    released += pair(row).released.load(std::memory_order_acquire);
  // Invariant 2: an acquire load, so the others do not move before it.
  tally sum;
  for (unsigned row = 0; row < rows; ++row) {
    const std::uint64_t acquired = pair(row).acquired.load(std::memory_order_acquire);
    sum.reads += acquired;
    sum.cpus += acquired != 0 ? 1 : 0;
  }
  sum.readers = static_cast<std::int64_t>(sum.reads - released);
  return sum;
}

bool percpu_rw_semaphore::drained() {
  const tally now = add_up();
  if (now.readers < 0) lock_rule_broken("read unlock of what is not held", kind, this);
  if (now.readers == 0) read_ = now;
  return now.readers == 0;
}

// Waits until the readers that were in are out.
void percpu_rw_semaphore::drain(std::uint32_t before) {
  const auto are_out = [this] { return drained(); };
  if (spin_while_it_helps(are_out) || yield_if_it_helps(are_out)) return;
  // H, for readers that unlock without a fence: their count is visible after the barrier,
  // or they see the gate closed. From idle there was one when it closed.
  if (before == fenced_ && asymmetric()) membarrier_all_threads();
  while (true) {
    drainer_sleeps_.store(1, std::memory_order_relaxed);
    full_fence();  // H pairs with G: we say that we sleep, then look once more
    if (drained()) break;
    blocked_tasks::sleep_on(&drainer_sleeps_, 1);
  }
  drainer_sleeps_.store(0, std::memory_order_relaxed);
}

// Whether so many reads would lose more to their fences than the next write would to a
// barrier, in which readers everywhere find the gate closed.
bool percpu_rw_semaphore::worth_a_barrier(const tally& now) const {
  if (bursts_.load(std::memory_order_relaxed) != 0 || !barriers_are_cheap()) return false;
  const std::uint64_t since = now.reads - reads_before_.load(std::memory_order_relaxed);
  return since >= membarrier_cost_in_fences() * std::max(now.cpus, 1U);
}

// By what the writer that unlocks has found when it came.
std::uint32_t percpu_rw_semaphore::state_after_write() {
  const bool rare = worth_a_barrier(read_);
  reads_before_.store(read_.reads, std::memory_order_relaxed);
  return rare ? idle_ : fenced_;
}

bool percpu_rw_semaphore::try_lock_untold() {
  std::uint32_t before = blocked;
  if (is_write_locked() || !block(before)) return false;
  if (before == idle_ && asymmetric()) membarrier_all_threads();  // B
  if (drained()) return true;
  // As it was: readers that fenced nothing may be in.
  if (waiters_.load(std::memory_order_relaxed) == 0)
    open_gate(before);
  else
    serve_queue(before == idle_);
  return false;
}

void percpu_rw_semaphore::unlock_untold() {
  if (!is_write_locked())
    lock_rule_broken("write unlock of what is not held", kind, this);
  if (waiters_.load(std::memory_order_relaxed) == 0)
    open_gate(state_after_write());
  else
    serve_queue(false);
}

// Nobody queued a moment ago.
void percpu_rw_semaphore::open_gate(std::uint32_t to) {
  // D pairs with C. I: the gate opens, then we look for who queues; J in
  // enqueue_or_go_on() is the other side. Without it, one could queue at an open gate.
  state_.exchange(to, std::memory_order_seq_cst);
  if (waiters_.load(std::memory_order_seq_cst) == 0) return;
  std::uint32_t before = blocked;
  if (!block(before)) return;  // a new writer will serve the queue
  serve_queue(before == idle_);
}

void percpu_rw_semaphore::serve_queue(bool from_idle) {
  waiter* granted = nullptr;
  {
    const guard hold{queue_lock_};
    granted = hand_over(from_idle);
  }
  wake(granted);
}

// Gives the lock, which is blocked, to the head of the queue: to the readers up to the
// first writer, and to that writer, which waits for them; to nobody if there is none.
// Returns the chain of those who have to be woken.
percpu_rw_semaphore::waiter* percpu_rw_semaphore::hand_over(bool from_idle) {
  waiter* const first = head_;
  waiter* last = nullptr;
  bool to_writer = false;
  while (head_ != nullptr && !to_writer) {
    last = head_;
    head_ = last->next;
    to_writer = last->writer;
    last->from_idle = from_idle;
    if (!to_writer) count_in();  // invariant 4
    waiters_.fetch_sub(1, std::memory_order_relaxed);
  }
  if (head_ == nullptr) tail_ = nullptr;
  if (last != nullptr) last->next = nullptr;
  // D. Without a barrier an idle lock must not become a fenced one: readers that fenced
  // nothing may be in.
  if (!to_writer)
    state_.store(from_idle ? idle_ : state_after_write(), std::memory_order_release);
  return first;
}

// Queues if the gate is closed; false if it is open.
bool percpu_rw_semaphore::enqueue_or_go_on(waiter& self) {
  const guard hold{queue_lock_};
  waiters_.fetch_add(1, std::memory_order_seq_cst);
  // J pairs with I in open_gate().
  if (state_.load(std::memory_order_seq_cst) != blocked) {
    waiters_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  (tail_ == nullptr ? head_ : tail_->next) = &self;
  tail_ = &self;
  return true;
}

void percpu_rw_semaphore::await_grant(waiter& self) {
  // K pairs with L in wake(): what the granter had is ours.
  const auto is_granted = [&] {
    return self.state.load(std::memory_order_acquire) == granted;
  };
  if (spin(is_granted, spin_most)) return;
  // Not a writer: where more of them than CPUs pass the lock on, those that sleep leave
  // it to those that run.
  if (!self.writer && yield_if_it_helps(is_granted)) return;
  std::uint32_t expected = spins;
  self.state.compare_exchange_strong(expected, sleeps, std::memory_order_acquire);
  while (!is_granted()) blocked_tasks::sleep_on(&self.state, sleeps);
}

void percpu_rw_semaphore::wake(waiter* who) {
  while (who != nullptr) {
    waiter* const next = who->next;
    const void* const word = &who->state;
    // L. The waiter may be gone after this.
    if (who->state.exchange(granted, std::memory_order_release) == sleeps)
      futex_wake(word, 1);
    who = next;
  }
}

// Looks whether `done()`, and again.
template <class Done>
bool percpu_rw_semaphore::spin(Done done, unsigned tries) {
  if (done()) return true;
  if (spin_limit() == 0) return false;  // one CPU: who is waited for cannot run
  for (unsigned i = 0; i < tries; ++i) {
    // Closely at first: what is waited for is mostly shorter than a few pauses.
    for (unsigned pause = std::min(i / 4, 4U); pause > 0; --pause) cpu_relax();
    if (done()) return true;
  }
  return false;
}

template <class Done>
bool percpu_rw_semaphore::spin_while_it_helps(Done done) {
  const bool helped = spin(done, spin_tries_);
  const unsigned next = helped ? std::min(2 * spin_tries_, spin_most)
                               : std::max(spin_tries_ / 2, spin_least);
  if (next != spin_tries_) spin_tries_ = next;
  return helped;
}

template <class Done>
bool percpu_rw_semaphore::yield_if_it_helps(Done done) {
  using clock = std::chrono::steady_clock;
  if (spin_limit() == 0 || !yields_help()) return false;
  for (unsigned i = 0; i < yields; ++i) {
    const clock::time_point before = clock::now();
    sched_yield();
    if (clock::now() - before > long_yield) {
      waits_without_yields_.store(sleeps_per_long_yield, std::memory_order_relaxed);
      return done();
    }
    if (done()) return true;
  }
  return false;
}

// Asked once a wait. Others that count down at the same time make it less exact.
bool percpu_rw_semaphore::yields_help() {
  const unsigned left = waits_without_yields_.load(std::memory_order_relaxed);
  if (left != 0) waits_without_yields_.store(left - 1, std::memory_order_relaxed);
  return left == 0;
}

}  // namespace memhp
