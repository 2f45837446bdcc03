#include "fuse/parked_requests.h"

#include <fuse_lowlevel.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "fuse/client_signals.h"

namespace memhp {
namespace {

using namespace std::chrono_literals;

// lock_device_hotplug_sysfs(): "avoid busy looping (5 ms of sleep should do)".
constexpr auto restart_delay = 5ms;
// Thousands of waiters must not eat the machine with attempts: no more than this many
// a millisecond, in turn.
constexpr int restarts_at_once = 32;
constexpr auto restart_pause = 1ms;
// A write that is not answered by then keeps the kernel's inode lock: whoever comes
// next has to be given another inode.
constexpr auto expire_delay = 1ms;
// A task with a fatal signal comes back by itself or is answered without.
constexpr auto dying_time = 100ms;
constexpr auto longest_look = 200ms;

}  // namespace

parked_requests::parked_requests(node_table& nodes, notifier& tell_kernel,
                                 machine_stats& stats,
                                 std::function<void()> wake_receiver)
    : nodes_{nodes},
      tell_kernel_{tell_kernel},
      stats_{stats},
      wake_receiver_{std::move(wake_receiver)} {}

void parked_requests::park(io_request io) {
  fuse_req* const req = io.req;
  if (io.writing) nodes_.write_begins(io.handle->node);
  stats_.parked.fetch_add(1, std::memory_order_relaxed);
  const call_ref what{new call{.io = std::move(io)}};
  {
    guard hold{lock_};
    calls_.emplace(req, what);
    if (what->io.writing) arm(what, due::expire_name, expire_delay);
  }
  // libfuse calls back on the receiver: at once if the signal has come already.
  fuse_req_interrupt_func(req, on_interrupt, this);
  if (!start(what) && take_unlocked(*what)) answer(*what, {.error = ENOMEM});
}

bool parked_requests::start(const call_ref& what) {
  return pool_.submit([this, what] { attempt(what); });
}

void parked_requests::attempt(const call_ref& what) {
  // A new task for every attempt: a signal that came during the one before would have
  // been handled by now.
  task by{what->io.tid, what->io.uid, what->io.gid};
  io_outcome outcome;
  {
    const guard one_at_a_time{what->io.handle->mutex};
    {
      guard hold{lock_};
      if (what->taken) return;
      what->running_as = &by;
      what->attempted = true;
      if (std::exchange(what->signal_first_attempt, false)) by.signal();
    }
    outcome = perform(what->io, by);
  }
  settle(what, std::move(outcome));
}

void parked_requests::settle(const call_ref& what, io_outcome outcome) {
  {
    guard hold{lock_};
    what->running_as = nullptr;
    if (what->taken) return;
    if (outcome.error == restart_error && what->dying) outcome.error = EINTR;
    if (outcome.error != restart_error) take(*what);
  }
  if (outcome.error == restart_error) {
    if (wait_for_restart(what)) wake_receiver_();
    return;
  }
  // What this write did to the tree must be seen by whoever sees it return.
  if (what->io.writing) tell_kernel_.flush();
  answer(*what, outcome);
}

// True if the receiver does not look at restarts_ by itself.
bool parked_requests::wait_for_restart(const call_ref& what) {
  stats_.restarts.fetch_add(1, std::memory_order_relaxed);
  guard hold{lock_};
  restarts_.push_back({.when = clock::now() + restart_delay, .call = what});
  return restarts_.size() == 1;
}

void parked_requests::arm(const call_ref& what, due why, clock::duration after) {
  timers_.push({.when = clock::now() + after, .what = why, .call = what});
}

bool parked_requests::take(call& what) {
  if (std::exchange(what.taken, true)) return false;
  calls_.erase(what.io.req);
  return true;
}

bool parked_requests::take_unlocked(call& what) {
  guard hold{lock_};
  return take(what);
}

void parked_requests::answer(const call& what, const io_outcome& outcome) {
  if (what.io.writing) nodes_.write_ends(what.io.handle->node);
  stats_.parked.fetch_sub(1, std::memory_order_relaxed);
  reply(what.io.req, stats_, what.io.writing, outcome);
}

// Runs on the receiver. The request is in calls_ unless somebody answers it.
void parked_requests::on_interrupt(fuse_req* req, void* self) {
  auto& parked = *static_cast<parked_requests*>(self);
  call_ref what;
  {
    guard hold{parked.lock_};
    const auto hit = parked.calls_.find(req);
    if (hit == parked.calls_.end()) return;
    what = hit->second;
  }
  // Not here: libfuse holds a lock of the request that an answer takes.
  guard hold{parked.lock_};
  parked.arm(what, due::look_at_signals, 0ms);
}

void parked_requests::look_at_signals(const call_ref& what) {
  const client_signals signals = signals_of(what->io.tid);
  bool kill = false;
  {
    guard hold{lock_};
    if (what->taken) return;
    if (signals.fatal) {
      kill = fatal_signal(what);
    } else {
      const bool news = (signals.pending & ~what->seen_signals) != 0;
      what->seen_signals = signals.pending;
      if (news) handled_signal(*what);
      arm(what, due::look_at_signals, what->look_again_after);
      what->look_again_after = std::min(2 * what->look_again_after, longest_look);
    }
  }
  if (kill) answer(*what, {.error = EINTR});
}

// True if the caller has to answer.
bool parked_requests::fatal_signal(const call_ref& what) {
  if (what->running_as == nullptr) return take(*what);
  what->dying = true;
  what->running_as->signal();
  arm(what, due::give_up, dying_time);
  return false;
}

void parked_requests::handled_signal(call& what) {
  if (what.running_as != nullptr)
    what.running_as->signal();
  else if (!what.attempted)
    what.signal_first_attempt = true;
}

void parked_requests::expire_name_of(const call& what) {
  const kernfs_node& node = what.io.handle->file->node();
  tell_kernel_.expire_name(node.parent()->ino(), node.name());
}

void parked_requests::on_timer(const timer& expired) {
  {
    guard hold{lock_};
    if (expired.call->taken) return;
  }
  switch (expired.what) {
    case due::expire_name: expire_name_of(*expired.call); break;
    case due::look_at_signals: look_at_signals(expired.call); break;
    case due::give_up:
      if (take_unlocked(*expired.call)) answer(*expired.call, {.error = EINTR});
      break;
  }
}

void parked_requests::restart_what_is_due(clock::time_point now) {
  for (int n = 0; n < restarts_at_once; ++n) {
    call_ref next;
    {
      guard hold{lock_};
      if (restarts_.empty() || restarts_.front().when > now) return;
      next = std::move(restarts_.front().call);
      restarts_.pop_front();
      if (next->taken) continue;
    }
    if (start(next)) continue;
    guard hold{lock_};
    restarts_.push_back({.when = now + restart_delay, .call = next});
  }
}

std::optional<parked_requests::clock::time_point> parked_requests::run_timers() {
  const auto now = clock::now();
  restart_what_is_due(now);
  for (;;) {
    timer next;
    {
      guard hold{lock_};
      if (timers_.empty() || timers_.top().when > now) break;
      next = timers_.top();
      timers_.pop();
    }
    on_timer(next);
  }
  guard hold{lock_};
  std::optional<clock::time_point> again;
  if (!timers_.empty()) again = timers_.top().when;
  if (!restarts_.empty()) {
    const auto restart = std::max(restarts_.front().when, now + restart_pause);
    again = again ? std::min(*again, restart) : restart;
  }
  return again;
}

void parked_requests::answer_all() {
  std::vector<call_ref> left;
  {
    guard hold{lock_};
    for (const auto& [req, what] : calls_) left.push_back(what);
    for (const call_ref& what : left)
      if (what->running_as != nullptr) what->running_as->signal();
    std::erase_if(left, [this](const call_ref& what)
                            NO_THREAD_SAFETY_ANALYSIS { return !take(*what); });
    restarts_.clear();
    timers_ = {};
  }
  for (const call_ref& what : left) answer(*what, {.error = EINTR});
}

}  // namespace memhp
