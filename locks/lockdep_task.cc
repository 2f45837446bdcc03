// Tasks and threads: who holds what, and what is asserted about it.
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ranges>
#include <utility>

#include "locks/lockdep_internal.h"

namespace memhp::lockdep {
namespace detail {

constinit thread_local context self;

namespace {

// Deeper than the locks of this program nest; more are allocated.
constexpr std::uint32_t first_capacity = 16;

// comm of another thread; empty if it is gone.
std::string comm_of_thread(int tid) {
  const std::string path = "/proc/self/task/" + std::to_string(tid) + "/comm";
  std::string comm;
  if (std::FILE* file = std::fopen(path.c_str(), "re")) {
    std::array<char, 32> line{};
    if (std::fgets(line.data(), line.size(), file) != nullptr) comm = line.data();
    (void)std::fclose(file);
  }
  while (!comm.empty() && comm.back() == '\n') comm.pop_back();
  return comm;
}

}  // namespace

// The thread's own task; reports what the thread ends with.
class own_task {
 public:
  own_task() : task_{{}, gettid(), true}, handle_{task_} { self.own = &task_; }
  // Whatever task is current: that one goes on without the thread.
  ~own_task() {
    self.current = &task_;
    self.mode = 0;
    check_task_exit();
    self.ended = true;
    self.mode = 0;
    self.current = self.own = nullptr;
  }
  own_task(const own_task&) = delete;
  own_task& operator=(const own_task&) = delete;

