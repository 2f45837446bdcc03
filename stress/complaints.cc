#include "stress/complaints.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>
#include <string_view>
#include <utility>

namespace memhp::stress {
namespace {

constexpr unsigned least_severe = 4;  // KERN_WARNING
constexpr unsigned severity_bits = 7;

// What the first line of a complaint says. Until 4.10 a lock report's is
// "[ INFO: possible circular locking dependency detected ]".
std::size_t headline_in(std::string_view line) {
  constexpr std::array words = {"WARNING: ", "BUG: ", "INFO: task ", "INFO: possible "};
  for (const std::string_view word : words)
    for (const std::string_view before : {"", "[ "})
      if (line.starts_with(before) && line.substr(before.size()).starts_with(word))
        return before.size();
  return std::string_view::npos;
}

// "=====" and "---[ cut here ]---" stand before the first line.
bool is_ruler(std::string_view line) {
  return line.starts_with("=====") || line.starts_with("------------[ cut here");
}

struct message {
  std::uint64_t number = 0;
  unsigned severity = 0;
  std::string_view text;
};

bool parse(std::string_view line, message& into) {
  const std::size_t text = line.find(';');
  if (text == std::string_view::npos) return false;
  unsigned priority = 0;
  const char* const end = line.begin() + text;
  const auto head = std::from_chars(line.begin(), end, priority);
  if (head.ec != std::errc{} || *head.ptr != ',') return false;
  const auto next = std::from_chars(head.ptr + 1, end, into.number);
  into.severity = priority & severity_bits;
  into.text = line.substr(text + 1);
  return next.ec == std::errc{};
}

}  // namespace

std::vector<finding> complaints_in(const std::string& log, std::uint64_t since) {
  std::vector<finding> all;
  std::string ruler;
  std::istringstream lines{log};
  for (std::string line; std::getline(lines, line);) {
    message each;
    if (!parse(line, each) || each.number < since || each.severity > least_severe)
      continue;
    const std::string text{each.text};
    const std::size_t headline = headline_in(text);
    if (headline != std::string::npos || (all.empty() && !is_ruler(text))) {
      const std::string what = text.substr(headline == std::string::npos ? 0 : headline);
      all.push_back({.what = "the kernel complains: " + what, .report = {}});
    }
    // Of the complaint that it begins, if it is followed by one.
    std::string& to = is_ruler(text) ? ruler : all.back().report;
    if (!is_ruler(text)) to += std::exchange(ruler, {});
    to += text + "\n";
  }
  if (!all.empty()) all.back().report += ruler;
  return all;
}

}  // namespace memhp::stress
