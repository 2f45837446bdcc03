// The machine's RAM: gives real pages to a range of physical addresses and takes them
// back. Which memory that is (none, 4 KiB pages, huge pages) is injected; the kernel
// model only knows this interface.
//
// Thread safety: populate() and depopulate() of disjoint ranges may run at once; calls
// for the same range are the caller's to serialize (the kernel model holds
// mem_hotplug_lock to write).
#pragma once

#include <cstddef>
#include <cstdint>

#include "blocks/result.h"
#include "blocks/units.h"

namespace memhp {

class phys_memory {
 public:
  phys_memory() = default;
  phys_memory(const phys_memory&) = delete;
  phys_memory& operator=(const phys_memory&) = delete;
  virtual ~phys_memory() = default;

  // Gives [range) real pages, bound to the host node that backs emulated node `nid`.
  // not_enough_memory if the host has none left; the range is then as before.
  virtual result<> populate(phys_range range, int nid) = 0;

  // Gives the pages of [range) back to the host. Their content is lost.
  virtual void depopulate(phys_range range) = 0;

  // The direct map: where a physical address can be read and written by this process
  // while its range is populated. nullptr where there is no memory behind the machine.
  virtual std::byte* address(phys_addr at) const = 0;

  // Bytes that the host holds for the machine right now.
  virtual std::uint64_t resident_bytes() const = 0;
};

// A machine without memory: every request succeeds and costs nothing. For unit tests
// and exploration, which build thousands of machines a second.
class no_memory final : public phys_memory {
 public:
  result<> populate(phys_range, int) override { return {}; }
  void depopulate(phys_range) override {}
  std::byte* address(phys_addr) const override { return nullptr; }
  std::uint64_t resident_bytes() const override { return 0; }
};

}  // namespace memhp
