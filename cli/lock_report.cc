#include "cli/lock_report.h"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <nlohmann/json.hpp>

namespace memhp {
namespace {

using json = nlohmann::ordered_json;

json times_json(const lock_times& times) {
  json buckets = json::array();
  for (std::size_t i = 0; i < times.histogram.size(); ++i)
    if (times.histogram[i] != 0)
      buckets.push_back({{"from_ns", i == 0 ? 0 : std::uint64_t{1} << i},
                         {"below_ns", std::uint64_t{2} << i},
                         {"nr", times.histogram[i]}});
  return {{"nr", times.nr},
          {"min_ns", times.min_ns},
          {"max_ns", times.max_ns},
          {"total_ns", times.total_ns},
          {"avg_ns", times.average_ns()},
          {"histogram", buckets}};
}

json side_json(const lock_class_stats::side& side) {
  return {{"contended_bounces", side.contended_bounces},
          {"acquired_bounces", side.acquired_bounces},
          {"wait", times_json(side.wait)},
          {"hold", times_json(side.hold)}};
}

json points_json(const std::vector<lock_figures::point>& points) {
  json all = json::array();
  for (const lock_figures::point& point : points)
    all.push_back({{"where", point.where}, {"count", point.count}});
  return all;
}

// "850 ns", "12.3 us", "4.5 ms", "1.2 s"
std::string short_time(std::uint64_t ns) {
  constexpr std::array units = {"us", "ms", "s"};
  if (ns < 1000) return fmt::format("{} ns", ns);
  auto value = static_cast<double>(ns) / 1000;
  std::size_t unit = 0;
  for (; value >= 1000 && unit + 1 < units.size(); ++unit) value /= 1000;
  return fmt::format("{:.1f} {}", value, units[unit]);
}

void print_side(std::back_insert_iterator<std::string> out, const std::string& name,
                std::string_view how, const lock_class_stats::side& side) {
  if (side.hold.nr == 0 && side.wait.nr == 0) return;
  fmt::format_to(out, "{:<32} {:<5} {:>11} {:>10} {:>10} {:>12} {:>10} {:>10}\n", name,
                 how, side.wait.nr, short_time(side.wait.average_ns()),
                 short_time(side.wait.max_ns), side.hold.nr,
                 short_time(side.hold.average_ns()), short_time(side.hold.max_ns));
}

}  // namespace

std::string text_lock_report(const shared_lock_figures& locks) {
  const std::vector<lock_figures> figures = locks.read();
  std::string text;
  const auto out = std::back_inserter(text);
  if (!locks.counting())
    fmt::format_to(out,
                   "waits and holds are not counted now: start the machine with "
                   "--lock-stat on or write 1 to its proc/sys/kernel/lock_stat\n");
  if (figures.empty()) return text;
  fmt::format_to(out, "{:<32} {:<5} {:>11} {:>10} {:>10} {:>12} {:>10} {:>10}\n", "lock",
                 "held", "contentions", "wait avg", "wait max", "acquisitions",
                 "hold avg", "hold max");
  for (const lock_figures& each : figures) {
    print_side(out, each.name, "write", each.stats.write);
    print_side(out, each.name, "read", each.stats.read);
    for (const lock_figures::point& point : each.contention_points)
      fmt::format_to(out, "{:>38} {:>11}  waited in {}\n", "", point.count, point.where);
  }
  return text;
}

std::string json_lock_report(const shared_lock_figures& locks, int indent) {
  json all = json::array();
  for (const lock_figures& each : locks.read())
    all.push_back({{"name", each.name},
                   {"write", side_json(each.stats.write)},
                   {"read", side_json(each.stats.read)},
                   {"contention_points", points_json(each.contention_points)},
                   {"contending_points", points_json(each.contending_points)}});
  return json{{"counting", locks.counting()}, {"locks", all}}.dump(indent);
}

}  // namespace memhp
