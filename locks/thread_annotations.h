// Clang's thread-safety annotations in this project's vocabulary.
//
// "Must hold X" is written as an annotation, never as prose alone: the `analyze`
// preset builds with clang and turns a violation into an error. Other compilers see
// nothing.
//
// The names are those of clang's documentation, and so of other libraries. Each is left
// alone where it is already a macro: who copied the documentation's mutex.h, and includes
// it first, keeps its own, and our declarations are annotated with these. That is right
// as long as they mean what clang means by them; a prefix would spare us the condition,
// at the price of every declaration's legibility. Who includes ours first and then
// defines its own guards them in the same way.
#pragma once

#if defined(__clang__)
#define MEMHP_ATTRIBUTE(x) __attribute__((x))
#else
#define MEMHP_ATTRIBUTE(x)
#endif

#ifndef CAPABILITY
#define CAPABILITY(name) MEMHP_ATTRIBUTE(capability(name))
#endif
#ifndef SCOPED_CAPABILITY
#define SCOPED_CAPABILITY MEMHP_ATTRIBUTE(scoped_lockable)
#endif
#ifndef GUARDED_BY
#define GUARDED_BY(lock) MEMHP_ATTRIBUTE(guarded_by(lock))
#endif
#ifndef PT_GUARDED_BY
#define PT_GUARDED_BY(lock) MEMHP_ATTRIBUTE(pt_guarded_by(lock))
#endif
#ifndef ACQUIRED_AFTER
#define ACQUIRED_AFTER(...) MEMHP_ATTRIBUTE(acquired_after(__VA_ARGS__))
#endif
#ifndef ACQUIRED_BEFORE
#define ACQUIRED_BEFORE(...) MEMHP_ATTRIBUTE(acquired_before(__VA_ARGS__))
#endif
#ifndef REQUIRES
#define REQUIRES(...) MEMHP_ATTRIBUTE(requires_capability(__VA_ARGS__))
#endif
#ifndef REQUIRES_SHARED
#define REQUIRES_SHARED(...) MEMHP_ATTRIBUTE(requires_shared_capability(__VA_ARGS__))
#endif
#ifndef ACQUIRE
#define ACQUIRE(...) MEMHP_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#endif
#ifndef ACQUIRE_SHARED
#define ACQUIRE_SHARED(...) MEMHP_ATTRIBUTE(acquire_shared_capability(__VA_ARGS__))
#endif
#ifndef RELEASE
#define RELEASE(...) MEMHP_ATTRIBUTE(release_capability(__VA_ARGS__))
#endif
#ifndef RELEASE_SHARED
#define RELEASE_SHARED(...) MEMHP_ATTRIBUTE(release_shared_capability(__VA_ARGS__))
#endif
#ifndef RELEASE_GENERIC
#define RELEASE_GENERIC(...) MEMHP_ATTRIBUTE(release_generic_capability(__VA_ARGS__))
#endif
#ifndef TRY_ACQUIRE
#define TRY_ACQUIRE(...) MEMHP_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#endif
#ifndef TRY_ACQUIRE_SHARED
#define TRY_ACQUIRE_SHARED(...) \
  MEMHP_ATTRIBUTE(try_acquire_shared_capability(__VA_ARGS__))
#endif
#ifndef EXCLUDES
#define EXCLUDES(...) MEMHP_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#endif
#ifndef ASSERT_HELD
#define ASSERT_HELD(...) MEMHP_ATTRIBUTE(assert_capability(__VA_ARGS__))
#endif
#ifndef ASSERT_HELD_SHARED
#define ASSERT_HELD_SHARED(...) MEMHP_ATTRIBUTE(assert_shared_capability(__VA_ARGS__))
#endif
#ifndef RETURN_CAPABILITY
#define RETURN_CAPABILITY(x) MEMHP_ATTRIBUTE(lock_returned(x))
#endif
#ifndef NO_THREAD_SAFETY_ANALYSIS
#define NO_THREAD_SAFETY_ANALYSIS MEMHP_ATTRIBUTE(no_thread_safety_analysis)
#endif
