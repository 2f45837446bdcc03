// A worker in a thread of its own: system calls, one after the other.
//
// Thread safety: thread_signals from any thread.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "stress/worker.h"

namespace memhp::stress {

// Which threads a signal may interrupt, for the workers that send them. A thread is only
// in it while it is inside a call, so that none gets a signal after its end.
class thread_signals {
 public:
  // Counts in `sent`, which must outlive this. Sets a handler for SIGUSR1 without
  // SA_RESTART: a call that waits ends with EINTR.
  explicit thread_signals(std::vector<std::atomic<std::uint64_t>>& sent);
  void enter(std::size_t worker);
  void leave(std::size_t worker);
  void interrupt(std::size_t worker);

 private:
  std::vector<std::atomic<std::uint64_t>>& sent_;
  std::mutex lock_;
  std::vector<std::optional<pthread_t>> threads_;  // guarded by lock_
};

// Until the worker has no more calls or the run stops.
void run_in_thread(worker& each, shared_run& shared, thread_signals& signals);

}  // namespace memhp::stress
