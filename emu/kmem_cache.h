// One slab cache: objects of one size, on slabs of whole pages.
//
// A slab is either the one that a CPU allocates from or keeps for later (frozen), or it
// is on its node's list of partial slabs, or it is full and on no list.
//
// Thread safety: every member may be called by any thread. Locks, outermost first: a
// CPU's lock, the node's list_lock, the page allocator's. Slabs and their free objects
// are guarded by the list_lock of the node that they are on. list_locks of two nodes are
// never held together, nor two CPUs' locks. What belongs to the allocator as a whole
// (the name in the list, refcount, children) is guarded by slab_mutex.
//
// Mirrors struct kmem_cache and mm/slub.c (6.1); an object is known by its physical
// address, and nothing is written to it.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "emu/kernfs.h"
#include "emu/slab_layout.h"
#include "emu/slab_pages.h"
#include "locks/cell.h"
#include "locks/tracked.h"

namespace memhp {

struct kernel;
class kmem_cache;

struct slab {
  slab_pages::run pages;
  std::vector<bool> used;               // by object
  std::vector<std::uint32_t> freelist;  // of the others, the next one last
  bool frozen = true;
  bool partial = false;  // on its node's list

  std::size_t inuse() const { return used.size() - freelist.size(); }
};

struct kmem_cache_node {
  // False until its node has memory (N_NORMAL_MEMORY). Written under slab_mutex.
  atomic_cell<bool> present{"n->present", false};
  static constexpr lock_class_key list_lock_key{.name = "&n->list_lock"};
  mutable tracked_mutex list_lock{list_lock_key};
  std::map<pfn, std::unique_ptr<slab>> slabs GUARDED_BY(list_lock);  // all of the node
  std::deque<slab*> partial GUARDED_BY(list_lock);
};

struct kmem_cache_cpu {
  static constexpr lock_class_key lock_key{.name = "&c->lock"};
  mutable tracked_mutex lock{lock_key};
  slab* active GUARDED_BY(lock) = nullptr;
  std::vector<slab*> partial GUARDED_BY(lock);
};

// How many there are of something, per node or CPU.
using counts = std::map<unsigned, std::uint64_t>;

class kmem_cache final : public kobject {
 public:
  kmem_cache(kernel& k, std::string name, const cache_shape& shape,
             const slab_layout& layout);
  ~kmem_cache() override;

  // Constant after construction.
  kernel& k;
  const std::string name;
  const cache_shape shape;
  const slab_layout layout;

  // Tunables; each may be read and set at any time.
  atomic_cell<unsigned> min_partial;
  atomic_cell<unsigned> cpu_partial;
  atomic_cell<unsigned> remote_node_defrag_ratio{"remote_node_defrag_ratio",
                                                 100};  // percent

  // The cache's directory in the tree. Set before the cache can be found.
  kernfs_ref dir;

  // Guarded by slab_mutex.
  int refcount = 1;
  kmem_cache* root = nullptr;  // of a memory cgroup's child
  std::vector<std::shared_ptr<kmem_cache>> children;
  kernfs_ref children_dir;  // "cgroup", with the first child

  bool debug() const { return (shape.flags & slab_debug_flags) != 0; }

  // kmem_cache_alloc_node(): an object from `cpu`, or from another if that one is not
  // online; on node `nid`, or anywhere near the CPU if it is -1. not_enough_memory.
  result<phys_addr> alloc(unsigned cpu, int nid = -1);
  // invalid_argument for what is no object of this cache that is in use.
  result<> free(phys_addr object);

  // Gives what `cpu` holds back to the nodes' lists.
  void flush_cpu_slab(unsigned cpu);
  void flush_every_cpu();
  // __kmem_cache_do_shrink(): frees the empty slabs that the nodes keep, and sorts the
  // others, the fullest first.
  void do_shrink();

  counts objects_by_node() const;          // in use
  counts partial_objects_by_node() const;  // in use, on partial slabs
  counts total_objects_by_node() const;
  counts slabs_by_node() const;
  counts partial_slabs_by_node() const;
  counts cpu_slabs_by_node() const;
  counts cpu_partial_slabs_by_cpu() const;
  // validate_slab_cache(): slabs whose books are wrong.
  std::size_t validate() const;

  kmem_cache_node& node(int nid) { return nodes_[static_cast<std::size_t>(nid)]; }
  const kmem_cache_node& node(int nid) const {
    return nodes_[static_cast<std::size_t>(nid)];
  }

 private:
  unsigned this_cpu(unsigned wanted) const;
  // `anywhere`: any node will do, `nid` is the nearest.
  result<phys_addr> alloc_on(kmem_cache_cpu& c, int nid, bool anywhere) REQUIRES(c.lock);
  // Makes a slab with a free object the CPU's.
  result<> new_slab_for(kmem_cache_cpu& c, int nid, bool anywhere) REQUIRES(c.lock);
  bool get_partial_node(kmem_cache_cpu& c, kmem_cache_node& n) REQUIRES(c.lock);
  void deactivate(slab& s);
  void discard_slab(std::unique_ptr<slab> s);
  counts count_slabs(std::uint64_t (*of)(const slab&)) const;

  const std::unique_ptr<kmem_cache_node[]> nodes_;
  const std::unique_ptr<kmem_cache_cpu[]> cpus_;
};

}  // namespace memhp
