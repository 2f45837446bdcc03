// iomem_resource: who owns which physical addresses. Memory can only be added where
// nothing else is.
//
// Thread safety: any thread. Mirrors kernel/resource.c (6.1) as far as hotplug needs it.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "blocks/result.h"
#include "blocks/units.h"
#include "locks/guards.h"
#include "locks/tracked.h"

namespace memhp {

class resource_tree {
 public:
  // request_resource(): file_exists if any byte of the range is taken, or if it has none.
  result<> request(phys_range range, std::string_view name) {
    guard hold{lock_};
    if (range.size == 0) return fail(errc::file_exists);
    const auto after = taken_.lower_bound(range.start);
    if (after != taken_.end() && after->second.range.overlaps(range))
      return fail(errc::file_exists);
    if (after != taken_.begin() && std::prev(after)->second.range.overlaps(range))
      return fail(errc::file_exists);
    taken_.emplace(range.start, entry{range, std::string{name}});
    return {};
  }

  // release_mem_region_adjustable(): of a range that was requested whole, or of a part of
  // one, whose rest stays taken.
  void release(phys_range range) {
    guard hold{lock_};
    auto at = taken_.upper_bound(range.start);
    if (at == taken_.begin()) return;
    const entry whole = (--at)->second;
    if (range.end() > whole.range.end()) return;
    taken_.erase(at);
    const auto keep = [&](phys_addr start, phys_addr end) REQUIRES(lock_) {
      if (start < end)
        taken_.emplace(start, entry{{start, end.value - start.value}, whole.name});
    };
    keep(whole.range.start, range.start);
    keep(range.end(), whole.range.end());
  }

  bool is_free(phys_range range) const {
    guard hold{lock_};
    const auto after = taken_.lower_bound(range.start);
    if (after != taken_.end() && after->second.range.overlaps(range)) return false;
    return after == taken_.begin() || !std::prev(after)->second.range.overlaps(range);
  }

 private:
  struct entry {
    phys_range range;
    std::string name;
  };
  static constexpr lock_class_key lock_key{.name = "resource_lock"};
  mutable tracked_mutex lock_{lock_key};
  std::map<phys_addr, entry> taken_ GUARDED_BY(lock_);
};

}  // namespace memhp
