#include "locks/shared_percpu_rwsem.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <csignal>
#include <thread>

#include "locks/futex.h"
#include "locks/lock_rule.h"
#include "locks/robust_mutex.h"

namespace memhp {
namespace {

constexpr auto across = futex_reach::across_processes;
constexpr std::string_view kind = "shared_percpu_rw_semaphore";

// slot::queue in its parts. `waiting` and `turn` are the half that readers sleep on;
// `turn` changes when those who wait are let in. One bit is enough: they are holders then
// and the next writer has to wait until they have all gone, so it cannot change twice
// before they have looked.
constexpr std::uint64_t one_waiting = 1;
constexpr std::uint64_t waiting_mask = 0x7fff'ffff;
constexpr std::uint64_t turn_bit = 0x8000'0000;
constexpr unsigned admitted_shift = 32;

const void* sleeping_half(const std::atomic<std::uint64_t>& queue) {
  constexpr std::size_t low_half = std::endian::native == std::endian::little ? 0 : 4;
  return reinterpret_cast<const std::byte*>(&queue) + low_half;
}

// A full fence between what this thread did and what it does next. Where rseq cannot be
// used (ThreadSanitizer, which knows no fences, among them) the count was a locked
// instruction, and all loads and stores that matter are sequentially consistent.
void full_fence() {
#ifndef __SANITIZE_THREAD__
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

long membarrier(int command) {
  return syscall(SYS_membarrier, command, 0, 0);
}

// Every thread of every registered process executes a full fence before this returns.
// It worked when the lock was made; should the kernel refuse it now (a late seccomp
// filter) there is a slow command that needs no registration, and without that the lock
// cannot go on: an unfenced scan can miss a reader.
void global_barrier(const void* lock) {
  if (membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) == 0) return;
  if (membarrier(MEMBARRIER_CMD_GLOBAL) == 0) return;
  lock_rule_broken("membarrier does not work any more", kind, lock);
}

// Whether a thread of this process is there, and stays: the kernel knows one that was
// joined for a moment longer.
bool thread_goes_on(pid_t thread) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{1};
  while (tgkill(getpid(), thread, 0) == 0) {
    if (std::chrono::steady_clock::now() > deadline) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  return false;
}

}  // namespace

shared_percpu_rw_semaphore::readers shared_percpu_rw_semaphore::best() {
  const long commands = membarrier(MEMBARRIER_CMD_QUERY);
  return commands > 0 && (commands & MEMBARRIER_CMD_GLOBAL_EXPEDITED) != 0 &&
                 membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0
             ? readers::expedited
             : readers::fenced;
}

// ---- Readers

void shared_percpu_attachment::count(counter which) {
  percpu_add(row_, which, use_rseq_);
}

void shared_percpu_attachment::lock_shared() {
  if (sem_ == nullptr) [[unlikely]]
    lock_rule_broken("lock of what is not attached in this process", kind, this);
  count(counter::acquired);
  // A pairs with B in close_gate(): our count, then our look at the state. The compiler
  // keeps the order; that the CPU may let the look overtake the count is what B's barrier
  // makes up for. Without B a writer could miss our count and we its gate.
  // Acquire: with `idle` we see what the last writer wrote.
  if (sem_->state_.load(std::memory_order_acquire) != shared_percpu_rw_semaphore::idle)
      [[unlikely]]
    lock_shared_slow();
}

// The caller has counted itself in and found the state not idle.
void shared_percpu_attachment::lock_shared_slow() {
  shared_percpu_rw_semaphore& sem = *sem_;
  while (true) {
    full_fence();  // A of a lock that is always fenced: see above, and no B is needed
    if (sem.state_.load(std::memory_order_seq_cst) != shared_percpu_rw_semaphore::blocked)
      return;
    count(counter::released);  // so that the writer need not wait for a sleeper
    sem.wake_drainer();
    if (sem.wait_for_admission(sem.slots_[slot_], recover_)) return;
    count(counter::acquired);  // the gate was opened before we slept: once more
    if (sem.state_.load(std::memory_order_acquire) == shared_percpu_rw_semaphore::idle)
      return;
  }
}

bool shared_percpu_attachment::try_lock_shared() {
  if (sem_ == nullptr) [[unlikely]]
    lock_rule_broken("lock of what is not attached in this process", kind, this);
  count(counter::acquired);
  if (sem_->state_.load(std::memory_order_acquire) == shared_percpu_rw_semaphore::idle)
    return true;  // A
  full_fence();
  if (sem_->state_.load(std::memory_order_seq_cst) != shared_percpu_rw_semaphore::blocked)
    return true;
  count(counter::released);
  sem_->wake_drainer();
  return false;
}

void shared_percpu_attachment::unlock_shared() {
  if (sem_ == nullptr) [[unlikely]]
    lock_rule_broken("unlock of what is not attached in this process", kind, this);
  // C pairs with D in drain(): a release, so what was read is read before the writer
  // sees us gone.
  count(counter::released);
  if (sem_->state_.load(std::memory_order_acquire) != shared_percpu_rw_semaphore::idle)
      [[unlikely]]
    unlock_shared_slow();
}

void shared_percpu_attachment::unlock_shared_slow() {
  // H pairs with B: our count, then our look. Without it, in a lock that is always
  // fenced, we could miss the closed gate and its writer our count.
  full_fence();
  if (sem_->state_.load(std::memory_order_seq_cst) == shared_percpu_rw_semaphore::blocked)
    sem_->wake_drainer();
}

// E pairs with D in drain(): the count has changed, then drain_; the writer reads them in
// the other order, so it sees the count or its sleep is refused.
void shared_percpu_rw_semaphore::wake_drainer() {
  drain_.fetch_add(1, std::memory_order_seq_cst);
  futex_wake<across>(&drain_, 1);
}

// Sleeps until the writer who leaves lets us in: true, and we are counted in. False if
// the gate is open.
bool shared_percpu_rw_semaphore::wait_for_admission(
    slot& mine, const std::function<void()>& recover) {
  // F pairs with G in open_gate(): we queue and look at the gate, the writer opens it and
  // looks at the queue, all four sequentially consistent. One sees the other; weaker, we
  // could go to sleep at an open gate.
  std::uint64_t seen = mine.queue.fetch_add(one_waiting, std::memory_order_seq_cst);
  const std::uint64_t turn = seen & turn_bit;
  const auto not_yet = [&] {
    seen = mine.queue.load(std::memory_order_acquire);
    return (seen & turn_bit) == turn;
  };
  if (state_.load(std::memory_order_seq_cst) != blocked) {
    while (not_yet())  // step back, unless a writer has let us in meanwhile
      if (mine.queue.compare_exchange_weak(seen, seen - one_waiting,
                                           std::memory_order_relaxed))
        return false;
    return true;
  }
  while (not_yet()) {
    const auto deadline = std::chrono::steady_clock::now() + probe_interval;
    const auto half = static_cast<std::uint32_t>(seen);
    if (futex_wait_until<across>(sleeping_half(mine.queue), half, deadline) ==
        futex_result::timed_out)
      look_for_dead_writer(recover);
  }
  return true;
}

// ---- Writers

void shared_percpu_attachment::lock() {
  if (sem_ == nullptr)
    lock_rule_broken("lock of what is not attached in this process", kind, this);
  const robust_outcome got = robust_lock(sem_->writer_);
  if (got == robust_outcome::held_by_me)
    lock_rule_broken("write lock of what this thread holds", kind, sem_);
  sem_->take_over(got == robust_outcome::owner_died, recover_);
  write_hold_.store(sem_->write_holds_.load(std::memory_order_relaxed),
                    std::memory_order_relaxed);
  writer_tid_.store(gettid(), std::memory_order_relaxed);
  writer_.store(this_thread_identity(), std::memory_order_relaxed);
}

// Whether a living thread does. One that died does not, though writer_ still names it:
// its hold was taken over, or will be by the next writer.
bool shared_percpu_attachment::held_for_writing() const {
  if (writer_.load(std::memory_order_relaxed) == 0) return false;
  if (write_hold_.load(std::memory_order_relaxed) !=
      sem_->write_holds_.load(std::memory_order_relaxed))
    return false;
  return thread_goes_on(writer_tid_.load(std::memory_order_relaxed));
}

// writer_ is held. Waits until nobody reads, and has the data made whole if the last
// holder died with it.
void shared_percpu_rw_semaphore::take_over(bool owner_died,
                                           const std::function<void()>& recover) {
  write_holds_.fetch_add(1, std::memory_order_relaxed);  // what a dead writer had is over
  close_gate();
  drain();
  if (owner_died && writing_.load(std::memory_order_relaxed) != 0) {
    dead_writers_.fetch_add(1, std::memory_order_relaxed);
    recover();
  }
  writing_.store(1, std::memory_order_relaxed);
}

void shared_percpu_rw_semaphore::close_gate() {
  state_.exchange(blocked, std::memory_order_seq_cst);
  // B pairs with A in lock_shared(). A reader that looked at the state before the barrier
  // on its CPU has its count visible when this returns, so that drain() sees it; one that
  // looks after it sees `blocked`. Those who fence themselves need no help.
  if (how_ == readers::expedited) global_barrier(this);
}

void shared_percpu_rw_semaphore::drain() {
  const auto empty = [this] {
    const unsigned rows = slots_ever_used_.load(std::memory_order_seq_cst);
    for (unsigned index = 0; index < rows; ++index)
      if (!row_is_empty(index)) return false;
    return true;
  };
  while (true) {
    // D pairs with C and E: drain_ first, then the rows.
    const std::uint32_t before = drain_.load(std::memory_order_seq_cst);
    if (empty()) return;
    const auto deadline = std::chrono::steady_clock::now() + probe_interval;
    if (futex_wait_until<across>(&drain_, before, deadline) == futex_result::timed_out)
      look_for_dead_readers();
  }
}

// Read holds of a row: `released` is summed up first (rule 2 in the header).
std::int32_t shared_percpu_rw_semaphore::holds(unsigned index) {
  const auto released = percpu_sum(row(index), counter::released);
  const auto acquired = percpu_sum(row(index), counter::acquired);
  const auto admitted =
      slots_[index].queue.load(std::memory_order_seq_cst) >> admitted_shift;
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(acquired + admitted) -
                                   static_cast<std::uint32_t>(released));
}

