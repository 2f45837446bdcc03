// kernel/dlpar: dynamic logical partitioning of a pseries machine, as far as memory goes.
//
//   memory add|remove count N                       any N logical memory blocks (LMBs)
//   memory add|remove index DRC                     the one of this index
//   memory add|remove indexed-count N DRC           N in a row from there
//
// An LMB is a memory block, and 0x80000000 + N is the DRC index of the Nth. Those of boot
// memory are assigned at start; as many again, above, can be added. Adding brings them
// online, removing takes them offline first; where not all of a request can be done,
// nothing of it is.
//
// Locks: device_hotplug_lock from the beginning of a request to its end, in every era.
//
// Thread safety: any thread. Mirrors arch/powerpc/platforms/pseries/dlpar.c and
// hotplug-memory.c (6.1).
#pragma once

#include <span>
#include <vector>

#include "emu/kernel.h"
#include "emu/memory_device.h"

namespace memhp {

// A logical memory block.
struct drmem_lmb {
  std::uint32_t drc_index;
  phys_range range;
  int nid;
  bool assigned;          // DRCONF_MEM_ASSIGNED
  bool reserved = false;  // touched by the request that runs
};

class dlpar final : public kobject {
 public:
  explicit dlpar(kernel& k);

  enum class action : std::uint8_t { add, remove };

  // invalid_argument: no such LMBs, not enough of them, or they could not be had. For a
  // single one, the error of add_memory(), device_online() or device_offline().
  result<> by_count(action what, std::uint32_t count, task& by);
  result<> by_index(action what, std::uint32_t drc_index, task& by);
  result<> by_indexed_count(action what, std::uint32_t count, std::uint32_t drc_index,
                            task& by);

  kernel& k;

 private:
  void find_lmbs() REQUIRES(k.locks.device_hotplug_lock);
  result<> change(action what, drmem_lmb& lmb, task& by)
      REQUIRES(k.locks.device_hotplug_lock);
  result<> add_lmb(drmem_lmb& lmb, task& by) REQUIRES(k.locks.device_hotplug_lock);
  result<> remove_lmb(drmem_lmb& lmb, task& by) REQUIRES(k.locks.device_hotplug_lock);
  // Keeps or takes back what the request has done so far.
  result<> finish(action what, bool all, task& by) REQUIRES(k.locks.device_hotplug_lock);

  std::vector<drmem_lmb> lmbs_ GUARDED_BY(k.locks.device_hotplug_lock);
};

}  // namespace memhp
