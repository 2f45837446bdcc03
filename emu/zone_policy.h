// Which zone a block goes to.
//
// Thread safety: no lock is needed, as in the kernel: spans and counters are read one by
// one, and an answer may be stale the moment it is given.
//
// Mirrors zone_for_pfn_range() (mm/memory_hotplug.c, 6.1).
#pragma once

#include "blocks/memory_block.h"
#include "blocks/zone.h"
#include "emu/kernel.h"

namespace memhp {

// The zone of the block's node that `type` asks for: Normal (or the DMA zone that it lies
// inside of) for online_kernel, Movable for online_movable, and what
// memory_hotplug.online_policy says for plain online.
zone& zone_for_pfn_range(kernel& k, online_type type, const memory_block& block);

}  // namespace memhp
