// Every contender of this build, in the order of the tables.
#pragma once

#include "bench/locks_bench/bravo.h"
#include "bench/locks_bench/limits.h"
#include "bench/locks_bench/ours.h"
#include "bench/locks_bench/rivals.h"
#include "bench/locks_bench/rivals_ck.h"
#include "bench/locks_bench/rivals_urcu.h"

namespace memhp::bench {

// Calls visit.template operator()<L>() for every contender L.
template <class Visit>
void for_each_lock(Visit visit) {
  const auto each = [&]<class... Ls>() { (visit.template operator()<Ls>(), ...); };
  each.template
  operator()<percpu_rwsem, fenced_percpu_rwsem, rwsem, our_mutex, shared_percpu,
             tracked_percpu_rwsem, tracked_rwsem, tracked_our_mutex>();
  each.template operator()<std_shared_mutex, pthread_prefer_reader, pthread_prefer_writer,
                           bravo, std_mutex>();
#ifdef HAVE_BOOST_THREAD
  visit.template operator()<boost_shared_mutex>();
#endif
#ifdef HAVE_ABSL
  visit.template operator()<absl_mutex>();
#endif
#ifdef HAVE_TBB
  each.template operator()<tbb_spin_rw_mutex, tbb_rw_mutex, tbb_queuing_rw_mutex>();
#endif
#ifdef HAVE_CK
  each.template operator()<ck_brlock_lock, ck_pflock_lock, ck_rwlock_lock>();
#endif
#ifdef HAVE_URCU
  each.template operator()<urcu_memb, urcu_bp, urcu_qsbr>();
#endif
  each.template operator()<rseq_pair, fenced_rseq_pair, spinning_over_cpus,
                           membarrier_call, empty_loop>();
}

}  // namespace memhp::bench
