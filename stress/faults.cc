#include "stress/faults.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <limits>

#include "stress/plan.h"

namespace memhp::stress {
namespace {

struct known_fault {
  std::string_view name;
  const char* directory;  // below debug_dir; "": no files
  bool takes_time = false;
};
// By fault_kind.
constexpr std::array<known_fault, 5> known = {{
    {"veto", "fail_notifier"},
    {"enomem", "fail_populate"},
    {"slow-populate", "slow_populate", true},
    {"slow-migrate", "slow_migrate", true},
    {"stop", "", true},
}};
constexpr std::chrono::milliseconds longest{10'000};
// What is left of it afterwards tells how often the fault happened.
constexpr std::int64_t many_times = std::numeric_limits<int>::max();

const known_fault& of(fault_kind kind) {
  return known[static_cast<std::size_t>(kind)];
}

std::string file_of(fault_kind kind, std::string_view file) {
  return fmt::format("{}/{}/{}", debug_dir, of(kind).directory, file);
}

std::expected<fault, std::string> parse_fault(std::string_view text) {
  const std::size_t equals = std::min(text.find('='), text.size());
  const auto* const named =
      std::ranges::find(known, text.substr(0, equals), &known_fault::name);
  if (named == known.end())
    return std::unexpected{fmt::format(
        "'{}' is no fault: write veto, enomem, slow-populate, slow-migrate or stop",
        text)};
  fault made{.kind = static_cast<fault_kind>(named - known.begin())};
  std::string_view rest = text.substr(std::min(equals + 1, text.size()));
  bool good = true;
  if (named->takes_time) {
    const std::size_t at = std::min(rest.find('@'), rest.size());
    const auto time = parse_duration(rest.substr(0, at));
    good = time && *time <= longest;
    if (good) made.time = *time;
    rest = rest.substr(std::min(at + 1, rest.size()));
  }
  const char* const end = rest.data() + rest.size();
  const auto [stop, error] = std::from_chars(end - rest.size(), end, made.probability);
  if (!good || error != std::errc{} || stop != end || !(made.probability > 0) ||
      made.probability > 1)
    return std::unexpected{
        fmt::format("'{}': write {}={}PROBABILITY, at most 1{}", text, named->name,
                    named->takes_time ? "TIME@" : "",
                    named->takes_time ? ", and TIME at most 10s" : "")};
  return made;
}

}  // namespace

std::string_view to_string(fault_kind kind) {
  return of(kind).name;
}

std::expected<std::vector<fault>, std::string> parse_faults(std::string_view text) {
  std::vector<fault> faults;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    auto each = parse_fault(text.substr(0, comma));
    if (!each) return std::unexpected{each.error()};
    if (std::ranges::find(faults, each->kind, &fault::kind) != faults.end())
      return std::unexpected{fmt::format("{} is there twice", to_string(each->kind))};
    faults.push_back(*each);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return faults;
}

void excuse(circumstances& now, const std::vector<fault>& faults) {
  for (const fault& each : faults) {
    if (each.kind == fault_kind::veto) now.vetoes |= errno_bit(EPERM);
    if (each.kind == fault_kind::no_memory) now.no_memory = true;
  }
}

odds odds_of(double probability) {
  constexpr unsigned whole = 100;
  constexpr double most_interval = 1'000'000;
  odds best{.percent = 0, .interval = 1};
  double off_by = std::numeric_limits<double>::infinity();
  for (unsigned percent = 1; percent <= whole; ++percent) {
    const double chance = static_cast<double>(percent) / whole;
    const double interval =
        std::clamp(std::round(chance / probability), 1.0, most_interval);
    const double off = std::abs(chance / interval - probability);
    if (off >= off_by) continue;
    off_by = off;
    best = {.percent = percent, .interval = static_cast<unsigned>(interval)};
  }
  return best;
}

std::expected<void, std::string> switch_on(const tree& sys,
                                           const std::vector<fault>& faults) {
  for (const fault& each : faults) {
    if (each.kind == fault_kind::stop) continue;
    const odds wanted = odds_of(each.probability);
    int error = 0;
    const auto set = [&](std::string_view file, std::int64_t value) {
      if (error == 0)
        error = sys.write(file_of(each.kind, file), fmt::format("{}", value));
    };
    set("interval", wanted.interval);
    set("times", many_times);
    if (each.time.count() != 0) set("delay_ms", each.time.count());
    if (each.kind == fault_kind::veto) set("error", -EPERM);
    set("probability", wanted.percent);
    if (error != 0)
      return std::unexpected{fmt::format(
          "--faults {}: the tree has no {}/{} to write to: {}", to_string(each.kind),
          debug_dir, of(each.kind).directory, errno_name(error))};
  }
  return {};
}

std::vector<std::pair<std::string, std::uint64_t>> switch_off(
    const tree& sys, const std::vector<fault>& faults) {
  std::vector<std::pair<std::string, std::uint64_t>> happened;
  for (const fault& each : faults) {
    if (each.kind == fault_kind::stop) continue;
    (void)sys.write(file_of(each.kind, "probability"), "0");
    std::int64_t left = many_times;
    const std::string text = sys.read(file_of(each.kind, "times"));
    std::from_chars(text.data(), text.data() + text.size(), left);
    happened.emplace_back(to_string(each.kind),
                          static_cast<std::uint64_t>(many_times - left));
    (void)sys.write(file_of(each.kind, "times"), "1");
    (void)sys.write(file_of(each.kind, "interval"), "1");
  }
  return happened;
}

}  // namespace memhp::stress
