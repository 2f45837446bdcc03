// A robust POSIX mutex between processes, as far as it is needed here: who takes it
// learns whether its last holder died.
//
// Thread safety: any thread. Taking it makes it consistent at once, so it never becomes
// unusable: what the mutex protects is made whole by the taker, or needs no care.
// Source: pthread_mutexattr_setrobust(3).
#pragma once

#include <pthread.h>

#include <cstdint>

namespace memhp {

enum class robust_outcome : std::uint8_t { taken, owner_died, held_by_me, busy };

void robust_init(pthread_mutex_t& mutex);
robust_outcome robust_lock(pthread_mutex_t& mutex);
// `busy` if a living thread holds it, this one included.
robust_outcome robust_try_lock(pthread_mutex_t& mutex);
// False, and nothing is done, if the calling thread does not hold it.
bool robust_unlock(pthread_mutex_t& mutex);

// Holds a mutex whose data needs no care after a death.
class robust_guard {
 public:
  explicit robust_guard(pthread_mutex_t& mutex) : mutex_{mutex} { robust_lock(mutex); }
  ~robust_guard() { robust_unlock(mutex_); }
  robust_guard(const robust_guard&) = delete;
  robust_guard& operator=(const robust_guard&) = delete;

 private:
  pthread_mutex_t& mutex_;
};

}  // namespace memhp
