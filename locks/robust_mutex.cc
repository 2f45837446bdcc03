#include "locks/robust_mutex.h"

#include <cerrno>

#include "locks/lock_rule.h"

namespace memhp {
namespace {

robust_outcome outcome_of(pthread_mutex_t& mutex, int error) {
  switch (error) {
    case 0: return robust_outcome::taken;
    case EOWNERDEAD: pthread_mutex_consistent(&mutex); return robust_outcome::owner_died;
    case EDEADLK: return robust_outcome::held_by_me;
    case EBUSY: return robust_outcome::busy;
    default: lock_rule_broken("not a mutex, or destroyed", "robust mutex", &mutex);
  }
}

}  // namespace

void robust_init(pthread_mutex_t& mutex) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  // Error checking: the holder that locks again, and who unlocks without holding, learn.
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
  const int error = pthread_mutex_init(&mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
  if (error != 0)
    lock_rule_broken("this system has no robust mutexes", "robust mutex", &mutex);
}

robust_outcome robust_lock(pthread_mutex_t& mutex) {
  return outcome_of(mutex, pthread_mutex_lock(&mutex));
}

robust_outcome robust_try_lock(pthread_mutex_t& mutex) {
  return outcome_of(mutex, pthread_mutex_trylock(&mutex));
}

bool robust_unlock(pthread_mutex_t& mutex) {
  return pthread_mutex_unlock(&mutex) == 0;
}

}  // namespace memhp
