#include "bench/locks_bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace memhp::bench {
namespace {

// Three digits that mean something.
std::string short_number(double value) {
  if (value == 0 || !std::isfinite(value)) return fmt::format("{}", value);
  const int digits = 2 - static_cast<int>(std::floor(std::log10(std::abs(value))));
  return fmt::format("{:.{}f}", value, std::clamp(digits, 0, 3));
}

using line = std::vector<std::string>;

std::size_t display_width(const line& of, std::size_t column) {
  return column < of.size() ? of[column].size() : 0;
}

// The first line is the head.
std::string format_table(const std::vector<line>& lines, bool markdown) {
  std::string text;
  std::vector<std::size_t> widths(lines.front().size());
  for (const line& each : lines)
    for (std::size_t column = 0; column < widths.size(); ++column)
      widths[column] = std::max(widths[column], display_width(each, column));
  const auto put = [&](const line& each) {
    if (markdown) text += '|';
    for (std::size_t column = 0; column < widths.size(); ++column)
      text += markdown      ? fmt::format(" {} |", each[column])
              : column == 0 ? fmt::format("{:<{}}", each[column], widths[column])
                            : fmt::format("  {:>{}}", each[column], widths[column]);
    text += '\n';
  };
  put(lines.front());
  if (markdown) {
    for (std::size_t column = 0; column < widths.size(); ++column) text += "|---";
    text += "|\n";
  }
  std::for_each(lines.begin() + 1, lines.end(), put);
  return text;
}

template <class T>
void add_once(std::vector<T>& to, const T& value) {
  if (std::ranges::find(to, value) == to.end()) to.push_back(value);
}

std::string figure(const row* of) {
  if (of == nullptr) return "-";
  if (of->samples.size() < 3) return short_number(of->median());
  return fmt::format("{} [{}, {}]", short_number(of->median()), short_number(of->low()),
                     short_number(of->high()));
}

std::string table_of(const results& all, const std::string& question,
                     const std::string& placement, bool markdown) {
  std::vector<std::string> locks;
  std::vector<std::string> columns;
  line head{"lock"};
  for (const row& each : all.rows) {
    if (each.question != question || each.placement != placement) continue;
    add_once(locks, each.lock);
    if (std::ranges::find(columns, each.column) != columns.end()) continue;
    columns.push_back(each.column);
    head.push_back(fmt::format("{} {}", each.column, each.unit));
  }
  std::vector<line> lines{head};
  for (const std::string& lock : locks) {
    line next{lock};
    for (const std::string& column : columns)
      next.push_back(figure(all.find(question, lock, column, placement)));
    lines.push_back(next);
  }
  return format_table(lines, markdown);
}

}  // namespace

std::string as_tables(const heading& head, const results& of, bool markdown) {
  std::string text = fmt::format("{}{}; {} round{}, medians{}\n", markdown ? "" : "# ",
                                 head.machine, head.rounds, head.rounds == 1 ? "" : "s",
                                 head.rounds < 3 ? "" : " [10th, 90th percentile]");
  if (!head.missing.empty()) text += fmt::format("Not in this build: {}\n", head.missing);
  std::vector<std::pair<std::string, std::string>> tables;
  for (const row& each : of.rows)
    add_once(tables, std::pair{each.question, each.placement});
  for (const auto& [question, placement] : tables)
    text +=
        fmt::format("\n{}{}{}{}\n{}", markdown ? "**" : "## ", question,
                    placement == "all" ? "" : ", threads on " + placement,
                    markdown ? "**\n" : "", table_of(of, question, placement, markdown));
  return text;
}

std::string as_targets(const std::vector<target>& judged, bool markdown) {
  std::vector<line> lines{{"target", "asked", "measured", "verdict"}};
  for (const target& each : judged)
    lines.push_back({each.asked,
                     fmt::format("{} {} {}", each.at_most ? "at most" : "at least",
                                 each.bound, each.unit),
                     each.measured
                         ? fmt::format("{} {}", short_number(*each.measured), each.unit)
                         : "-",
                     !each.measured ? "not measured"
                     : each.met()   ? "met"
                                    : "misses"});
  return fmt::format("\n{}\n{}", markdown ? "**targets**\n" : "## targets",
                     format_table(lines, markdown));
}

std::string as_csv(const heading& head, const results& of) {
  std::string text = fmt::format("# {}\n# rounds: {}\n", head.machine, head.rounds);
  if (!head.missing.empty()) text += fmt::format("# missing: {}\n", head.missing);
  text += "question,lock,placement,threads,column,unit,median,low,high,rounds\n";
  for (const row& each : of.rows)
    text += fmt::format("{},\"{}\",{},{},\"{}\",{},{},{},{},{}\n", each.question,
                        each.lock, each.placement, each.threads, each.column, each.unit,
                        each.median(), each.low(), each.high(), each.samples.size());
  return text;
}

std::string as_json(const heading& head, const results& of,
                    const std::vector<target>& judged) {
  nlohmann::json out{{"machine", head.machine},
                     {"rounds", head.rounds},
                     {"missing", head.missing},
                     {"rows", nlohmann::json::array()},
                     {"targets", nlohmann::json::array()}};
  for (const row& each : of.rows)
    out["rows"].push_back({{"question", each.question},
                           {"lock", each.lock},
                           {"placement", each.placement},
                           {"threads", each.threads},
                           {"column", each.column},
                           {"unit", each.unit},
                           {"median", each.median()},
                           {"low", each.low()},
                           {"high", each.high()},
                           {"samples", each.samples}});
  for (const target& each : judged)
    out["targets"].push_back(
        {{"target", each.asked},
         {"asked", each.bound},
         {"at_most", each.at_most},
         {"unit", each.unit},
         {"measured", each.measured ? nlohmann::json(*each.measured) : nlohmann::json()},
         {"met", each.met()}});
  return out.dump(1) + "\n";
}

}  // namespace memhp::bench
