#include "locks/completion.h"

#include <bit>

#include "locks/futex.h"

namespace memhp {

// The half of state_ that counts completions: what the kernel compares.
const void* completion::completions() const {
  constexpr std::size_t low_half = std::endian::native == std::endian::little ? 0 : 4;
  return reinterpret_cast<const std::byte*>(&state_) + low_half;
}

void completion::complete() {
  std::uint64_t seen = state_.load(std::memory_order_relaxed);
  while (true) {
    if ((seen & all) == all) return;
    // A pairs with B in wait(): one operation adds the completion and reads the
    // sleepers. After it the object may be gone: a second look would read freed memory.
    const void* const address = completions();
    if (state_.compare_exchange_weak(seen, seen + one, std::memory_order_release,
                                     std::memory_order_relaxed)) {
      if ((seen & sleepers) != 0) futex_wake(address, 1);
      return;
    }
  }
}

void completion::complete_all() {
  const void* const address = completions();
  const std::uint64_t before = state_.fetch_or(all, std::memory_order_release);  // A
  if ((before & sleepers) != 0) futex_wake_all(address);
}

// Takes a completion, if there is one, and with it the caller's entry among the
// sleepers (`registered`: sleeper or 0).
bool completion::take(std::uint64_t registered) {
  std::uint64_t seen = state_.load(std::memory_order_relaxed);
  while ((seen & all) != 0) {
    const std::uint64_t used = (seen & all) == all ? 0 : one;
    if (state_.compare_exchange_weak(seen, seen - used - registered,
                                     std::memory_order_acquire,
                                     std::memory_order_relaxed))
      return true;
  }
  return false;
}

bool completion::wait(const std::chrono::steady_clock::time_point* deadline) {
  if (spin_until([&] { return take(0); })) return true;
  state_.fetch_add(sleeper, std::memory_order_relaxed);  // B
  while (!take(sleeper)) {
    // B pairs with A in complete(): either A comes after B and wakes, or the kernel's
    // compare finds a completion here.
    if (deadline == nullptr) {
      futex_wait(completions(), 0);
    } else if (futex_wait_until(completions(), 0, *deadline) == futex_result::timed_out) {
      // A wake-up that was meant for us has not been lost: a sleeper that times out is
      // off the kernel's list, and what was completed is still in the word.
      if (take(sleeper)) return true;
      state_.fetch_sub(sleeper, std::memory_order_relaxed);
      return false;
    }
  }
  return true;
}

void completion::wait() {
  wait(nullptr);
}

bool completion::try_wait() {
  return take(0);
}

bool completion::wait_until(std::chrono::steady_clock::time_point deadline) {
  return wait(&deadline);
}

void completion::reinit() {
  state_.fetch_and(sleepers, std::memory_order_relaxed);
}

}  // namespace memhp
