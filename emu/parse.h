// How sysfs stores read what was written: words, numbers and truth values.
//
// All of them see the data up to its first NUL, as a C string.
// Mirrors sysfs_streq() (lib/string_helpers.c), kstrtobool() and kstrtoull()
// (lib/kstrtox.c, 6.1).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "blocks/result.h"

namespace memhp {

// The written word: without what follows a NUL and without ONE trailing newline.
std::string_view written_word(std::string_view data);

// Its words, separated by blanks.
std::vector<std::string_view> words_of(std::string_view data);

// The first letters decide: yes/true/1/on and no/false/0/off in either case, whatever
// follows. invalid_argument for the rest.
result<bool> kstrtobool(std::string_view data);

// An unsigned number: 0x hexadecimal, 0 octal, else decimal; a plus sign and one trailing
// newline are allowed. invalid_argument, or result_out_of_range above 64 bits.
result<std::uint64_t> kstrtoull(std::string_view data);

// The same for a signed number in decimal.
result<std::int64_t> kstrtoll(std::string_view data);

// A size for people: plain bytes, 0x..., or a number with K, M, G or T behind it.
result<std::uint64_t> memparse(std::string_view text);

}  // namespace memhp
