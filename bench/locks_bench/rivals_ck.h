// Concurrency Kit's reader/writer spinlocks. All spin: their figures are for threads
// that each have a CPU.
#pragma once

#ifdef HAVE_CK
// Its headers are C: some conversions in them are not those of C++.
extern "C" {
#include <ck_brlock.h>
#include <ck_pflock.h>
#include <ck_rwlock.h>
}

#include "bench/locks_bench/contender.h"

namespace memhp::bench {

// One counter a reader thread, which registers.
struct ck_brlock_lock {
  static constexpr std::string_view name = "ck_brlock";
  static constexpr role part = role::rival;
  class session {
   public:
    explicit session(ck_brlock_lock& lock) : lock_{lock} {
      ck_brlock_read_register(&lock.raw, &reader);
    }
    ~session() { ck_brlock_read_unregister(&lock_.raw, &reader); }
    session(const session&) = delete;
    session& operator=(const session&) = delete;

    alignas(128) ck_brlock_reader_t reader{};

   private:
    ck_brlock_lock& lock_;
  };
  void read_lock(session& mine) { ck_brlock_read_lock(&raw, &mine.reader); }
  void read_unlock(session& mine) { ck_brlock_read_unlock(&mine.reader); }
  void write_lock(session& /*mine*/) { ck_brlock_write_lock(&raw); }
  void write_unlock(session& /*mine*/) { ck_brlock_write_unlock(&raw); }

  ck_brlock_t raw = CK_BRLOCK_INITIALIZER;
};

// Phase-fair tickets.
struct ck_pflock_lock {
  static constexpr std::string_view name = "ck_pflock";
  static constexpr role part = role::rival;
  struct session {
    explicit session(ck_pflock_lock& /*lock*/) {}
  };
  void read_lock(session& /*mine*/) { ck_pflock_read_lock(&raw); }
  void read_unlock(session& /*mine*/) { ck_pflock_read_unlock(&raw); }
  void write_lock(session& /*mine*/) { ck_pflock_write_lock(&raw); }
  void write_unlock(session& /*mine*/) { ck_pflock_write_unlock(&raw); }

  ck_pflock_t raw = CK_PFLOCK_INITIALIZER;
};

struct ck_rwlock_lock {
  static constexpr std::string_view name = "ck_rwlock";
  static constexpr role part = role::rival;
  struct session {
    explicit session(ck_rwlock_lock& /*lock*/) {}
  };
  void read_lock(session& /*mine*/) { ck_rwlock_read_lock(&raw); }
  void read_unlock(session& /*mine*/) { ck_rwlock_read_unlock(&raw); }
  void write_lock(session& /*mine*/) { ck_rwlock_write_lock(&raw); }
  void write_unlock(session& /*mine*/) { ck_rwlock_write_unlock(&raw); }

  ck_rwlock_t raw = CK_RWLOCK_INITIALIZER;
};

}  // namespace memhp::bench
#endif
