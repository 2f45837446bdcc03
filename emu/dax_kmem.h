// kmem: the dax driver that makes system RAM of a device.
//
// Binding adds the whole memory blocks of its range ("System RAM (kmem)", managed by the
// driver); unbinding removes them. It has one shot: a block that is online then stays,
// and so does the claim on the range, until the next boot.
//
// Locks: dev->mutex of the dax device, then device_hotplug_lock, which add_memory() and
// remove_memory() take: where seed 000's report begins.
//
// Mirrors drivers/dax/kmem.c (6.1).
#pragma once

#include "emu/dax_bus.h"

namespace memhp {

class dax_kmem final : public dax_driver {
 public:
  explicit dax_kmem(dax_bus& on) : dax_driver{on, "kmem", /*match_always=*/false} {}

  // invalid_argument: no whole block in its range, or no such node;
  // device_or_resource_busy: the range is claimed; else the error of add_memory().
  result<> probe(dax_device& dev) override REQUIRES(dev.lock);
  void remove(dax_device& dev) override REQUIRES(dev.lock);
};

}  // namespace memhp
