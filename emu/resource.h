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

  // release_resource(): of a range that was requested whole.
  void release(phys_range range) {
    guard hold{lock_};
    taken_.erase(range.start);
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
