#include "emu/explore/schedule.h"

#include <array>
#include <charconv>

namespace memhp {
namespace {

constexpr std::string_view letters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::size_t longest_run = std::size_t{1} << 20;

// A number at the front of `text`, taken off it.
template <class Number>
std::optional<Number> take_number(std::string_view& text, int base) {
  Number value{};
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

}  // namespace

std::string to_string(const schedule& what) {
  std::string text;
  for (std::size_t i = 0; i < what.tasks.size();) {
    std::size_t end = i;
    while (end < what.tasks.size() && what.tasks[end] == what.tasks[i]) ++end;
    text += letters[what.tasks[i] - 1U];
    if (end - i > 1) text += std::to_string(end - i);
    i = end;
  }
  if (!what.digest) return text;
  std::array<char, 16> hex{};
  const auto [end, error] =
      std::to_chars(hex.data(), hex.data() + hex.size(), *what.digest, 16);
  return text + '#' + std::string{hex.data(), end};
}

std::optional<schedule> schedule_from(std::string_view text) {
  schedule made;
  while (!text.empty() && text.front() != '#') {
    const std::size_t letter = letters.find(text.front());
    if (letter == std::string_view::npos) return std::nullopt;
    text.remove_prefix(1);
    std::size_t steps = 1;
    if (!text.empty() && text.front() >= '0' && text.front() <= '9') {
      const auto number = take_number<std::size_t>(text, 10);
      if (!number || *number == 0 || *number > longest_run) return std::nullopt;
      steps = *number;
    }
    made.tasks.insert(made.tasks.end(), steps, static_cast<std::uint8_t>(letter + 1));
  }
  if (text.empty()) return made;
  text.remove_prefix(1);
  made.digest = take_number<std::uint64_t>(text, 16);
  if (!made.digest || !text.empty()) return std::nullopt;
  return made;
}

}  // namespace memhp
