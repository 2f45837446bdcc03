#include "stress/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace memhp::stress {
namespace {

constexpr unsigned most_workers = 1024;
constexpr unsigned most_rate = 1'000'000;
constexpr unsigned most_think_ms = 60'000;

std::optional<unsigned> number(std::string_view text, unsigned least, unsigned most) {
  unsigned value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || stop != end || value < least || value > most)
    return std::nullopt;
  return value;
}

// What stands before `mark`; `text` keeps what stands after it.
std::string_view cut(std::string_view& text, char mark) {
  const std::size_t at = std::min(text.find(mark), text.size());
  const std::string_view head = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return head;
}

std::string known_names() {
  std::string names;
  for (const worker_kind& kind : worker_kinds())
    names += fmt::format("{}{}", names.empty() ? "" : ", ", kind.name);
  return names;
}

std::expected<worker_group, std::string> parse_group(std::string_view text) {
  std::string_view rest = text;
  const std::string_view name = cut(rest, '=');
  const auto& kinds = worker_kinds();
  const auto kind = std::ranges::find(kinds, name, &worker_kind::name);
  if (kind == kinds.end())
    return std::unexpected{
        fmt::format("'{}' is no worker: write one of {}", name, known_names())};
  std::string_view think = rest;
  std::string_view rate = cut(think, '~');
  const bool has_think = rest.find('~') != std::string_view::npos;
  const bool has_rate = rate.find('@') != std::string_view::npos;
  const auto count = number(cut(rate, '@'), 1, most_workers);
  const auto per_second = has_rate ? number(rate, 1, most_rate) : 0U;
  const auto think_ms = has_think ? number(think, 1, most_think_ms) : 0U;
  if (!count || !per_second || !think_ms)
    return std::unexpected{
        fmt::format("'{}': write {}=COUNT[@RATE][~MILLISECONDS], COUNT from 1 to {}",
                    text, name, most_workers)};
  return worker_group{
      .kind = &*kind, .count = *count, .rate = *per_second, .think_ms = *think_ms};
}

}  // namespace

const std::vector<worker_kind>& worker_kinds() {
  using enum operation;
  static const std::vector<worker_kind> kinds = {
      {.name = "probe", .choices = {{probe, 1}}, .writes = true},
      {.name = "remove", .choices = {{remove, 1}}, .writes = true},
      {.name = "online", .choices = {{online, 1}}, .writes = true},
      {.name = "online_kernel", .choices = {{online_kernel, 1}}, .writes = true},
      {.name = "online_movable", .choices = {{online_movable, 1}}, .writes = true},
      {.name = "offline", .choices = {{offline, 1}}, .writes = true},
      {.name = "switch", .choices = {{switch_on, 1}, {switch_off, 1}}, .writes = true},
      {.name = "garbage", .choices = {{garbage, 1}}, .writes = true},
      {.name = "read", .choices = {{read, 1}}},
      {.name = "list", .choices = {{list, 1}}},
      {.name = "scan", .choices = {{scan, 1}}},
      {.name = "hold", .choices = {{hold, 1}}},
      {.name = "dimm", .choices = {{plug, 1}, {eject, 1}}, .writes = true},
      {.name = "dax", .choices = {{unbind, 1}, {bind, 1}}, .writes = true},
      {.name = "cpu", .choices = {{cpu_down, 1}, {cpu_up, 1}}, .writes = true},
      {.name = "slab",
       .choices = {{cache_create, 1}, {cache_destroy, 1}, {cache_tune, 1}},
       .writes = true},
      {.name = "fault", .choices = {{veto, 1}}},
      {.name = "signal", .choices = {{interrupt, 1}}},
      {.name = "mix",
       .choices = {{online, 8},
                   {online_kernel, 2},
                   {online_movable, 4},
                   {offline, 12},
                   {switch_on, 4},
                   {switch_off, 4},
                   {probe, 2},
                   {remove, 2},
                   {read, 16},
                   {hold, 4},
                   {garbage, 1}},
       .writes = true},
  };
  return kinds;
}

std::expected<std::vector<worker_group>, std::string> parse_workers(
    std::string_view text) {
  std::vector<worker_group> groups;
  unsigned total = 0;
  while (!text.empty()) {
    auto group = parse_group(cut(text, ','));
    if (!group) return std::unexpected{group.error()};
    total += group->count;
    groups.push_back(*group);
  }
  if (groups.empty())
    return std::unexpected{"names no worker: write for example online=2,offline=2"};
  if (total > most_workers)
    return std::unexpected{
        fmt::format("{} workers: at most {} in all", total, most_workers)};
  return groups;
}

std::expected<std::chrono::milliseconds, std::string> parse_duration(
    std::string_view text) {
  constexpr std::chrono::milliseconds longest = std::chrono::hours{24 * 7};
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit{stop, static_cast<std::size_t>(end - stop)};
  std::int64_t ms = 0;
  if (unit == "ms") ms = 1;
  if (unit == "s") ms = 1000;
  if (unit == "m") ms = 60'000;
  if (unit == "h") ms = 3'600'000;
  if (error != std::errc{} || ms == 0 || value < 1 || value > longest.count() / ms)
    return std::unexpected{fmt::format(
        "'{}' is no time: write a number and ms, s, m or h, such as 60s", text)};
  return std::chrono::milliseconds{value * ms};
}

}  // namespace memhp::stress
