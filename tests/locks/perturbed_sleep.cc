// The perturbed copies are linked without the validator, whose names of tasks
// locks/blocked_tasks.cc writes down: here nobody watches who sleeps.
#include "locks/blocked_tasks.h"

namespace memhp::blocked_tasks {

void detail::sleep_on(const void* word, std::uint32_t expected) {
  futex_wait(word, expected);
}

}  // namespace memhp::blocked_tasks
