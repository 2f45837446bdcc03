#include "emu/parse.h"

#include <cctype>
#include <charconv>
#include <limits>
#include <ranges>

namespace memhp {
namespace {

std::string_view c_string(std::string_view data) {
  return data.substr(0, data.find('\0'));
}

char lower(char c) {
  return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

bool is_hex_digit(char c) {
  return std::isxdigit(static_cast<unsigned char>(c)) != 0;
}

// "0x" counts as a prefix only if a digit follows; otherwise its 0 starts an octal.
int take_base(std::string_view& text) {
  if (text.empty() || text[0] != '0') return 10;
  if (text.size() > 2 && lower(text[1]) == 'x' && is_hex_digit(text[2])) {
    text.remove_prefix(2);
    return 16;
  }
  return 8;
}

}  // namespace

std::string_view written_word(std::string_view data) {
  data = c_string(data);
  if (data.ends_with('\n')) data.remove_suffix(1);
  return data;
}

std::vector<std::string_view> words_of(std::string_view data) {
  std::vector<std::string_view> words;
  for (const auto part : written_word(data) | std::views::split(' '))
    if (const std::string_view word{part.begin(), part.end()}; !word.empty())
      words.push_back(word);
  return words;
}

result<bool> kstrtobool(std::string_view data) {
  data = c_string(data);
  const char first = data.empty() ? '\0' : lower(data[0]);
  const char second = data.size() < 2 ? '\0' : lower(data[1]);
  switch (first) {
    case 'y':
    case 't':
    case '1': return true;
    case 'n':
    case 'f':
    case '0': return false;
    case 'o':
      if (second == 'n') return true;
      if (second == 'f') return false;
      break;
    default: break;
  }
  return fail(errc::invalid_argument);
}

result<std::uint64_t> kstrtoull(std::string_view data) {
  std::string_view text = written_word(data);
  if (text.starts_with('+')) text.remove_prefix(1);
  const int base = take_base(text);
  std::uint64_t value = 0;
  const auto [end, ec] =
      std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (ec == errc::result_out_of_range) return fail(ec);
  if (ec != errc{} || end != text.data() + text.size())
    return fail(errc::invalid_argument);
  return value;
}

result<std::int64_t> kstrtoll(std::string_view data) {
  const bool negative = data.starts_with('-');
  const auto magnitude = kstrtoull(negative ? data.substr(1) : data);
  if (!magnitude) return fail(magnitude.error());
  constexpr auto limit =
      static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (*magnitude > limit) return fail(errc::result_out_of_range);
  const auto value = static_cast<std::int64_t>(*magnitude);
  return negative ? -value : value;
}

result<std::uint64_t> memparse(std::string_view text) {
  unsigned shift = 0;
  if (!text.empty()) {
    const std::string_view units = "kmgt";
    if (const auto unit = units.find(lower(text.back())); unit != units.npos) {
      shift = 10 * (static_cast<unsigned>(unit) + 1);
      text.remove_suffix(1);
    }
  }
  const auto number = kstrtoull(text);
  if (!number) return number;
  if (*number > (std::numeric_limits<std::uint64_t>::max() >> shift))
    return fail(errc::result_out_of_range);
  return *number << shift;
}

}  // namespace memhp
