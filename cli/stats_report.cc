#include "cli/stats_report.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>

#include "blocks/units.h"
#include "cli/option_values.h"

namespace memhp {
namespace {

constexpr std::uint64_t heartbeat_late_s = 3;  // the worker sends one a second

// Of a process: whether a signal or a debugger holds it.
bool is_stopped(pid_t pid) {
  std::ifstream file{fmt::format("/proc/{}/stat", pid)};
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= line.size()) return false;
  const char state = line[name_end + 2];
  return state == 'T' || state == 't';
}

std::string clock_time(std::uint64_t seconds) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S}",
                     fmt::localtime(static_cast<time_t>(seconds)));
}

std::string duration(std::uint64_t seconds) {
  constexpr std::uint64_t minute = 60;
  constexpr std::uint64_t hour = 60 * minute;
  constexpr std::uint64_t day = 24 * hour;
  if (seconds >= 2 * day) return fmt::format("{} days", seconds / day);
  if (seconds >= 2 * hour) return fmt::format("{} h", seconds / hour);
  if (seconds >= 2 * minute) return fmt::format("{} min", seconds / minute);
  return fmt::format("{} s", seconds);
}

std::string rounded_size(std::uint64_t bytes) {
  if (bytes >= GiB) return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / GiB);
  if (bytes >= MiB) return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / MiB);
  return fmt::format("{} KiB", bytes / KiB);
}

std::string errno_name(std::size_t number) {
  const char* name = strerrorname_np(static_cast<int>(number));
  return name != nullptr ? name : fmt::format("errno {}", number);
}

// When the machine ended, as far as anybody noticed.
std::uint64_t end_of(const stats_segment_content& content) {
  return content.died_at != 0 ? content.died_at.load() : content.heard_at.load();
}

std::string life_line(const stats_segment_content& content, const machine_life& life) {
  const machine_stats& stats = content.stats;
  const std::uint64_t heard_at = content.heard_at;
  if (life.keeper == 0)
    return fmt::format("dead since {} (was process {}, started {})",
                       clock_time(end_of(content)), stats.pid,
                       clock_time(stats.started_at));
  std::string line =
      fmt::format("alive for {}, since {} (process {}, kept by {})",
                  duration(life.now_s - std::min(life.now_s, stats.started_at)),
                  clock_time(stats.started_at), stats.pid, life.keeper);
  if (life.stopped)
    line += fmt::format(", STOPPED by a signal");
  else if (life.now_s > heard_at + heartbeat_late_s)
    line += fmt::format(", SILENT for {}", duration(life.now_s - heard_at));
  return line;
}

template <class Names>
std::uint64_t sum_of_state(const machine_stats& stats, std::size_t node,
                           std::size_t state, const Names& zones) {
  std::uint64_t sum = 0;
  for (std::size_t zone = 0; zone < zones.size(); ++zone)
    sum += stats.blocks[node][zone][state];
  return sum;
}

void print_blocks(std::back_insert_iterator<std::string> out,
                  const machine_stats& stats) {
  fmt::format_to(out, "{:>6}  {:<8}", "node", "zone");
  for (const std::string_view state : stats_state_names)
    fmt::format_to(out, "  {:>13}", state);
  fmt::format_to(out, "\n");
  std::array<std::uint64_t, stats_state_names.size()> all{};
  for (std::size_t node = 0; node < max_nodes; ++node)
    for (std::size_t zone = 0; zone < stats_zone_names.size(); ++zone) {
      std::array<std::uint64_t, stats_state_names.size()> row{};
      std::uint64_t sum = 0;
      for (std::size_t state = 0; state < row.size(); ++state) {
        row[state] = stats.blocks[node][zone][state];
        all[state] += row[state];
        sum += row[state];
      }
      if (sum == 0) continue;
      fmt::format_to(out, "{:>6}  {:<8}", node, stats_zone_names[zone]);
      for (const std::uint64_t blocks : row) fmt::format_to(out, "  {:>13}", blocks);
      fmt::format_to(out, "\n");
    }
  fmt::format_to(out, "{:>6}  {:<8}", "all", "");
  for (const std::uint64_t blocks : all) fmt::format_to(out, "  {:>13}", blocks);
  fmt::format_to(out, "\n");
}

