// Stops the process that serves a machine now and then, for a while.
//
// Thread safety: none; one thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>

#include "blocks/owned_fd.h"
#include "stress/faults.h"
#include "stress/sequence.h"

namespace memhp::stress {

class machine_stopper {
 public:
  using clock = std::chrono::steady_clock;
  // The chances that a second has.
  static constexpr int chances_per_s = 4;

  machine_stopper(pid_t machine, const fault& how, std::uint64_t seed);

  // Call often. If a chance is due and drawn, stops the process, waits and lets it go on.
  void maybe_stop();
  std::uint64_t stops() const { return stops_; }

 private:
  void stop();

  const owned_fd machine_;  // a pidfd: its number may be another's once it has ended
  const fault how_;
  sequence numbers_;
  clock::time_point next_;
  std::uint64_t stops_ = 0;
};

}  // namespace memhp::stress
