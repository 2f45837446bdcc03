// What people write after an option, turned into values: sizes, CPU lists, matrices.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace memhp {

// A number of bytes: "512M", "1G", "64KiB", "0x40000000", "4096". The error says what
// to write instead.
std::expected<std::uint64_t, std::string> parse_size(std::string_view text);

// "512M" for 536870912; bytes where no larger unit fits.
std::string format_size(std::uint64_t bytes);

// A number from `least` to `most`.
std::expected<std::uint64_t, std::string> parse_number(std::string_view text,
                                                       std::uint64_t least,
                                                       std::uint64_t most);

// Numbers and ranges: "0,3-5"; empty for none.
std::expected<std::vector<std::uint64_t>, std::string> parse_list(std::string_view text);

// One list a node, separated by semicolons: "0-1;2-3;" has three, the last one empty.
std::expected<std::vector<std::vector<unsigned>>, std::string> parse_node_cpus(
    std::string_view text);

// Rows separated by semicolons, numbers by commas: "10,20;20,10".
std::expected<std::vector<std::vector<int>>, std::string> parse_distances(
    std::string_view text);

// The up to `most` of `names` that are nearest to `text`, nearest first: those that the
// fewest letters make of it, and of those the first in the alphabet.
std::vector<std::string_view> nearest_names(std::string_view text,
                                            std::vector<std::string_view> names,
                                            std::size_t most);

}  // namespace memhp
