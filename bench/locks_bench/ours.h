// Our locks as contenders: the raw ones, those that tell the validator, the shared one.
#pragma once

#include <sys/mman.h>

#include <new>
#include <stdexcept>
#include <string_view>

#include "bench/locks_bench/contender.h"
#include "locks/mutex.h"
#include "locks/percpu_rwsem.h"
#include "locks/rwsem.h"
#include "locks/shared_percpu_rwsem.h"
#include "locks/tracked.h"

namespace memhp::bench {

struct percpu_rwsem : shared_face<percpu_rw_semaphore> {
  static constexpr std::string_view name = "memhp::percpu_rw_semaphore";
  static constexpr role part = role::ours;
  struct burst {
    explicit burst(percpu_rwsem& lock) : scope{lock.raw} {}
    percpu_rw_semaphore::burst scope;
  };
};

// The same while it is written so often that each read has a fence.
struct fenced_percpu_rwsem : percpu_rwsem {
  static constexpr std::string_view name = "memhp::percpu_rw_semaphore, fenced";
  fenced_percpu_rwsem() {
    raw.lock();
    raw.unlock();
  }

 private:
  percpu_rw_semaphore::burst scope_{raw};
};

struct rwsem : shared_face<rw_semaphore> {
  static constexpr std::string_view name = "memhp::rw_semaphore";
  static constexpr role part = role::ours;
};

struct our_mutex : exclusive_face<mutex> {
  static constexpr std::string_view name = "memhp::mutex";
  static constexpr role part = role::exclusive;
};

// What emu/ uses, with the validator switched off.
inline constexpr lock_class_key benched_class{"benched"};

struct tracked_percpu_rwsem : shared_face<tracked_percpu_rw_semaphore> {
  static constexpr std::string_view name = "memhp::tracked_percpu_rw_semaphore";
  static constexpr role part = role::ours;
  tracked_percpu_rwsem() : shared_face{benched_class} {}
};

struct tracked_rwsem : shared_face<tracked_rw_semaphore> {
  static constexpr std::string_view name = "memhp::tracked_rw_semaphore";
  static constexpr role part = role::ours;
  tracked_rwsem() : shared_face{benched_class} {}
};

struct tracked_our_mutex : exclusive_face<tracked_mutex> {
  static constexpr std::string_view name = "memhp::tracked_mutex";
  static constexpr role part = role::exclusive;
  tracked_our_mutex() : exclusive_face{benched_class} {}
};

// Between processes; here both ends are in one.
class shared_percpu {
 public:
  static constexpr std::string_view name = "memhp::shared_percpu_rw_semaphore";
  static constexpr role part = role::ours;
  struct session {
    explicit session(shared_percpu& /*lock*/) {}
  };
  shared_percpu() : where_{map()} {
    auto* sem = new (where_) shared_percpu_rw_semaphore;
    if (raw_.attach(*sem) != std::errc{}) throw std::runtime_error{"cannot attach"};
  }
  ~shared_percpu() {
    raw_.detach();
    static_cast<shared_percpu_rw_semaphore*>(where_)->~shared_percpu_rw_semaphore();
    munmap(where_, sizeof(shared_percpu_rw_semaphore));
  }
  shared_percpu(const shared_percpu&) = delete;
  shared_percpu& operator=(const shared_percpu&) = delete;
  void read_lock(session& /*mine*/) { raw_.lock_shared(); }
  void read_unlock(session& /*mine*/) { raw_.unlock_shared(); }
  void write_lock(session& /*mine*/) { raw_.lock(); }
  void write_unlock(session& /*mine*/) { raw_.unlock(); }

 private:
  static void* map() {
    void* at = mmap(nullptr, sizeof(shared_percpu_rw_semaphore), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::runtime_error{"no shared memory"};
    return at;
  }
  void* const where_;
  shared_percpu_attachment raw_;
};

}  // namespace memhp::bench
