#include "locks/proc_files.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "locks/report_words.h"

namespace memhp {
namespace {

constexpr const report_format& format = report_format_6_1;

std::string key_and_name(const proc_class& of) {
  return "[" + address(of.key) + "] " + name_text(of.lock, format) + "\n";
}

// --- lockdep_stats ---------------------------------------------------------------------

constexpr std::size_t label_width = 32;
constexpr std::size_t number_width = 11;

std::string stat_line(std::string_view label, std::uint64_t number) {
  return left(" " + std::string{label} + ":", label_width) + right(number, number_width) +
         "\n";
}

std::string stat_line(std::string_view label, const proc_level& level) {
  std::string line = stat_line(label, level.used);
  line.pop_back();
  return line + " [max: " + std::to_string(level.max) + "]\n";
}

// Classes by what they were used for. Everything runs with interrupts on, so that what
// was ever taken is "unsafe": an interrupt may come while it is held.
struct usage_counts {
  std::uint64_t written = 0;
  std::uint64_t read = 0;
  std::uint64_t uncategorized = 0;  // not validated, so that usage says nothing
  std::uint64_t unused = 0;
  std::uint64_t reachable = 0;  // "all direct dependencies", as the kernel sums them
};

usage_counts count_usage(const std::vector<proc_class>& classes) {
  usage_counts counts;
  for (const proc_class& each : classes) {
    const lock_usage& usage = each.lock.usage;
    counts.reachable += each.forward;
    counts.written += usage.write ? 1 : 0;
    counts.read += usage.read ? 1 : 0;
    if (!usage.write && !usage.read)
      ++(each.validated ? counts.unused : counts.uncategorized);
  }
  return counts;
}

std::string usage_lines(const usage_counts& counts) {
  std::string text;
  for (const std::string_view context : {"hardirq", "softirq", "irq"}) {
    text += stat_line(std::string{context} + "-safe locks", 0);
    text += stat_line(std::string{context} + "-unsafe locks", counts.written);
  }
  for (const std::string_view context : {"hardirq", "softirq", "irq"}) {
    text += stat_line(std::string{context} + "-read-safe locks", 0);
    text += stat_line(std::string{context} + "-read-unsafe locks", counts.read);
  }
  return text + stat_line("uncategorized locks", counts.uncategorized) +
         stat_line("unused locks", counts.unused);
}

std::string debug_lines(const lockdep_snapshot& snapshot) {
  std::string text = stat_line("chain lookup misses", snapshot.chain_lookup_misses) +
                     stat_line("chain lookup hits", snapshot.chain_lookup_hits) +
                     stat_line("cyclic checks", snapshot.cyclic_checks) +
                     stat_line("redundant checks", snapshot.redundant_checks) +
                     stat_line("redundant links", snapshot.redundant_links);
  // Searches for locks that interrupts take, and interrupts going on and off.
  for (const std::string_view label :
       {"find-mask forwards checks", "find-mask backwards checks", "hardirq on events",
        "hardirq off events", "redundant hardirq ons", "redundant hardirq offs",
        "softirq on events", "softirq off events", "redundant softirq ons",
        "redundant softirq offs"})
    text += stat_line(label, 0);
  return text;
}

// --- lock_stat -------------------------------------------------------------------------

constexpr std::size_t name_width = 40;
constexpr std::size_t column_width = 14;
constexpr std::size_t ip_width = 29;
constexpr std::size_t ruler_width = name_width + 1 + 12 * (column_width + 1);
constexpr std::size_t longest_name = 38;  // leaves room for "-W" and "-R"

// Microseconds with two decimals, rounded.
std::string microseconds(std::uint64_t ns) {
  constexpr std::uint64_t half = 5;
  const std::uint64_t hundredths = (ns + half) / 10;
  const std::string decimals = std::to_string(hundredths % 100);
  return std::to_string(hundredths / 100) + (decimals.size() == 1 ? ".0" : ".") +
         decimals;
}

std::string times_columns(const lock_times& times) {
  std::string text = " " + right(times.nr, column_width);
  for (const std::uint64_t ns :
       {times.min_ns, times.max_ns, times.total_ns, times.average_ns()})
    text += " " + right(microseconds(ns), column_width);
  return text;
}

std::string side_line(const std::string& name, const lock_class_stats::side& side) {
  return right(name, name_width) + ":" + right(side.contended_bounces, column_width) +
         times_columns(side.wait) + " " + right(side.acquired_bounces, column_width) +
         times_columns(side.hold) + "\n";
}

std::string points_text(const std::string& name, std::size_t ruler,
                        const std::vector<contention_point>& points) {
  if (points.empty()) return {};
  std::string text = right(std::string(ruler, '-'), name_width) + "\n";
  for (const contention_point& point : points)
    text += right(name, name_width) + " " + right(point.count, column_width) + " " +
            right(bracketed(point.ip), ip_width) + " " + symbolize({.ip = point.ip}) +
            "\n";
  return text;
}

std::string class_lines(const lock_stat_row& row) {
  const lock_class_stats& stats = row.stats;
  const bool written = stats.write.hold.nr != 0;
  const bool read = stats.read.hold.nr != 0;
  const std::string name = name_text(row.lock, format).substr(0, longest_name);
  std::string text;
  if (written) text += side_line(name + (read ? "-W" : ""), stats.write);
  if (read) text += side_line(name + "-R", stats.read);
  if (stats.contentions() == 0) return text;
  const std::size_t ruler = name.size() + (read ? 2 : 0);
  const std::string points = points_text(name, ruler, stats.contention_points) +
                             points_text(name, ruler, stats.contending_points);
  if (!points.empty()) text += points + "\n" + std::string(ruler_width, '.') + "\n\n";
  return text;
}

std::string lock_stat_header() {
  const std::string ruler = std::string(ruler_width, '-') + "\n";
  std::string text = ruler + right("class name", name_width) + " ";
  for (const std::string_view column :
       {"con-bounces", "contentions", "waittime-min", "waittime-max", "waittime-total",
        "waittime-avg", "acq-bounces", "acquisitions", "holdtime-min", "holdtime-max",
        "holdtime-total", "holdtime-avg"})
    text += right(column, column_width) + " ";
  return text + "\n" + ruler + "\n";
}

}  // namespace

void sort_by_contentions(std::vector<lock_stat_row>& rows) {
  std::vector<std::pair<std::uint64_t, std::size_t>> order;
  order.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i)
    order.emplace_back(UINT64_MAX - rows[i].stats.contentions(), i);
  std::ranges::sort(order);
  std::vector<lock_stat_row> sorted;
  sorted.reserve(rows.size());
  for (const auto& [rank, i] : order) sorted.push_back(std::move(rows[i]));
  rows = std::move(sorted);
}