bool shared_percpu_rw_semaphore::row_is_empty(unsigned index) {
  // A row that comes into use now belongs to a process whose readers, all of them, find
  // the gate closed: I in attach().
  if (slots_[index].used.load(std::memory_order_seq_cst) == 0) return true;
  const std::int32_t now = holds(index);
  if (now >= 0) [[likely]]
    return now == 0;
  // Less than nobody: a row that was being cleared during the scan, or a broken rule.
  const robust_guard hold{registry_};
  if (slots_[index].used.load(std::memory_order_seq_cst) != 0 && holds(index) < 0)
    lock_rule_broken("release of a read hold that nobody has", kind, this);
  return false;  // scan once more
}

void shared_percpu_attachment::unlock() {
  if (sem_ == nullptr)
    lock_rule_broken("unlock of what is not attached in this process", kind, this);
  if (writer_.load(std::memory_order_relaxed) != this_thread_identity())
    lock_rule_broken("unlock of what this thread does not hold", kind, sem_);
  writer_.store(0, std::memory_order_relaxed);
  sem_->open_gate();
}

// writer_ is held, and released at the end.
void shared_percpu_rw_semaphore::open_gate() {
  writing_.store(0, std::memory_order_relaxed);
  // A release for the acquire of A: what was written is seen. And G pairs with F in
  // wait_for_admission().
  state_.store(open_state(), std::memory_order_seq_cst);
  const unsigned rows = slots_ever_used_.load(std::memory_order_seq_cst);
  for (unsigned index = 0; index < rows; ++index) {
    std::atomic<std::uint64_t>& queue = slots_[index].queue;
    std::uint64_t seen = queue.load(std::memory_order_seq_cst);
    while ((seen & waiting_mask) != 0) {
      // One operation counts them in and tells them so: a writer that dies anywhere in
      // this function leaves nobody half in.
      const std::uint64_t waiting = seen & waiting_mask;
      const std::uint64_t admitted = (waiting << admitted_shift) + seen - waiting;
      if (queue.compare_exchange_weak(seen, admitted ^ turn_bit,
                                      std::memory_order_seq_cst)) {
        futex_wake_all<across>(sleeping_half(queue));
        break;
      }
    }
  }
  robust_unlock(writer_);
}

}  // namespace memhp
