// kernel/debug/memhp/{kmem_cache_*,torture_*}: slab caches that a shell creates, fills
// and destroys, and the two threads of rcutorture that met in seed 003.
//
// Documented in kernel/debug/memhp/help, whose text is in emu/debug_files.cc.
//
// Thread safety: any thread. torture_onoff() and torture_stats() mirror the functions of
// these names in kernel/torture.c and kernel/rcu/rcutorture.c (6.1) as far as locks go.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <string>

#include "emu/kernel.h"
#include "emu/slab.h"

namespace memhp {

class slab_debug_files final : public kobject {
 public:
  explicit slab_debug_files(kernel& k);

  kernel& k;

  result<> create(std::string_view name, const cache_shape& shape);
  // Allocates or frees `count` objects of a cache made here, the oldest first. What was
  // done before an error stays done.
  result<> alloc(std::string_view name, std::uint64_t count, unsigned cpu, int nid);
  result<> free(std::string_view name, std::uint64_t count);
  result<> destroy(std::string_view name);

 private:
  struct made_cache {
    cache_ref cache;
    std::deque<phys_addr> objects;
    bool dying = false;  // no allocation any more
  };

  friend result<> torture_stats(kernel& k, std::uint64_t rounds, task& by);
  std::atomic<std::uint64_t> tortures_ = 0;  // caches that torture_stats() made

  // Outside every lock of the allocator but slab_mutex and what is outside that one.
  static constexpr lock_class_key lock_key{.name = "memhp_caches"};
  tracked_mutex lock_{lock_key};
  std::map<std::string, made_cache, std::less<>> caches_ GUARDED_BY(lock_);
};

// Takes CPU after CPU down and up again, `rounds` times. interrupted after a signal.
result<> torture_onoff(kernel& k, std::uint64_t rounds, task& by);
// Creates and destroys a cache that is debugged, `rounds` times. interrupted as well.
result<> torture_stats(kernel& k, std::uint64_t rounds, task& by);

}  // namespace memhp