std::string lockdep_text(const lockdep_snapshot& snapshot) {
  constexpr std::size_t ops_width = 8;
  constexpr std::size_t count_width = 5;
  std::string text = "all lock classes:\n";
  for (const proc_class& each : snapshot.classes) {
    text += address(each.key);
    if (each.ops) text += " OPS:" + right(*each.ops, ops_width);
    text += " FD:" + right(each.forward, count_width) +
            " BD:" + right(each.backward, count_width) + " " +
            usage_text(each.lock.usage, format) + ": " + name_text(each.lock, format) +
            "\n";
    for (const std::size_t next : each.successors)
      text += " -> " + key_and_name(snapshot.classes[next]);
    text += "\n";
  }
  return text;
}

std::string lockdep_chains_text(const lockdep_snapshot& snapshot) {
  std::string text = "all lock chains:\n";
  for (const proc_chain& chain : snapshot.chains) {
    text += "irq_context: 0\n";
    for (const std::size_t each : chain) text += key_and_name(snapshot.classes[each]);
    text += "\n";
  }
  return text;
}

std::string lockdep_stats_text(const lockdep_snapshot& snapshot) {
  const std::uint64_t classes = snapshot.classes.size();
  const usage_counts counts = count_usage(snapshot.classes);
  // Chains in two kinds of interrupts, of which there are none, and in tasks.
  const std::uint64_t in_process = snapshot.dependency_chains.used;
  std::uint64_t indirect = 0;
  for (const proc_class& each : snapshot.classes)
    indirect += each.forward - 1 -
                std::min<std::uint64_t>(each.forward - 1, each.successors.size());
  return stat_line("lock-classes", {.used = classes, .max = snapshot.max_classes}) +
         stat_line("direct dependencies", snapshot.direct_dependencies) +
         stat_line("indirect dependencies", indirect) +
         stat_line("all direct dependencies", counts.reachable) +
         stat_line("dependency chains", snapshot.dependency_chains) +
         stat_line("dependency chain hlocks used", snapshot.chain_hlocks) +
         stat_line("dependency chain hlocks lost", snapshot.chain_hlocks_lost) +
         stat_line("in-hardirq chains", 0) + stat_line("in-softirq chains", 0) +
         stat_line("in-process chains", in_process) +
         stat_line("stack-trace entries", snapshot.stack_trace_entries) +
         stat_line("number of stack traces", snapshot.stack_traces) +
         stat_line("number of stack hash chains", snapshot.stack_hash_chains) +
         stat_line("combined max dependencies", in_process + 1) + usage_lines(counts) +
         stat_line("max locking depth", snapshot.max_depth) +
         stat_line("max bfs queue depth", snapshot.max_bfs_queue) +
         stat_line("max lock class index", classes == 0 ? 0 : classes - 1) +
         debug_lines(snapshot) +
         stat_line("debug_locks", std::uint64_t{snapshot.debug_locks ? 1U : 0U}) + "\n" +
         stat_line("zapped classes", snapshot.zapped_classes) +
         stat_line("zapped lock chains", snapshot.zapped_chains) +
         stat_line("large chain blocks", snapshot.large_chain_blocks);
}

std::string lock_stat_text(std::vector<lock_stat_row> rows, bool debug_locks) {
  std::string text = "lock_stat version 0.4\n";
  if (!debug_locks)
    text +=
        "*WARNING* lock debugging disabled!! - possibly due to a "
        "lockdep warning\n";
  text += lock_stat_header();
  sort_by_contentions(rows);
  for (const lock_stat_row& row : rows) text += class_lines(row);
  return text;
}

}  // namespace memhp
