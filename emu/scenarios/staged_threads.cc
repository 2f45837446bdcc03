#include "emu/scenarios/staged_threads.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <thread>
#include <utility>

#include "locks/blocked_tasks.h"
#include "locks/guards.h"

namespace memhp {

struct staged_threads::participant {
  std::string name;
  std::function<void()> body;
  std::atomic<pid_t> tid = 0;  // 0: not yet
  std::atomic<bool> ended = false;
  std::thread thread;
};

thread_local staged_threads::participant* staged_threads::me = nullptr;

namespace {

constexpr std::size_t longest_comm = 15;

// Hotplug locks had a '.' in their names until they became percpu rwsems.
bool same_lock(std::string_view a, std::string_view b) {
  const auto plain = [](char c) { return c == '.' ? '_' : c; };
  return std::ranges::equal(a, b, {}, plain, plain);
}

// Whether the scheduler has it off the CPU. Somebody who was woken is not, even before it
// runs.
bool sleeps(pid_t tid) {
  std::ifstream file{"/proc/self/task/" + std::to_string(tid) + "/stat"};
  std::string line;
  std::getline(file, line);
  const std::size_t state = line.rfind(") ");
  return state != std::string::npos && line.substr(state + 2).starts_with('S');
}

// The wait that a thread is in; 0 if none.
std::uint64_t wait_of(pid_t tid) {
  for (const std::uint64_t wait : blocked_tasks::waits())
    if (const auto task = blocked_tasks::find(wait); task && task->task.pid == tid)
      return wait;
  return 0;
}

// The wait in which a thread sleeps now; 0 if it does not. That it is the same wait
// before and after says that the sleep is of this wait.
std::uint64_t sleeps_in_a_lock(pid_t tid) {
  const std::uint64_t wait = tid != 0 ? wait_of(tid) : 0;
  return wait != 0 && sleeps(tid) && wait_of(tid) == wait ? wait : 0;
}

}  // namespace

staged_threads::staged_threads(std::span<const stage> stages) : stages_{stages} {}

staged_threads::~staged_threads() {
  std::vector<std::unique_ptr<participant>> all;
  {
    guard hold{lock_};
    all.swap(all_);
  }
  for (const auto& each : all) each->thread.join();
}

void staged_threads::add(std::string name, std::function<void()> body) {
  auto made = std::make_unique<participant>();
  made->name = std::move(name);
  made->body = std::move(body);
  participant& p = *made;
  guard hold{lock_};
  all_.push_back(std::move(made));
  p.thread = std::thread{[this, &p] { run(p); }};
}

void staged_threads::run(participant& p) {
  pthread_setname_np(pthread_self(), p.name.substr(0, longest_comm).c_str());
  me = &p;
  p.tid.store(gettid(), std::memory_order_release);
  wait_for_turn(p);
  p.body();
  lockdep::check_task_exit();
  p.ended.store(true, std::memory_order_release);
  news_.complete();
}

bool staged_threads::is_turn_of(const participant& p) const {
  const std::size_t at = stage_.load(std::memory_order_acquire);
  return at == stages_.size() || stages_[at].task == p.name;
}

void staged_threads::wait_for_turn(const participant& p) {
  turns_.wait([&] { return is_turn_of(p); });
}

void staged_threads::next_stage() {
  passed_ = 0;
  stage_.store(stage_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  turns_.wake_all();
}

bool staged_threads::ends_before(std::string_view lock_name) {
  const std::size_t at = stage_.load(std::memory_order_relaxed);
  if (at == stages_.size() || stages_[at].task != me->name) return false;
  const bool there = std::ranges::any_of(stages_[at].wants, [&](std::string_view want) {
    return same_lock(want, lock_name);
  });
  return there && passed_++ == stages_[at].skip;
}

void staged_threads::before(const dep_map& map) {
  if (me == nullptr) return;
  {
    guard hold{lock_};
    while (ends_before(map.name())) next_stage();
  }
  wait_for_turn(*me);
}

// It starts again until whoever has the lock gives it back: no end, with all others
// waiting.
void staged_threads::failed(const dep_map& /*map*/) {
  if (me == nullptr) return;
  guard hold{lock_};
  const std::size_t at = stage_.load(std::memory_order_relaxed);
  if (at != stages_.size() && stages_[at].task == me->name) next_stage();
}

bool staged_threads::can_go_on(std::string_view task) const {
  const auto hit = std::ranges::find_if(all_, [&](const auto& p) {
    return p->name == task && !p->ended.load(std::memory_order_acquire);
  });
  if (hit == all_.end()) return false;
  return sleeps_in_a_lock((*hit)->tid.load(std::memory_order_acquire)) == 0;
}

void staged_threads::advance() {
  guard hold{lock_};
  for (std::size_t at; (at = stage_.load(std::memory_order_relaxed)) != stages_.size() &&
                       !can_go_on(stages_[at].task);)
    next_stage();
}

bool staged_threads::all_ended() const {
  guard hold{lock_};
  return std::ranges::all_of(
      all_, [](const auto& p) { return p->ended.load(std::memory_order_acquire); });
}

std::vector<std::uint64_t> staged_threads::stuck() const {
  guard hold{lock_};
  if (stage_.load(std::memory_order_relaxed) != stages_.size()) return {};
  std::vector<std::uint64_t> found;
  for (const auto& p : all_) {
    if (p->ended.load(std::memory_order_acquire)) continue;
    const auto wait = sleeps_in_a_lock(p->tid.load(std::memory_order_acquire));
    if (wait == 0) return {};
    found.push_back(wait);
  }
  return found;
}

void staged_threads::wait_for_news(std::chrono::milliseconds timeout) {
  (void)news_.wait_for(timeout);
}

}  // namespace memhp