 private:
  task task_;
  task_state handle_;
};

reported_lock held_lock::described() const {
  return {.lock = class_of().described(),
          .instance = map.load(std::memory_order_relaxed),
          .read = read() != read_kind::write,
          .at = {.ip = ip.load(std::memory_order_relaxed)}};
}

void held_lock::take_from(const held_lock& other) {
  map.store(other.map.load(std::memory_order_relaxed), std::memory_order_relaxed);
  cls.store(other.cls.load(std::memory_order_relaxed), std::memory_order_relaxed);
  ip.store(other.ip.load(std::memory_order_relaxed), std::memory_order_relaxed);
  flags.store(other.flags.load(std::memory_order_relaxed), std::memory_order_relaxed);
  wait_start = other.wait_start;
  hold_start = other.hold_start;
}

namespace {

// fork() copies the locks in whatever state other threads have them, so whoever forks
// takes them first.
void before_fork() NO_THREAD_SAFETY_ANALYSIS {
  registry::instance().lock.lock();
  validator::instance().lock.lock();
  lock_lock_classes();
}
void after_fork() NO_THREAD_SAFETY_ANALYSIS {
  unlock_lock_classes();
  validator::instance().lock.unlock();
  registry::instance().lock.unlock();
}
// Only the thread that forked goes on; the others' tasks are in memory that is gone.
void after_fork_in_child() NO_THREAD_SAFETY_ANALYSIS {
  std::erase_if(registry::instance().tasks,
                [](const task* other) { return other->is_thread && other != self.own; });
  if (self.own != nullptr) self.own->pid = gettid();
  after_fork();
}

registry* make_registry() {
  if (pthread_atfork(before_fork, after_fork, after_fork_in_child) != 0) std::abort();
  return new registry;
}

}  // namespace

registry& registry::instance() {
  static auto& made = *make_registry();
  return made;
}

task::task(std::string name, int pid, bool is_thread)
    : name{std::move(name)}, pid{pid}, is_thread{is_thread} {
  grow();
  registry& all = registry::instance();
  const guard hold{all.lock};
  all.tasks.push_back(this);
}

task::~task() {
  registry& all = registry::instance();
  const guard hold{all.lock};
  std::erase(all.tasks, this);
}

held_lock* task::find(const dep_map& map) {
  for (held_lock& lock : locks() | std::views::reverse)
    if (lock.is(map)) return &lock;
  return nullptr;
}

// What was taken after it is held in a nesting without it now. That adds no dependency:
// what lies below is connected through what goes.
void task::remove(held_lock& lock) {
  held_lock* const last = top.load(std::memory_order_relaxed) - 1;
  for (held_lock* each = &lock; each != last; ++each) {
    each->take_from(each[1]);
    each[1].key_before =
        next_key(each->key_before, each->class_of().id,
                 each->flags.load(std::memory_order_relaxed) & ~timed_bit);
  }
  top.store(last, std::memory_order_relaxed);
}

// Called with a full stack, so that all there is moves.
void task::grow() {
  const auto before = static_cast<std::size_t>(end - held.get());
  const std::size_t larger = before == 0 ? first_capacity : before * 2;
  auto next = std::make_unique<held_lock[]>(larger + 1);
  for (std::size_t i = 0; i < before; ++i) {
    next[i].take_from(held[i]);
    next[i + 1].key_before = held[i + 1].key_before;
  }
  registry& all = registry::instance();
  const guard hold{all.lock};
  held = std::move(next);
  end = held.get() + larger;
  top.store(held.get() + before, std::memory_order_relaxed);
}

task_id task::id() const {
  return {.name = name, .pid = pid, .is_thread = is_thread};
}

reported_task task_id::described() const {
  reported_task made{.comm = name, .pid = pid, .cpu = std::max(0, sched_getcpu())};
  if (is_thread && pid == gettid()) {
    std::array<char, 17> own{};
    prctl(PR_GET_NAME, own.data());
    made.comm = own.data();
  } else if (is_thread) {
    made.comm = comm_of_thread(pid);
  }
  return made;
}

std::vector<reported_lock> task::described_held() const {
  std::vector<reported_lock> all;
  const std::span<held_lock> known = locks();
  all.reserve(known.size());
  for (const held_lock& lock : known)
    if (lock.cls.load(std::memory_order_relaxed) != nullptr)  // another task's, not yet
      all.push_back(lock.described());
  return all;
}

std::optional<other_holder> holder_other_than(const task* self_task, const dep_map& map) {
  registry& all = registry::instance();
  const guard hold{all.lock};
  for (const task* other : all.tasks) {
    if (other == self_task) continue;
    for (const held_lock& lock : other->locks())
      if (lock.is(map))
        return other_holder{.task = other->id(), .lock = lock.described()};
  }
  return std::nullopt;
}

known_holds holds_of(const dep_map& map) {
  registry& all = registry::instance();
  const guard hold{all.lock};
  known_holds found;
  for (const task* each : all.tasks)
    for (const held_lock& lock : each->locks())
      if (lock.is(map)) ++(lock.read() == read_kind::write ? found.writes : found.reads);
  return found;
}

task& context::current_or_own() {
  if (current == nullptr) {
    if (own == nullptr) {
      thread_local own_task made;
      (void)made;
    }
    current = own;
  }
  return *current;
}

task_id context::id_of_current() {
  if (current == nullptr && ended)
    return {.name = {}, .pid = gettid(), .is_thread = true};
  return current_or_own().id();
}

task* context::enter_slowly(std::uint64_t now) {
  if (busy || ended || now == 0) return nullptr;
  task& t = current_or_own();
  const std::uint64_t epoch_now = now >> epoch_shift;
  if (epoch != epoch_now) seen.fill(0);
  epoch = epoch_now;
  if (t.epoch != epoch_now) t.forget();
  t.epoch = epoch_now;
  mode = now;
  return &t;
}

}  // namespace detail

using detail::self;

task_state::task_state(std::string name, int pid)
    : task_{new detail::task{std::move(name), pid, false}} {
  task_->handle = this;
}

task_state::task_state(detail::task& own) : task_{&own} {
  task_->handle = this;
}

task_state::~task_state() {
  if (task_->is_thread) return;  // part of the task
  const std::unique_ptr<detail::task> owned{task_};
  const std::uint64_t now = detail::mode.load(std::memory_order_relaxed);
  if ((now & detail::prove_bit) == 0 || owned->epoch != now >> detail::epoch_shift ||
      depth() == 0)
    return;
  held_at_exit_report report;
  detail::fill(report, *owned, nullptr);
  detail::deliver(report, true);
}

std::size_t task_state::depth() const {
  return task_->locks().size();
}

task_state& current() {
  return *self.current_or_own().handle;
}

task_state* set_current(task_state* task) {
  task_state* const former = &current();
  self.current = task != nullptr ? task->task_ : self.own;
  self.mode = 0;  // the next lock looks whether what it holds is of this epoch
  return former;
}

void check_task_exit() {
  const std::uint64_t now = detail::mode.load(std::memory_order_relaxed);
  detail::task* const t = self.enter(now);
  if (t == nullptr || t->locks().empty()) return;
  held_at_exit_report report;
  detail::fill(report, *t, __builtin_return_address(0));
  t->forget();
  if ((now & detail::prove_bit) != 0) detail::deliver(report, true);
}

std::vector<reported_lock> held_locks() {
  const detail::task* const t = self.enter(detail::mode.load(std::memory_order_relaxed));
  return t == nullptr ? std::vector<reported_lock>{} : t->described_held();
}

std::vector<task_locks> all_held_locks() {
  struct holder {
    detail::task_id id;
    std::vector<reported_lock> held;
  };
  std::vector<holder> holders;
  if (detail::mode.load(std::memory_order_relaxed) != 0) {
    detail::registry& all = detail::registry::instance();
    const guard hold{all.lock};
    for (const detail::task* each : all.tasks)
      if (!each->locks().empty())
        holders.push_back({.id = each->id(), .held = each->described_held()});
  }
  // Who they are is read from files, which may take its time.
  std::vector<task_locks> made;
  made.reserve(holders.size());
  for (holder& each : holders)
    if (!each.held.empty())
      made.push_back({.task = each.id.described(), .held = std::move(each.held)});
  return made;
}

}  // namespace memhp::lockdep