// "open 12, read 9"; "none" if all are zero.
template <class Name>
void print_counts(std::back_insert_iterator<std::string> out, std::string_view label,
                  const machine_stats::counter* counts, std::size_t size, Name name) {
  fmt::format_to(out, "{:<11}", label);
  const char* separator = "";
  for (std::size_t i = 0; i < size; ++i) {
    const std::uint64_t count = counts[i];
    if (count == 0) continue;
    fmt::format_to(out, "{}{} {}", separator, name(i), count);
    separator = ", ";
  }
  fmt::format_to(out, "{}\n", *separator == '\0' ? "none" : "");
}

}  // namespace

machine_life life_of(const stats_view& view) {
  const pid_t keeper = view.keeper();
  return {.keeper = keeper,
          .stopped = keeper != 0 && is_stopped(view.stats().pid),
          .now_s = static_cast<std::uint64_t>(std::time(nullptr))};
}

std::string text_report(const stats_segment_content& content, const machine_life& life) {
  const machine_stats& stats = content.stats;
  std::string text;
  const auto out = std::back_inserter(text);
  fmt::format_to(out, "{:<11}{}\n", "machine",
                 *stats.mount != '\0' ? stats.mount : "of memhp run");
  fmt::format_to(out, "{:<11}{}\n", "", life_line(content, life));
  fmt::format_to(out, "{:<11}blocks of {}, backing {}, era {}\n", "",
                 format_size(stats.block_size), stats.backing, stats.era);
  fmt::format_to(out, "\nblocks by node, zone and state\n");
  print_blocks(out, stats);
  fmt::format_to(out, "\n{:<11}{} resident, {} of struct page\n", "memory",
                 rounded_size(stats.resident_bytes), rounded_size(stats.memmap_bytes));
  print_counts(out, "requests", stats.operations, stats_op_names.size(),
               [](std::size_t op) { return stats_op_names[op]; });
  print_counts(out, "errors", stats.errors, machine_stats::max_errno, errno_name);
  fmt::format_to(out, "{:<11}{} parked now, {} restarts\n", "waiting",
                 stats.parked.load(), stats.restarts.load());
  return text;
}

std::string json_report(const stats_segment_content& content, const machine_life& life,
                        int indent) {
  using json = nlohmann::ordered_json;
  const machine_stats& stats = content.stats;
  json report{
      {"mount", *stats.mount != '\0' ? json(stats.mount) : json(nullptr)},
      {"alive", life.keeper != 0},
      {"stopped", life.stopped},
      {"pid", stats.pid},
      {"keeper", life.keeper != 0 ? json(life.keeper) : json(nullptr)},
      {"started_at", stats.started_at},
      {"heard_at", content.heard_at.load()},
      {"dead_since", life.keeper == 0 ? json(end_of(content)) : json(nullptr)},
      {"era", stats.era},
      {"backing", stats.backing},
      {"block_size", stats.block_size},
  };
  json nodes = json::array();
  json all = json::object();
  for (const std::string_view state : stats_state_names) all[std::string{state}] = 0;
  for (std::size_t node = 0; node < max_nodes; ++node) {
    json zones = json::object();
    for (std::size_t zone = 0; zone < stats_zone_names.size(); ++zone)
      for (std::size_t state = 0; state < stats_state_names.size(); ++state) {
        const std::uint64_t blocks = stats.blocks[node][zone][state];
        if (blocks == 0) continue;
        zones[stats_zone_names[zone]][stats_state_names[state]] = blocks;
        json& sum = all[stats_state_names[state]];
        sum = sum.get<std::uint64_t>() + blocks;
      }
    if (node < stats.nodes || !zones.empty())
      nodes.push_back({{"node", node}, {"zones", zones}});
  }
  report["blocks"] = all;
  report["nodes"] = nodes;
  report["resident_bytes"] = stats.resident_bytes.load();
  report["memmap_bytes"] = stats.memmap_bytes.load();
  json& operations = report["operations"] = json::object();
  for (std::size_t op = 0; op < stats_op_names.size(); ++op)
    operations[stats_op_names[op]] = stats.operations[op].load();
  json& errors = report["errors"] = json::object();
  for (std::size_t number = 0; number < machine_stats::max_errno; ++number)
    if (const std::uint64_t count = stats.errors[number]; count != 0)
      errors[errno_name(number)] = count;
  report["parked"] = stats.parked.load();
  report["restarts"] = stats.restarts.load();
  return report.dump(indent);
}

}  // namespace memhp
