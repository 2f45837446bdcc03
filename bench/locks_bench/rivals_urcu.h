// liburcu, as a reference for the read side: readers do not exclude writers, a "write" is
// a mutex and a grace period. Read sides are inlined, as ours are.
#pragma once

#ifdef HAVE_URCU
#ifndef _LGPL_SOURCE
#define _LGPL_SOURCE  // its word for inline read sides
#endif
#include <urcu/urcu-bp.h>
#include <urcu/urcu-memb.h>
#include <urcu/urcu-qsbr.h>

#include <mutex>

#include "bench/locks_bench/contender.h"

namespace memhp::bench {

// Needs sys_membarrier for its speed, as our lock does; without it, readers fence.
struct urcu_memb {
  static constexpr std::string_view name = "urcu memb (RCU)";
  static constexpr role part = role::read_side;
  struct session {
    explicit session(urcu_memb& /*lock*/) { urcu_memb_register_thread(); }
    ~session() { urcu_memb_unregister_thread(); }
    session(const session&) = delete;
    session& operator=(const session&) = delete;
  };
  void read_lock(session& /*mine*/) { urcu_memb_read_lock(); }
  void read_unlock(session& /*mine*/) { urcu_memb_read_unlock(); }
  void write_lock(session& /*mine*/) { writers.lock(); }
  void write_unlock(session& /*mine*/) {
    urcu_memb_synchronize_rcu();
    writers.unlock();
  }
  std::mutex writers;
};

// Registers threads by itself.
struct urcu_bp {
  static constexpr std::string_view name = "urcu bp (RCU)";
  static constexpr role part = role::read_side;
  struct session {
    explicit session(urcu_bp& /*lock*/) {}
  };
  void read_lock(session& /*mine*/) { urcu_bp_read_lock(); }
  void read_unlock(session& /*mine*/) { urcu_bp_read_unlock(); }
  void write_lock(session& /*mine*/) { writers.lock(); }
  void write_unlock(session& /*mine*/) {
    urcu_bp_synchronize_rcu();
    writers.unlock();
  }
  std::mutex writers;
};

// Readers are free and say when they are between two reads; here after each.
struct urcu_qsbr {
  static constexpr std::string_view name = "urcu qsbr (RCU)";
  static constexpr role part = role::read_side;
  struct session {
    explicit session(urcu_qsbr& /*lock*/) { urcu_qsbr_register_thread(); }
    ~session() { urcu_qsbr_unregister_thread(); }
    session(const session&) = delete;
    session& operator=(const session&) = delete;
  };
  void read_lock(session& /*mine*/) { urcu_qsbr_read_lock(); }
  void read_unlock(session& /*mine*/) {
    urcu_qsbr_read_unlock();
    urcu_qsbr_quiescent_state();
  }
  void write_lock(session& /*mine*/) { writers.lock(); }
  void write_unlock(session& /*mine*/) {
    urcu_qsbr_synchronize_rcu();
    writers.unlock();
  }
  std::mutex writers;
};

}  // namespace memhp::bench
#endif
