#include "blocks/zone.h"

#include "locks/guards.h"
#include "locks/lock_rule.h"

namespace memhp {

void zone::add(phys_range range, traits what) {
  guard hold{lock_};
  parts_.emplace(range.start_pfn(), part{range.nr_pages(), what});
  const std::uint64_t present = range.nr_pages() - what.holes;
  counters_.present += present;
  counters_.managed += present - what.unmanaged;
  if (what.early) counters_.early += present;
}

void zone::remove(phys_range range) {
  guard hold{lock_};
  const auto hit = parts_.find(range.start_pfn());
  if (hit == parts_.end() || hit->second.pages != range.nr_pages())
    lock_rule_broken("range is not in the zone", to_string(type));
  const traits what = hit->second.what;
  const std::uint64_t present = range.nr_pages() - what.holes;
  counters_.present -= present;
  counters_.managed -= present - what.unmanaged;
  if (what.early) counters_.early -= present;
  parts_.erase(hit);
}

zone::span zone::extent_locked() const {
  if (parts_.empty()) return {};
  const auto& [last, part] = *parts_.rbegin();
  return {.start = parts_.begin()->first, .end = last + part.pages};
}

zone::span zone::extent() const {
  guard hold{lock_};
  return extent_locked();
}

zone::counters zone::pages() const {
  guard hold{lock_};
  counters out = counters_;
  out.spanned = extent_locked().pages();
  return out;
}

bool zone::intersects(phys_range range) const {
  const span all = extent();
  return all.pages() != 0 && range.start_pfn() < all.end && all.start < range.end_pfn();
}

}  // namespace memhp
