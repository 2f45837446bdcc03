// All workers of a run in one thread: their calls are under way together on one ring.
//
// Each worker's calls begin in their order; with more calls in flight than workers, those
// of one worker overlap too.
//
// Thread safety: run() in one thread.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stress/lister.h"
#include "stress/ring.h"
#include "stress/worker.h"

namespace memhp::stress {

// What --in-flight allows.
inline constexpr unsigned most_in_flight = 4096;

class ring_driver {
 public:
  // `in_flight` calls at a time of all workers together, at least one a worker (0: that
  // many). Everything
  // must outlive this.
  ring_driver(shared_run& shared, std::deque<worker>& workers, unsigned in_flight);

  // Until no worker has more calls or the run stops; calls under way are waited for.
  void run();

 private:
  struct flight {
    worker* who = nullptr;  // null: free
    record made;
    std::optional<steps> doing;
    std::string complaint;  // of the chains
    bool listing = false;
    ring::chain chain;
  };
  struct waiting_call {
    worker* who = nullptr;
    planned_call next;
  };

  void start_calls();
  void finish_idle();
  void start(worker& who, const call& what);
  void go_on(flight& each);
  void end(flight& each);
  void interrupt(std::size_t worker);
  std::chrono::nanoseconds time_to_wait() const;

  shared_run& shared_;
  std::deque<worker>& workers_;
  std::deque<flight> flights_;
  std::vector<flight*> free_;
  std::deque<worker*> turns_;          // each may begin a call
  std::vector<waiting_call> waiting_;  // not due yet
  std::size_t under_way_ = 0;
  std::optional<ring> ring_;
  std::optional<lister> lister_;
};

}  // namespace memhp::stress
