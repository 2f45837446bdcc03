// std::atomic with a scheduler that means ill: before and after each operation the thread
// may spin for a moment or give up its CPU. Windows of some nanoseconds become as wide as
// a time slice, so that a wrong order of two operations shows within a short test.
//
// tests/locks/CMakeLists.txt compiles copies of the locks against it; the orders of
// memory are passed on as they are, so ThreadSanitizer judges the copies as it does the
// locks.
#pragma once

#include <sched.h>

#include <atomic>

namespace memhp {

inline void perturb() {
  static std::atomic<unsigned> seeds = 1;
  thread_local unsigned state =
      seeds.fetch_add(2'654'435'761U, std::memory_order_relaxed) | 1;
  state = state * 1'664'525U + 1'013'904'223U;  // Numerical Recipes' generator
  const unsigned choice = (state >> 20) % 16;
  if (choice == 0) sched_yield();
  if (choice > 3) return;
  for (unsigned i = state >> 24; i > 0; --i)
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

template <class T>
class perturbed_atomic {
  using order = std::memory_order;
  static constexpr order strongest = std::memory_order_seq_cst;

 public:
  static constexpr bool is_always_lock_free = std::atomic<T>::is_always_lock_free;

  constexpr perturbed_atomic() = default;
  constexpr perturbed_atomic(T value) : value_{value} {}  // NOLINT: as std::atomic

  T operator=(T value) {  // NOLINT: as std::atomic
    store(value);
    return value;
  }
  T load(order o = strongest) const {
    return between([&] { return value_.load(o); });
  }
  void store(T value, order o = strongest) {
    perturb();
    value_.store(value, o);
    perturb();
  }
  T exchange(T value, order o = strongest) {
    return between([&] { return value_.exchange(value, o); });
  }
  T fetch_add(T value, order o = strongest) {
    return between([&] { return value_.fetch_add(value, o); });
  }
  T fetch_sub(T value, order o = strongest) {
    return between([&] { return value_.fetch_sub(value, o); });
  }
  T fetch_or(T value, order o = strongest) {
    return between([&] { return value_.fetch_or(value, o); });
  }
  T fetch_and(T value, order o = strongest) {
    return between([&] { return value_.fetch_and(value, o); });
  }
  bool compare_exchange_strong(T& expected, T value, order o,
                               order failed = std::memory_order_relaxed) {
    return between(
        [&] { return value_.compare_exchange_strong(expected, value, o, failed); });
  }
  bool compare_exchange_weak(T& expected, T value, order o,
                             order failed = std::memory_order_relaxed) {
    return between(
        [&] { return value_.compare_exchange_weak(expected, value, o, failed); });
  }

 private:
  template <class Operation>
  static auto between(Operation operation) {
    perturb();
    const auto result = operation();
    perturb();
    return result;
  }

  std::atomic<T> value_{};
};

}  // namespace memhp
