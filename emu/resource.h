// iomem_resource: who owns which physical addresses. Memory can only be added where
// nothing else is.
//
// Thread safety: any thread. Mirrors kernel/resource.c (6.1) as far as hotplug needs it.
#pragma once

#include <fmt/format.h>

#include <cstdint>
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
  // A range that is not busy may be divided further among its owner's children.
  enum class use : std::uint8_t { busy, divisible };

  // request_mem_region(): file_exists if any byte of the range is taken, or if it has
  // none. Inside a divisible range it becomes a child of that.
  result<> request(phys_range range, std::string_view name, use how = use::busy) {
    guard hold{lock_};
    if (range.size == 0) return fail(errc::file_exists);
    level* at = &top_;
    while (entry* const other = overlapping(*at, range)) {
      const bool inside =
          other->range.start <= range.start && range.end() <= other->range.end();
      if (other->how == use::busy || !inside) return fail(errc::file_exists);
      at = &other->children;
    }
    at->emplace(range.start, entry{range, std::string{name}, how, {}});
    return {};
  }

  // release_mem_region_adjustable(): of a range that was requested whole, or of a part of
  // one, whose rest stays taken. Of several in each other the innermost goes.
  void release(phys_range range) {
    guard hold{lock_};
    level* at = &top_;
    entry* whole = covering(*at, range);
    if (whole == nullptr) return;
    while (entry* const child = covering(whole->children, range)) {
      at = &whole->children;
      whole = child;
    }
    const entry gone = *whole;
    at->erase(gone.range.start);
    const auto keep = [&](phys_addr start, phys_addr end) {
      if (start < end)
        at->emplace(start,
                    entry{{start, end.value - start.value}, gone.name, gone.how, {}});
    };
    keep(gone.range.start, range.start);
    keep(range.end(), gone.range.end());
  }

  bool is_free(phys_range range) const {
    guard hold{lock_};
    return overlapping(top_, range) == nullptr;
  }

  // /proc/iomem: one range a line, children indented below their parent.
  std::string text() const {
    guard hold{lock_};
    std::string lines;
    print(top_, "", lines);
    return lines;
  }

 private:
  struct entry;
  using level = std::map<phys_addr, entry>;
  struct entry {
    phys_range range;
    std::string name;
    use how = use::busy;
    level children;
  };

  template <class Level>
  static auto overlapping(Level& at, phys_range range) -> decltype(&at.begin()->second) {
    const auto after = at.lower_bound(range.start);
    if (after != at.begin() && std::prev(after)->second.range.overlaps(range))
      return &std::prev(after)->second;
    if (after != at.end() && after->second.range.overlaps(range)) return &after->second;
    return nullptr;
  }
  static entry* covering(level& at, phys_range range) {
    const auto after = at.upper_bound(range.start);
    if (after == at.begin()) return nullptr;
    entry& found = std::prev(after)->second;
    return range.end() <= found.range.end() ? &found : nullptr;
  }
  static void print(const level& at, const std::string& indent, std::string& lines) {
    for (const auto& [start, one] : at) {
      lines += fmt::format("{}{:08x}-{:08x} : {}\n", indent, start.value,
                           one.range.end().value - 1, one.name);
      print(one.children, indent + "  ", lines);
    }
  }

  static constexpr lock_class_key lock_key{.name = "resource_lock"};
  mutable tracked_mutex lock_{lock_key};
  level top_ GUARDED_BY(lock_);
};

}  // namespace memhp
