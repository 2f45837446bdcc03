#include "cli/option_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

#include "blocks/units.h"

namespace memhp {
namespace {

constexpr std::uint64_t most_in_list = 1ULL << 20;  // no machine has more blocks or CPUs

// A whole number, decimal or 0x..., and what follows it.
std::optional<std::pair<std::uint64_t, std::string_view>> leading_number(
    std::string_view text) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  if (hex) text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (error != std::errc{}) return std::nullopt;
  return std::pair{value, text.substr(static_cast<std::size_t>(end - text.data()))};
}

std::optional<unsigned> unit_shift(std::string_view unit) {
  constexpr std::string_view letters = "KMGT";
  if (unit.empty() || unit == "B") return 0;
  const std::size_t at = letters.find(static_cast<char>(unit.front() & ~0x20));
  const std::string_view rest = unit.substr(1);
  if (at == std::string_view::npos || !(rest.empty() || rest == "iB" || rest == "B"))
    return std::nullopt;
  return static_cast<unsigned>(10 * (at + 1));
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

// Letters to add, to leave out or to change (Levenshtein).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace

std::expected<std::uint64_t, std::string> parse_size(std::string_view text) {
  const auto wrong = [&] {
    return std::unexpected{
        fmt::format("'{}' is no size: write one such as 512M, 1G or 0x40000000", text)};
  };
  const auto number = leading_number(text);
  if (!number) return wrong();
  const auto [value, unit] = *number;
  const auto shift = unit_shift(unit);
  if (!shift) return wrong();
  if (value > std::numeric_limits<std::uint64_t>::max() >> *shift)
    return std::unexpected{
        fmt::format("'{}' is beyond 64 bits: write a smaller size", text)};
  return value << *shift;
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::array units = {std::pair{TiB, 'T'}, std::pair{GiB, 'G'},
                                std::pair{MiB, 'M'}, std::pair{KiB, 'K'}};
  for (const auto& [size, letter] : units)
    if (bytes >= size && bytes % size == 0)
      return fmt::format("{}{}", bytes / size, letter);
  return fmt::format("{}", bytes);
}

std::expected<std::uint64_t, std::string> parse_number(std::string_view text,
                                                       std::uint64_t least,
                                                       std::uint64_t most) {
  const auto number = leading_number(text);
  if (!number || !number->second.empty() || number->first < least || number->first > most)
    return std::unexpected{
        fmt::format("'{}': write a number from {} to {}", text, least, most)};
  return number->first;
}

std::expected<std::vector<std::uint64_t>, std::string> parse_list(std::string_view text) {
  std::vector<std::uint64_t> list;
  if (text.empty()) return list;
  for (const std::string_view range : split(text, ',')) {
    const auto bounds = split(range, '-');
    const auto first = parse_number(bounds.front(), 0, most_in_list);
    const auto last = parse_number(bounds.back(), 0, most_in_list);
    if (bounds.size() > 2 || !first || !last || *first > *last)
      return std::unexpected{
          fmt::format("'{}' is no list: write numbers and ranges such as 0,3-5", text)};
    for (std::uint64_t n = *first; n <= *last; ++n) list.push_back(n);
  }
  return list;
}

std::expected<std::vector<std::vector<unsigned>>, std::string> parse_node_cpus(
    std::string_view text) {
  std::vector<std::vector<unsigned>> nodes;
  for (const std::string_view node : split(text, ';')) {
    const auto cpus = parse_list(node);
    if (!cpus)
      return std::unexpected{fmt::format(
          "'{}': write the CPUs of each node, nodes separated by semicolons, such as "
          "'0-1;2-3;' (the third node has none)",
          text)};
    nodes.emplace_back(cpus->begin(), cpus->end());
  }
  return nodes;
}

std::expected<std::vector<std::vector<int>>, std::string> parse_distances(
    std::string_view text) {
  std::vector<std::vector<int>> rows;
  for (const std::string_view row : split(text, ';')) {
    std::vector<int>& distances = rows.emplace_back();
    for (const std::string_view cell : split(row, ',')) {
      const auto distance = parse_number(cell, 1, 255);
      if (!distance)
        return std::unexpected{fmt::format(
            "'{}': write a row of distances a node, such as '10,20;20,10'", text)};
      distances.push_back(static_cast<int>(*distance));
    }
  }
  return rows;
}

std::vector<std::string_view> nearest_names(std::string_view text,
                                            std::vector<std::string_view> names,
                                            std::size_t most) {
  std::ranges::sort(names, {}, [&](std::string_view name) {
    return std::pair{edit_distance(text, name), name};
  });
  names.resize(std::min(names.size(), most));
  return names;
}

}  // namespace memhp
