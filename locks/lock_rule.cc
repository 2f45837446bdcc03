#include "locks/lock_rule.h"

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

std::uintptr_t this_thread_identity() {
  thread_local const char anchor = 0;
  return reinterpret_cast<std::uintptr_t>(&anchor);
}

}  // namespace memhp
