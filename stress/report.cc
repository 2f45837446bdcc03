#include "stress/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <tuple>

namespace memhp::stress {
namespace {

constexpr double ns_per_us = 1000;
constexpr double us_per_s = 1e6;
constexpr unsigned p50 = 500;
constexpr unsigned p99 = 990;
constexpr unsigned p999 = 999;
constexpr std::size_t locks_shown = 6;

double us(std::uint64_t ns) {
  return static_cast<double>(ns) / ns_per_us;
}

double per_second(std::uint64_t count, double elapsed_s) {
  return elapsed_s > 0 ? static_cast<double>(count) / elapsed_s : 0;
}

std::string errors_of(const op_figures& figures) {
  std::string text;
  for (const auto& [error, count] : figures.errors)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", errno_name(error), count);
  return text;
}

std::string indented(const std::string& text) {
  std::string out;
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) out += "    " + line + "\n";
  return out;
}

std::set<std::string> kinds_of(const run_figures& figures) {
  std::set<std::string> kinds;
  for (const worker_total& each : figures.workers) kinds.insert(each.kind);
  return kinds;
}

std::string text_of(const finding& each) {
  std::string text = fmt::format("FINDING {}{}{}\n", each.worker,
                                 each.worker.empty() ? "" : ": ", each.what);
  if (!each.history.empty()) text += "  the last calls there:\n" + indented(each.history);
  if (!each.report.empty()) text += "  the report:\n" + indented(each.report);
  return text;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else if (static_cast<unsigned char>(c) >= ' ' || c == '\n' || c == '\t')
      out += c;
  }
  return out;
}

}  // namespace

std::string text_report(const run_figures& figures) {
  std::string text = fmt::format(
      "{:<15}{:>10}{:>10}{:>11}{:>10}{:>10}{:>10}{:>11}  errors\n", "operation", "calls",
      "ok", "ok/s", "p50 us", "p99 us", "p99.9 us", "max us");
  for (std::size_t i = 0; i < operation_count; ++i) {
    const op_figures& each = figures.ops[i];
    if (each.calls() == 0) continue;
    text += fmt::format(
        "{:<15}{:>10}{:>10}{:>11.1f}{:>10.1f}{:>10.1f}{:>10.1f}{:>11.1f}  {}\n",
        to_string(static_cast<operation>(i)), each.calls(), each.successes,
        per_second(each.successes, figures.elapsed_s), us(each.latency.at_permille(p50)),
        us(each.latency.at_permille(p99)), us(each.latency.at_permille(p999)),
        us(each.latency.max()), errors_of(each));
  }
  text += fmt::format(
      "{} calls in {:.2f} s: {:.0f} a second, {:.0f} of them successful\n",
      figures.calls(), figures.elapsed_s, per_second(figures.calls(), figures.elapsed_s),
      per_second(figures.successes(), figures.elapsed_s));
  text += "fairness between the workers of a kind (1: even):";
  for (const std::string& kind : kinds_of(figures))
    text += fmt::format(" {} {:.3f}", kind, fairness(figures.workers, kind));
  text += "\n";
  for (std::size_t i = 0; i < std::min(figures.locks.size(), locks_shown); ++i) {
    const lock_wait& lock = figures.locks[i];
    text += fmt::format(
        "{:<32} waited for {:>8} times, {:>10.3f} s in all; held {:.3f} s\n", lock.name,
        lock.contentions, lock.wait_total_us / us_per_s, lock.hold_total_us / us_per_s);
  }
  if (!figures.faults.empty()) {
    text += "faults that happened:";
    for (const auto& [name, times] : figures.faults)
      text += fmt::format(" {} {}", name, times);
    text += "\n";
  }
  for (const finding& each : figures.findings) text += text_of(each);
  if (figures.finding_count == 0)
    return text + fmt::format("no finding, seed {}\n", figures.seed);
  return text + fmt::format("{} finding(s), seed {}; again: {}\n", figures.finding_count,
                            figures.seed, figures.command_line);
}

