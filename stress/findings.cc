#include "stress/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace memhp::stress {

std::string to_line(const record& each, const std::string& worker) {
  constexpr double ns_per_s = 1e9;
  constexpr std::uint64_t ns_per_us = 1000;
  return fmt::format("{:.6f} s  {}  {} {} -> {}  ({} us)",
                     static_cast<double>(each.start_ns) / ns_per_s, worker,
                     to_string(each.op), each.target, errno_name(each.error),
                     (each.end_ns - each.start_ns) / ns_per_us);
}

void block_history::add(const record& each) {
  shard& home = shards_[each.target % shards];
  const std::lock_guard hold{home.lock};
  const auto at = home.rings.find(each.target);
  if (at == home.rings.end() && home.rings.size() >= most_targets) return;
  ring& calls = at == home.rings.end() ? home.rings[each.target] : at->second;
  if (calls.calls.size() < kept) {
    calls.calls.push_back(each);
    return;
  }
  calls.calls[calls.next] = each;
  calls.next = (calls.next + 1) % kept;
}

std::vector<record> block_history::of(std::uint64_t target) const {
  const shard& home = shards_[target % shards];
  const std::lock_guard hold{home.lock};
  const auto at = home.rings.find(target);
  if (at == home.rings.end()) return {};
  std::vector<record> calls = at->second.calls;
  std::ranges::sort(calls, {}, &record::start_ns);
  return calls;
}

void finding_list::add(finding each) {
  const std::lock_guard hold{lock_};
  ++count_;
  if (findings_.size() < kept) findings_.push_back(std::move(each));
}

std::vector<finding> finding_list::all() const {
  const std::lock_guard hold{lock_};
  return findings_;
}

std::uint64_t finding_list::count() const {
  const std::lock_guard hold{lock_};
  return count_;
}

}  // namespace memhp::stress
