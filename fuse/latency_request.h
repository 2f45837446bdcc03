// Keeps the host's CPUs from deep sleep while clients ask and ask (PM QoS).
//
// Between two requests the client waits for the answer and its CPU is idle for some
// microseconds. Where an idle CPU halts at once, as under many hypervisors, or goes to a
// deep C-state, waking it costs more than the rest of the request. So while requests
// come without a pause, /dev/cpu_dma_latency is asked for no exit latency at all. Only
// root may; for others nothing happens. The kernel takes the request back when the
// descriptor is closed, at the latest when the process ends.
//
// Thread safety: for the receiver alone.
#pragma once

#include <chrono>

#include "blocks/owned_fd.h"

namespace memhp {

class latency_request {
 public:
  // How long there must be no request before it is taken back.
  static constexpr std::chrono::milliseconds linger{10};

  static constexpr const char* host_device = "/dev/cpu_dma_latency";

  // Opens `device`; a request that cannot be made is no error. Null: never asks.
  explicit latency_request(const char* device);

  // A request came.
  void busy() {
    if (++in_a_row_ == worth_it) ask(0);
  }
  // There was none for `linger`.
  void quiet();
  // Whether somebody has to call quiet() in time.
  bool held() const { return held_; }

 private:
  // A program that reads a few files is not worth two system calls and an interrupt for
  // every idle CPU.
  static constexpr unsigned worth_it = 64;

  void ask(int latency_us);

  const owned_fd device_;
  unsigned in_a_row_ = 0;
  bool held_ = false;
};

}  // namespace memhp
