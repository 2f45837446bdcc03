// Clang's thread-safety annotations in this project's vocabulary.
//
// "Must hold X" is written as an annotation, never as prose alone: the `analyze`
// preset builds with clang and turns a violation into an error. Other compilers see
// nothing.
#pragma once

#if defined(__clang__)
#define MEMHP_ATTRIBUTE(x) __attribute__((x))
#else
#define MEMHP_ATTRIBUTE(x)
#endif

#define CAPABILITY(name) MEMHP_ATTRIBUTE(capability(name))
#define SCOPED_CAPABILITY MEMHP_ATTRIBUTE(scoped_lockable)
#define GUARDED_BY(lock) MEMHP_ATTRIBUTE(guarded_by(lock))
#define PT_GUARDED_BY(lock) MEMHP_ATTRIBUTE(pt_guarded_by(lock))
#define ACQUIRED_AFTER(...) MEMHP_ATTRIBUTE(acquired_after(__VA_ARGS__))
#define ACQUIRED_BEFORE(...) MEMHP_ATTRIBUTE(acquired_before(__VA_ARGS__))
#define REQUIRES(...) MEMHP_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define REQUIRES_SHARED(...) MEMHP_ATTRIBUTE(requires_shared_capability(__VA_ARGS__))
#define ACQUIRE(...) MEMHP_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define ACQUIRE_SHARED(...) MEMHP_ATTRIBUTE(acquire_shared_capability(__VA_ARGS__))
#define RELEASE(...) MEMHP_ATTRIBUTE(release_capability(__VA_ARGS__))
#define RELEASE_SHARED(...) MEMHP_ATTRIBUTE(release_shared_capability(__VA_ARGS__))
#define RELEASE_GENERIC(...) MEMHP_ATTRIBUTE(release_generic_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...) MEMHP_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#define TRY_ACQUIRE_SHARED(...) \
  MEMHP_ATTRIBUTE(try_acquire_shared_capability(__VA_ARGS__))
#define EXCLUDES(...) MEMHP_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define ASSERT_HELD(...) MEMHP_ATTRIBUTE(assert_capability(__VA_ARGS__))
#define ASSERT_HELD_SHARED(...) MEMHP_ATTRIBUTE(assert_shared_capability(__VA_ARGS__))
#define RETURN_CAPABILITY(x) MEMHP_ATTRIBUTE(lock_returned(x))
#define NO_THREAD_SAFETY_ANALYSIS MEMHP_ATTRIBUTE(no_thread_safety_analysis)
