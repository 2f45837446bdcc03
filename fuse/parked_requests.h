// Reads and writes that may sleep: run by the worker pool, answered late.
//
// Who takes a request out of the table (a worker with a result, a signal that kills the
// client, the end of the session) answers it; everybody else finds it gone.
//
// Signals, as the kernel treats them:
//   - a fatal one ends a request that waits (for its restart, for a thread) at once. One
//     that runs inside the model gets its task signalled and some time to come back by
//     itself, so that what it had begun is undone before the client is gone; then it is
//     answered without it.
//   - a handled one signals the task, which matters to whoever asks signal_pending().
//     A request that waits for its restart is not told: the kernel would run the handler
//     and start the call again, so the next attempt begins without a signal.
//   - FUSE reports only the first signal of a request. So a request that has seen one
//     is looked at again and again until it is answered.
//
// Thread safety: park(), interrupted(), run_timers() and answer_all() are for the
// receiver. Workers run the rest.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <unordered_map>
#include <vector>

#include "fuse/file_io.h"
#include "fuse/node_table.h"
#include "fuse/notifier.h"
#include "fuse/worker_pool.h"
#include "locks/guards.h"
#include "locks/tracked.h"

namespace memhp {

class parked_requests {
 public:
  using clock = std::chrono::steady_clock;

  // `wake_receiver` makes the receiver call run_timers() soon; workers call it.
  parked_requests(node_table& nodes, notifier& tell_kernel, machine_stats& stats,
                  std::function<void()> wake_receiver);
  parked_requests(const parked_requests&) = delete;
  parked_requests& operator=(const parked_requests&) = delete;

  // Takes the request over. The answer may have been sent when this returns.
  void park(io_request io);

  // Does what is due: restarts, looks at signals, expires names. Returns when to call
  // it again, if anything waits for its time.
  std::optional<clock::time_point> run_timers();

  // Answers every request with EINTR and signals those that run.
  void answer_all();
  // Waits until no operation is inside the model; false after `timeout`.
  bool wait_idle(std::chrono::milliseconds timeout) { return pool_.wait_idle(timeout); }

 private:
  struct call {
    const io_request io;
    // Guarded by lock_ of parked_requests.
    task* running_as = nullptr;  // inside the model; else waits for its turn
    bool attempted = false;
    bool signal_first_attempt = false;  // a signal came before the first attempt
    std::uint64_t seen_signals = 0;
    bool dying = false;  // a fatal signal came while it ran
    bool taken = false;  // somebody answers it
    std::chrono::milliseconds look_again_after{20};
  };
  using call_ref = std::shared_ptr<call>;

  enum class due : std::uint8_t { expire_name, look_at_signals, give_up };
  struct timer {
    clock::time_point when;
    due what;
    call_ref call;
    friend bool operator>(const timer& a, const timer& b) { return a.when > b.when; }
  };
  struct restart {
    clock::time_point when;
    call_ref call;
  };

  static void on_interrupt(fuse_req* req, void* self);
  void look_at_signals(const call_ref& what);
  bool fatal_signal(const call_ref& what) REQUIRES(lock_);
  void handled_signal(call& what) REQUIRES(lock_);
  bool start(const call_ref& what);
  void attempt(const call_ref& what);
  void settle(const call_ref& what, io_outcome outcome);
  bool wait_for_restart(const call_ref& what);
  void answer(const call& what, const io_outcome& outcome);
  void expire_name_of(const call& what);
  void on_timer(const timer& expired);
  void restart_what_is_due(clock::time_point now);
  bool take(call& what) REQUIRES(lock_);
  bool take_unlocked(call& what);
  void arm(const call_ref& what, due why, clock::duration after) REQUIRES(lock_);

  node_table& nodes_;
  notifier& tell_kernel_;
  machine_stats& stats_;
  const std::function<void()> wake_receiver_;

  static constexpr lock_class_key lock_key{.name = "parked requests"};
  tracked_mutex lock_{lock_key};
  std::unordered_map<fuse_req*, call_ref> calls_ GUARDED_BY(lock_);
  std::priority_queue<timer, std::vector<timer>, std::greater<>> timers_
      GUARDED_BY(lock_);
  std::deque<restart> restarts_ GUARDED_BY(lock_);  // in the order of their time

  worker_pool pool_;  // last: its threads use the rest
};

}  // namespace memhp
