// What ThreadSanitizer is told of the locks, so that it reports the locking mistakes of a
// program that uses them: orders that can deadlock, a lock taken twice, an unlock of what
// is not held. Nothing in a build without it; no lock is larger for it.
//
// Between a pre and its post it does not look: what a lock does inside is not checked,
// and that a holder sees what the former one did is taken from these calls. Programs that
// want the locks themselves checked define MEMHP_LOCKS_NO_TSAN_ANNOTATIONS, everywhere.
//
// A write hold that one thread takes and another gives back is a mistake to it. Who hands
// one over on purpose says so: the former holder tsan_given_away(), then the new one
// tsan_taken_over(). Read holds need no word.
//
// Always inlined: its reports begin with the lock's own function.
//
// Thread safety: any thread. Source: <sanitizer/tsan_interface.h> of GCC 12 and clang 19.
#pragma once

#if defined(__SANITIZE_THREAD__)
#define MEMHP_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MEMHP_TSAN 1
#endif
#endif

#if defined(MEMHP_TSAN) && !defined(MEMHP_LOCKS_NO_TSAN_ANNOTATIONS)
#include <sanitizer/tsan_interface.h>
#define MEMHP_TSAN_TOLD 1
#endif

namespace memhp {

enum class tsan_hold : bool { write, read };

#if defined(MEMHP_TSAN_TOLD)

namespace detail {
constexpr unsigned tsan_flags(tsan_hold as) {
  return as == tsan_hold::read ? __tsan_mutex_read_lock : 0;
}
}  // namespace detail

// Around a wait for the lock, which ends with having it.
[[gnu::always_inline]] inline void tsan_pre_lock(void* lock,
                                                 tsan_hold as = tsan_hold::write) {
  __tsan_mutex_pre_lock(lock, detail::tsan_flags(as));
}
[[gnu::always_inline]] inline void tsan_post_lock(void* lock,
                                                  tsan_hold as = tsan_hold::write) {
  __tsan_mutex_post_lock(lock, detail::tsan_flags(as), 0);
}
// Around a try: it is in nobody's way, so no order comes from it.
[[gnu::always_inline]] inline void tsan_pre_try(void* lock,
                                                tsan_hold as = tsan_hold::write) {
  __tsan_mutex_pre_lock(lock, detail::tsan_flags(as) | __tsan_mutex_try_lock);
}
[[gnu::always_inline]] inline bool tsan_post_try(void* lock, bool got,
                                                 tsan_hold as = tsan_hold::write) {
  __tsan_mutex_post_lock(lock,
                         detail::tsan_flags(as) | __tsan_mutex_try_lock |
                             (got ? 0 : __tsan_mutex_try_lock_failed),
                         0);
  return got;
}
// Around a release. The lock may be gone afterwards: only its address is used.
[[gnu::always_inline]] inline void tsan_pre_unlock(void* lock,
                                                   tsan_hold as = tsan_hold::write) {
  __tsan_mutex_pre_unlock(lock, detail::tsan_flags(as));
}
[[gnu::always_inline]] inline void tsan_post_unlock(void* lock,
                                                    tsan_hold as = tsan_hold::write) {
  __tsan_mutex_post_unlock(lock, detail::tsan_flags(as));
}
[[gnu::always_inline]] inline void tsan_destroyed(void* lock) {
  __tsan_mutex_destroy(lock, 0);
}

#else

[[gnu::always_inline]] inline void tsan_pre_lock(void* /*lock*/,
                                                 tsan_hold /*as*/ = tsan_hold::write) {}
[[gnu::always_inline]] inline void tsan_post_lock(void* /*lock*/,
                                                  tsan_hold /*as*/ = tsan_hold::write) {}
[[gnu::always_inline]] inline void tsan_pre_try(void* /*lock*/,
                                                tsan_hold /*as*/ = tsan_hold::write) {}
[[gnu::always_inline]] inline bool tsan_post_try(void* /*lock*/, bool got,
                                                 tsan_hold /*as*/ = tsan_hold::write) {
  return got;
}
[[gnu::always_inline]] inline void tsan_pre_unlock(void* /*lock*/,
                                                   tsan_hold /*as*/ = tsan_hold::write) {}
[[gnu::always_inline]] inline void tsan_post_unlock(void* /*lock*/,
                                                    tsan_hold /*as*/ = tsan_hold::write) {
}
[[gnu::always_inline]] inline void tsan_destroyed(void* /*lock*/) {}

#endif

// percpu_rwsem_release() and percpu_rwsem_acquire() of the kernel, there for lockdep.
[[gnu::always_inline]] inline void tsan_given_away(void* lock) {
  tsan_pre_unlock(lock);
  tsan_post_unlock(lock);
}
[[gnu::always_inline]] inline void tsan_taken_over(void* lock) {
  tsan_pre_try(lock);
  tsan_post_try(lock, true);
}

}  // namespace memhp
