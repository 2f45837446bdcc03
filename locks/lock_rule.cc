#include "locks/lock_rule.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace memhp {

void lock_rule_broken(std::string_view rule, std::string_view lock) {
  std::fprintf(stderr, "memhp: %.*s: %.*s\n", static_cast<int>(rule.size()), rule.data(),
               static_cast<int>(lock.size()), lock.data());
  std::abort();
}

void lock_rule_broken(std::string_view rule, std::string_view kind, const void* address) {
  std::fprintf(stderr, "memhp: %.*s: %.*s at %p\n", static_cast<int>(rule.size()),
               rule.data(), static_cast<int>(kind.size()), kind.data(), address);
  std::abort();
}

// A counter, for an address within the thread, or its number in the kernel, goes to the
// next thread.
std::uint64_t this_thread_identity() {
  static constinit std::atomic<std::uint64_t> given = 0;
  thread_local constinit std::uint64_t mine = 0;
  if (mine == 0) mine = given.fetch_add(1, std::memory_order_relaxed) + 1;
  return mine;
}

}  // namespace memhp
