// Small pieces of text that the kernel's reports and tables are made of.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace memhp {

// Lower case, without leading zeros and without 0x.
inline std::string hex(std::uint64_t value) {
  char digits[16];
  constexpr int base = 16;
  const auto end = std::to_chars(digits, digits + sizeof(digits), value, base).ptr;
  return {digits, end};
}

// `text` moved to the right end of `width` columns; longer texts stay as they are.
inline std::string right(std::string_view text, std::size_t width) {
  std::string padded(text.size() < width ? width - text.size() : 0, ' ');
  return padded.append(text);
}
inline std::string right(std::uint64_t number, std::size_t width) {
  return right(std::to_string(number), width);
}

// `text` at the left end of `width` columns.
inline std::string left(std::string_view text, std::size_t width) {
  std::string padded{text};
  if (padded.size() < width) padded.append(width - padded.size(), ' ');
  return padded;
}

// An address as the kernel's %px prints it: 16 digits.
inline std::string address(const void* at) {
  constexpr std::size_t digits = 16;
  const std::string value = hex(reinterpret_cast<std::uintptr_t>(at));
  return std::string(digits - value.size(), '0') + value;
}

// As %px in brackets, which is how older reports and lock_stat write program counters.
inline std::string bracketed(const void* at) {
  return "[<" + address(at) + ">]";
}

}  // namespace memhp