std::string json_report(const run_figures& figures) {
  nlohmann::ordered_json all{
      {"command_line", figures.command_line}, {"seed", figures.seed},
      {"elapsed_s", figures.elapsed_s},       {"calls", figures.calls()},
      {"successes", figures.successes()},     {"finding_count", figures.finding_count}};
  all["operations"] = nlohmann::ordered_json::object();
  for (std::size_t i = 0; i < operation_count; ++i) {
    const op_figures& each = figures.ops[i];
    if (each.calls() == 0) continue;
    nlohmann::ordered_json errors = nlohmann::ordered_json::object();
    for (const auto& [error, count] : each.errors) errors[errno_name(error)] = count;
    all["operations"][std::string{to_string(static_cast<operation>(i))}] = {
        {"calls", each.calls()},
        {"successes", each.successes},
        {"successes_per_s", per_second(each.successes, figures.elapsed_s)},
        {"p50_us", us(each.latency.at_permille(p50))},
        {"p99_us", us(each.latency.at_permille(p99))},
        {"p99_9_us", us(each.latency.at_permille(p999))},
        {"max_us", us(each.latency.max())},
        {"errors", errors}};
  }
  for (const std::string& kind : kinds_of(figures))
    all["fairness"][kind] = fairness(figures.workers, kind);
  for (const worker_total& each : figures.workers)
    all["workers"].push_back(
        {{"name", each.name}, {"calls", each.calls}, {"successes", each.successes}});
  for (const lock_wait& each : figures.locks)
    all["locks"].push_back({{"name", each.name},
                            {"contentions", each.contentions},
                            {"acquisitions", each.acquisitions},
                            {"wait_total_us", each.wait_total_us},
                            {"hold_total_us", each.hold_total_us}});
  for (const auto& [name, times] : figures.faults) all["faults"][name] = times;
  all["findings"] = nlohmann::ordered_json::array();
  for (const finding& each : figures.findings)
    all["findings"].push_back({{"what", each.what},
                               {"worker", each.worker},
                               {"history", each.history},
                               {"report", each.report}});
  return all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string junit_report(const run_figures& figures) {
  std::size_t operations = 0;
  for (const op_figures& each : figures.ops) operations += each.calls() != 0 ? 1 : 0;
  std::string text = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"memhp stress\" "
      "tests=\"{}\" failures=\"{}\" time=\"{:.3f}\">\n",
      operations + std::max<std::size_t>(figures.findings.size(), 1),
      figures.findings.size(), figures.elapsed_s);
  for (std::size_t i = 0; i < operation_count; ++i)
    if (figures.ops[i].calls() != 0)
      text += fmt::format("  <testcase classname=\"stress.operations\" name=\"{}\"/>\n",
                          to_string(static_cast<operation>(i)));
  if (figures.findings.empty())
    text += "  <testcase classname=\"stress\" name=\"no finding\"/>\n";
  for (const finding& each : figures.findings)
    text += fmt::format(
        "  <testcase classname=\"stress.findings\" name=\"{}\">\n    <failure "
        "message=\"{}\">{}</failure>\n  </testcase>\n",
        escaped(each.what), escaped(each.what),
        escaped(text_of(each) + "again: " + figures.command_line));
  return text + "</testsuite>\n";
}

std::string progress_line(const timeline::sample& since_last, double interval_s,
                          double elapsed_s) {
  const double mean = since_last.calls == 0 ? 0
                                            : us(since_last.latency_sum_ns) /
                                                  static_cast<double>(since_last.calls);
  return fmt::format(
      "{:7.1f} s  {:9.0f} calls/s  {:9.0f} ok/s  mean {:8.1f} us  max {:9.1f} us",
      elapsed_s, per_second(since_last.calls, interval_s),
      per_second(since_last.successes, interval_s), mean, us(since_last.latency_max_ns));
}

std::vector<lock_wait> parse_lock_stat(const std::string& text) {
  constexpr std::size_t columns = 12;
  std::vector<lock_wait> locks;
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.rfind(": ");
    if (colon == std::string::npos) continue;
    std::istringstream words{line.substr(colon + 1)};
    std::vector<double> numbers;
    for (double number = 0; words >> number;) numbers.push_back(number);
    if (numbers.size() != columns) continue;
    const std::size_t from = line.find_first_not_of(' ');
    locks.push_back({.name = line.substr(from, colon - from),
                     .contentions = static_cast<std::uint64_t>(numbers[1]),
                     .acquisitions = static_cast<std::uint64_t>(numbers[7]),
                     .wait_total_us = numbers[4],
                     .hold_total_us = numbers[10]});
  }
  std::ranges::sort(locks, [](const lock_wait& a, const lock_wait& b) {
    return std::tie(b.wait_total_us, a.name) < std::tie(a.wait_total_us, b.name);
  });
  return locks;
}

}  // namespace memhp::stress
