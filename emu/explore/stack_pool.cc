#include "emu/explore/stack_pool.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace memhp {

stack_pool::~stack_pool() {
  for (boost::context::stack_context& stack : free_) fresh_.deallocate(stack);
}

boost::context::stack_context stack_pool::take() {
  if (free_.empty()) return fresh_.allocate();
  const boost::context::stack_context stack = free_.back();
  free_.pop_back();
  return stack;
}

void stack_pool::give_back(const boost::context::stack_context& stack) {
#if defined(__SANITIZE_ADDRESS__)
  // The last frames never returned: what the sanitizer noted of them is void. The guard
  // page at the bottom stays.
  __asan_unpoison_memory_region(static_cast<char*>(stack.sp) - stack_bytes, stack_bytes);
#endif
  free_.push_back(stack);
}

}  // namespace memhp
