// Who is attached to a shared_percpu_rw_semaphore, and who of them is dead.
#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <type_traits>

#include "locks/guards.h"
#include "locks/lock_rule.h"
#include "locks/robust_mutex.h"
#include "locks/shared_percpu_rwsem.h"
#include "locks/slot_keeper.h"

namespace memhp {
namespace {

constexpr std::string_view kind = "shared_percpu_rw_semaphore";

// Changes with the layout. The size tells apart what was built with other limits.
constexpr std::uint64_t magic =
    0x7065'7263'7075'0002 ^ (std::uint64_t{sizeof(shared_percpu_rw_semaphore)} << 16);

static_assert(std::is_standard_layout_v<shared_percpu_rw_semaphore>);
// Between processes only what needs no lock of the C++ library works.
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// The number of this process's pid namespace; 0 where no /proc tells.
std::uint64_t pid_namespace() {
  struct stat about{};
  return stat("/proc/self/ns/pid", &about) == 0 ? about.st_ino : 0;
}

}  // namespace

// The attachments of this process, for the child of a fork to forget.
struct attached_in_this_process {
  static mutex& lock() {
    static mutex& of_all = *new mutex;
    return of_all;
  }
  static inline shared_percpu_attachment* first = nullptr;

  static void add(shared_percpu_attachment& one) {
    static const bool once = [] {
      return pthread_atfork(&prepare, &parent, &child) == 0;
    }();
    if (!once) lock_rule_broken("pthread_atfork failed", kind, &one);
    guard hold{lock()};
    one.next_ = first;
    first = &one;
  }

  static void remove(shared_percpu_attachment& one) {
    guard hold{lock()};
    shared_percpu_attachment** link = &first;
    while (*link != &one) link = &(*link)->next_;
    *link = one.next_;
  }

  static void prepare() NO_THREAD_SAFETY_ANALYSIS {
    lock().lock();
    slot_keeper::fork_prepare();
  }
  static void parent() NO_THREAD_SAFETY_ANALYSIS {
    slot_keeper::fork_parent();
    lock().unlock();
  }
  // The slots stay the parent's. What the child inherits must not touch them: it would
  // hold in the parent's name, and be forgotten when the parent dies.
  static void child() NO_THREAD_SAFETY_ANALYSIS {
    slot_keeper::fork_child();
    while (first != nullptr) {
      shared_percpu_attachment* const one = first;
      first = one->next_;
      one->forget();
    }
    lock().unlock();
  }
};

// ---- The shared part

shared_percpu_rw_semaphore::shared_percpu_rw_semaphore(readers how)
    : pid_namespace_{pid_namespace()},
      how_{how},
      cpus_{static_cast<unsigned>(
          std::clamp<long>(sysconf(_SC_NPROCESSORS_CONF), 1, max_cpus))},
      state_{open_state()} {
  robust_init(writer_);
  robust_init(registry_);
  for (slot& one : slots_) robust_init(one.alive);
  magic_.store(magic, std::memory_order_release);
}

shared_percpu_rw_semaphore::~shared_percpu_rw_semaphore() {
  for (slot& one : slots_) {
    if (robust_try_lock(one.alive) == robust_outcome::busy)
      lock_rule_broken("destroyed while a process is attached", kind, this);
    robust_unlock(one.alive);
  }
  magic_.store(0, std::memory_order_relaxed);
}

percpu_row shared_percpu_rw_semaphore::row(unsigned index) {
  const std::size_t to_next_line = -reinterpret_cast<std::uintptr_t>(counters_) % line;
  return {.row = reinterpret_cast<percpu_pair*>(counters_ + to_next_line) + index,
          .cpus = cpus_,
          .beyond = &slots_[index].beyond};
}

shared_percpu_rw_semaphore::events shared_percpu_rw_semaphore::so_far() const {
  return {.dead_processes = dead_processes_.load(std::memory_order_relaxed),
          .dead_writers = dead_writers_.load(std::memory_order_relaxed),
          .probes = probes_.load(std::memory_order_relaxed)};
}

unsigned shared_percpu_rw_semaphore::attached() const {
  return static_cast<unsigned>(std::ranges::count_if(slots_, [](const slot& one) {
    return one.used.load(std::memory_order_relaxed) != 0;
  }));
}

// Takes a free slot, or a dead process's; max_processes if there is none. Runs on the
// keeper's thread, which from now on holds slot::alive. registry_ is held.
int shared_percpu_rw_semaphore::claim_slot() {
  for (unsigned index = 0; index < max_processes; ++index) {
    const robust_outcome got = robust_try_lock(slots_[index].alive);
    if (got == robust_outcome::busy || got == robust_outcome::held_by_me) continue;
    bury(index);  // also what a process left that died while it attached or detached
    return static_cast<int>(index);
  }
  return max_processes;
}

// The keeper of a process is dead, so the process is being killed, or executes another
// program; but a sibling of the keeper that runs on another CPU may execute a little more
// of the old one, and count. The slow membarrier command waits until every CPU has been
// in the kernel: on the way back from there the sibling dies. Where that command is
// refused (CPUs without a tick), a pause has to do.
void shared_percpu_rw_semaphore::wait_for_siblings_to_die() {
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0)
    std::this_thread::sleep_for(2 * probe_interval);
}

