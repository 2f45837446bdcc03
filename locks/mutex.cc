#include "locks/mutex.h"

#include <cstdio>
#include <cstdlib>

namespace memhp {

std::uintptr_t this_thread_identity() {
  thread_local const char anchor = 0;
  return reinterpret_cast<std::uintptr_t>(&anchor);
}

void lock_rule_broken(std::string_view rule, std::string_view lock) {
  std::fprintf(stderr, "memhp: %.*s: %.*s\n", static_cast<int>(rule.size()), rule.data(),
               static_cast<int>(lock.size()), lock.data());
  std::abort();
}

void mutex::lock() {
  raw_.lock();
  owner_.store(this_thread_identity(), std::memory_order_relaxed);
}

bool mutex::try_lock() {
  if (!raw_.try_lock()) return false;
  owner_.store(this_thread_identity(), std::memory_order_relaxed);
  return true;
}

void mutex::unlock() {
  if (!held_by_me()) lock_rule_broken("unlock of a lock that is not held", name_);
  owner_.store(0, std::memory_order_relaxed);
  raw_.unlock();
}

bool mutex::held_by_me() const {
  return owner_.load(std::memory_order_relaxed) == this_thread_identity();
}

void mutex::assert_held() const {
  if (!held_by_me()) lock_rule_broken("lock must be held here", name_);
}

}  // namespace memhp
