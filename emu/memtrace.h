// kernel/debug/powerpc/memtrace/enable: a driver that takes memory away from the kernel,
// to have hardware traces written into it, and gives it back.
//
// A size written there is taken from each node that has so much online boot memory in one
// piece, from its top, block by block: offlined without going through the device, removed
// once all of it is offline, and gone from the tree. 0 gives everything back: added and
// onlined again. A read says what was asked for.
//
// It is here because it is the caller that broke rule 3 of memory hotplug longest
// (lock_rules::memtrace_online and memtrace_offline). Blocks that it gave back belong to
// a group of its own, so that nobody else removes them.
//
// Thread safety: any thread. Mirrors arch/powerpc/platforms/powernv/memtrace.c (4.19, and
// with seed 002's series).
#pragma once

#include <memory>
#include <vector>

#include "blocks/memory_group.h"
#include "emu/kernel.h"
#include "locks/cell.h"

namespace memhp {

class memtrace final : public kobject {
 public:
  explicit memtrace(kernel& k);

  kernel& k;

  // Gives back what is taken, then takes `size` bytes of each node. invalid_argument
  // unless whole blocks; not_enough_memory if no node could give it.
  result<> enable(std::uint64_t size, task& by);
  std::uint64_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  struct region {
    phys_range range;
    int nid;
  };

  bool take_from_node(int nid, std::uint64_t size, task& by) REQUIRES(lock_);
  result<> give_back() REQUIRES(lock_);

  static constexpr lock_class_key lock_key{.name = "memtrace_mutex"};
  tracked_mutex lock_{lock_key};
  std::vector<region> taken_ GUARDED_BY(lock_);
  atomic_cell<std::uint64_t> size_{"memtrace_size", 0};  // written under lock_
};

}  // namespace memhp