// slots_[index].alive and registry_ are held. Afterwards nobody changes the row.
void shared_percpu_rw_semaphore::bury(unsigned index) {
  slot& one = slots_[index];
  if (one.used.load(std::memory_order_relaxed) != 0) {
    wait_for_siblings_to_die();
    dead_processes_.fetch_add(1, std::memory_order_relaxed);
  }
  one.used.store(0, std::memory_order_seq_cst);
  one.queue.store(0, std::memory_order_seq_cst);
  percpu_clear(row(index));
}

// A writer has waited for long.
void shared_percpu_rw_semaphore::look_for_dead_readers() {
  const robust_guard hold{registry_};
  for (unsigned index = 0; index < max_processes; ++index) {
    slot& one = slots_[index];
    if (one.used.load(std::memory_order_relaxed) == 0) continue;
    const robust_outcome got = robust_try_lock(one.alive);
    if (got == robust_outcome::busy || got == robust_outcome::held_by_me) continue;
    if (got == robust_outcome::owner_died) bury(index);
    robust_unlock(one.alive);
  }
  probes_.fetch_add(1, std::memory_order_relaxed);
}

// A reader has waited for long: if the writer is dead nobody else may ever come.
void shared_percpu_rw_semaphore::look_for_dead_writer(
    const std::function<void()>& recover) {
  const robust_outcome got = robust_try_lock(writer_);
  if (got == robust_outcome::busy || got == robust_outcome::held_by_me) return;
  if (got == robust_outcome::taken) {  // it has just left, and let us in
    robust_unlock(writer_);
    return;
  }
  take_over(true, recover);
  open_gate();
}

// ---- A process's part

std::errc shared_percpu_attachment::attach(shared_percpu_rw_semaphore& sem, options how) {
  if (sem_ != nullptr) return std::errc::already_connected;
  if (sem.magic_.load(std::memory_order_acquire) != magic)
    return std::errc::invalid_argument;
  const std::uint64_t ours = pid_namespace();
  if (ours != sem.pid_namespace_ && ours != 0 && sem.pid_namespace_ != 0)
    return std::errc::no_such_process;
  // Needed by every process that reads, and lost by an exec; an inherited one is kept by
  // a fork. To register again costs a system call and nothing else.
  const bool expedited = sem.how_ == shared_percpu_rw_semaphore::readers::expedited;
  if (expedited &&
      syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) != 0)
    return std::errc::operation_not_supported;

  const robust_guard hold{sem.registry_};
  const int claimed =
      slot_keeper::of_this_process().run([&sem] { return sem.claim_slot(); });
  if (claimed < 0) return static_cast<std::errc>(-claimed);
  if (claimed == shared_percpu_rw_semaphore::max_processes)
    return std::errc::resource_unavailable_try_again;

  slot_ = static_cast<unsigned>(claimed);
  if (sem.slots_ever_used_.load(std::memory_order_relaxed) <= slot_)
    sem.slots_ever_used_.store(slot_ + 1, std::memory_order_seq_cst);
  // I pairs with row_is_empty(): a locked instruction, then our first look at the state.
  // A writer who does not see the row in use had closed the gate before, and we see that.
  sem.slots_[slot_].used.exchange(1, std::memory_order_seq_cst);
  use_rseq_ = how.use_rseq && rseq_usable();
  recover_ = std::move(how.recover);
  row_ = sem.row(slot_);
  attached_in_this_process::add(*this);  // a child forked from here on forgets sem_
  sem_ = &sem;
  return {};
}

void shared_percpu_attachment::detach() {
  if (sem_ == nullptr) return;
  const robust_guard hold{sem_->registry_};
  if (held_for_writing() || sem_->holds(slot_) != 0)
    lock_rule_broken("detached while held", kind, sem_);
  sem_->slots_[slot_].used.store(0, std::memory_order_seq_cst);
  slot_keeper::of_this_process().run(
      [this] { return robust_unlock(sem_->slots_[slot_].alive) ? 0 : -1; });
  attached_in_this_process::remove(*this);
  forget();
}

void shared_percpu_attachment::forget() {
  sem_ = nullptr;
  writer_.store(0, std::memory_order_relaxed);
}

}  // namespace memhp
