// The rivals: reader/writer locks of Debian 12, as many as were found at build time.
#pragma once

#include <pthread.h>

#include <mutex>
#include <shared_mutex>

#include "bench/locks_bench/contender.h"

#ifdef HAVE_BOOST_THREAD
#include <boost/thread/shared_mutex.hpp>
#endif
#ifdef HAVE_ABSL
#include <absl/synchronization/mutex.h>
#endif
#ifdef HAVE_TBB
#include <oneapi/tbb/queuing_rw_mutex.h>
#include <oneapi/tbb/rw_mutex.h>
#include <oneapi/tbb/spin_rw_mutex.h>
#endif

namespace memhp::bench {

struct std_shared_mutex : shared_face<std::shared_mutex> {
  static constexpr std::string_view name = "std::shared_mutex";
  static constexpr role part = role::rival;
};

struct std_mutex : exclusive_face<std::mutex> {
  static constexpr std::string_view name = "std::mutex";
  static constexpr role part = role::exclusive;
};

template <int Kind>
struct pthread_rwlock {
  static constexpr std::string_view name = Kind == PTHREAD_RWLOCK_PREFER_READER_NP
                                               ? "pthread_rwlock, prefer reader"
                                               : "pthread_rwlock, prefer writer";
  static constexpr role part = role::rival;
  struct session {
    explicit session(pthread_rwlock& /*lock*/) {}
  };
  pthread_rwlock() {
    pthread_rwlockattr_t kind;
    pthread_rwlockattr_init(&kind);
    pthread_rwlockattr_setkind_np(&kind, Kind);
    pthread_rwlock_init(&raw, &kind);
    pthread_rwlockattr_destroy(&kind);
  }
  ~pthread_rwlock() { pthread_rwlock_destroy(&raw); }
  void read_lock(session& /*mine*/) { pthread_rwlock_rdlock(&raw); }
  void read_unlock(session& /*mine*/) { pthread_rwlock_unlock(&raw); }
  void write_lock(session& /*mine*/) { pthread_rwlock_wrlock(&raw); }
  void write_unlock(session& /*mine*/) { pthread_rwlock_unlock(&raw); }

  pthread_rwlock_t raw;
};
using pthread_prefer_reader = pthread_rwlock<PTHREAD_RWLOCK_PREFER_READER_NP>;
using pthread_prefer_writer =
    pthread_rwlock<PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP>;

#ifdef HAVE_BOOST_THREAD
struct boost_shared_mutex : shared_face<boost::shared_mutex> {
  static constexpr std::string_view name = "boost::shared_mutex";
  static constexpr role part = role::rival;
};
#endif

#ifdef HAVE_ABSL
struct absl_mutex {
  static constexpr std::string_view name = "absl::Mutex";
  static constexpr role part = role::rival;
  struct session {
    explicit session(absl_mutex& /*lock*/) {}
  };
  void read_lock(session& /*mine*/) { raw.ReaderLock(); }
  void read_unlock(session& /*mine*/) { raw.ReaderUnlock(); }
  void write_lock(session& /*mine*/) { raw.Lock(); }
  void write_unlock(session& /*mine*/) { raw.Unlock(); }

  absl::Mutex raw;
};
#endif

#ifdef HAVE_TBB
struct tbb_spin_rw_mutex : shared_face<tbb::spin_rw_mutex> {
  static constexpr std::string_view name = "tbb::spin_rw_mutex";
  static constexpr role part = role::rival;
};

struct tbb_rw_mutex : shared_face<tbb::rw_mutex> {
  static constexpr std::string_view name = "tbb::rw_mutex";
  static constexpr role part = role::rival;
};

// Its holders queue by nodes of their own.
struct tbb_queuing_rw_mutex {
  static constexpr std::string_view name = "tbb::queuing_rw_mutex";
  static constexpr role part = role::rival;
  struct session {
    explicit session(tbb_queuing_rw_mutex& /*lock*/) {}
    tbb::queuing_rw_mutex::scoped_lock node;
  };
  void read_lock(session& mine) { mine.node.acquire(raw, false); }
  void read_unlock(session& mine) { mine.node.release(); }
  void write_lock(session& mine) { mine.node.acquire(raw, true); }
  void write_unlock(session& mine) { mine.node.release(); }

  tbb::queuing_rw_mutex raw;
};
#endif

}  // namespace memhp::bench
