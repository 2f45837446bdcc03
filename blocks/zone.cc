#include "blocks/zone.h"

#include <optional>

#include "locks/guards.h"
#include "locks/lock_rule.h"

namespace memhp {

namespace {

zone::counters counted(const zone::traits& what, std::uint64_t pages) {
  const std::uint64_t present = pages - what.holes;
  return {.present = present,
          .managed = present - what.unmanaged,
          .early = what.early ? present : 0};
}

zone::counters operator+(zone::counters a, const zone::counters& b) {
  a.present += b.present;
  a.managed += b.managed;
  a.early += b.early;
  return a;
}
zone::counters operator-(zone::counters a, const zone::counters& b) {
  a.present -= b.present;
  a.managed -= b.managed;
  a.early -= b.early;
  return a;
}

}  // namespace

zone::counters zone::read_counters() const {
  guard hold{lock_};
  return counters_;
}

void zone::add(phys_range range, traits what, caller by) {
  std::optional<counters> before;
  if (by == caller::may_race) before = read_counters();
  guard hold{lock_};
  parts_.emplace(range.start_pfn(), part{range.nr_pages(), what});
  counters_ = before.value_or(counters_) + counted(what, range.nr_pages());
}

void zone::remove(phys_range range, caller by) {
  std::optional<counters> before;
  if (by == caller::may_race) before = read_counters();
  guard hold{lock_};
  const auto hit = parts_.find(range.start_pfn());
  if (hit == parts_.end() || hit->second.pages != range.nr_pages())
    lock_rule_broken("range is not in the zone", to_string(type));
  counters_ = before.value_or(counters_) - counted(hit->second.what, range.nr_pages());
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
