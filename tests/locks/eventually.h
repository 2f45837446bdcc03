// Waiting in tests: for a condition that another thread will make true, never for time.
#pragma once

#include <chrono>
#include <future>
#include <thread>

namespace memhp {

// True as soon as `condition()` holds; false if it does not within a generous deadline.
template <class Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

// For what must not happen: true if it has not within a moment. Right code always
// passes; wrong code fails as soon as its thread gets to run.
template <class Future>
bool still_waits(Future& future) {
  return future.wait_for(std::chrono::milliseconds{20}) == std::future_status::timeout;
}

}  // namespace memhp
