#include "cli/option_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "blocks/units.h"

namespace memhp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(OptionValues, SizesTakeUnitsAndHexadecimal) {
  EXPECT_EQ(parse_size("4096"), 4096U);
  EXPECT_EQ(parse_size("512M"), 512 * MiB);
  EXPECT_EQ(parse_size("1g"), 1 * GiB);
  EXPECT_EQ(parse_size("64KiB"), 64 * KiB);
  EXPECT_EQ(parse_size("2TB"), 2 * TiB);
  EXPECT_EQ(parse_size("0x40000000"), 1 * GiB);
}

TEST(OptionValues, WrongSizesSayWhatToWrite) {
  for (const char* text : {"", "M", "1.5G", "-1", "12Q", "1G2", "0x", "G1"}) {
    const auto size = parse_size(text);
    ASSERT_FALSE(size) << text;
    EXPECT_THAT(size.error(), HasSubstr("512M")) << text;
  }
  EXPECT_FALSE(parse_size("16777216T"));  // 2^64
  EXPECT_FALSE(parse_size("99999999999999999999"));
}

TEST(OptionValues, SizesAreWrittenAsTheyAreRead) {
  for (const std::uint64_t bytes :
       {std::uint64_t{0}, std::uint64_t{4097}, 128 * MiB, 3 * GiB, 1 * TiB, 1536 * MiB})
    EXPECT_EQ(parse_size(format_size(bytes)), bytes) << format_size(bytes);
  EXPECT_EQ(format_size(1536 * MiB), "1536M");
}

TEST(OptionValues, NumbersKeepToTheirBounds) {
  EXPECT_EQ(parse_number("7", 1, 7), 7U);
  EXPECT_FALSE(parse_number("8", 1, 7));
  EXPECT_FALSE(parse_number("0", 1, 7));
  EXPECT_FALSE(parse_number("seven", 1, 7));
}

TEST(OptionValues, ListsTakeNumbersAndRanges) {
  EXPECT_THAT(*parse_list("0,3-5"), ElementsAre(0, 3, 4, 5));
  EXPECT_TRUE(parse_list("")->empty());
  for (const char* text : {"3-1", "1-2-3", ",", "0-", "a"})
    EXPECT_FALSE(parse_list(text)) << text;
}

TEST(OptionValues, NodeWithoutCpusIsAnEmptyList) {
  const auto nodes = parse_node_cpus("0-1;3;");
  ASSERT_TRUE(nodes);
  EXPECT_THAT(*nodes, ElementsAre(ElementsAre(0U, 1U), ElementsAre(3U), ElementsAre()));
  EXPECT_FALSE(parse_node_cpus("0-1;x"));
}

TEST(OptionValues, DistancesAreRows) {
  const auto rows = parse_distances("10,20;21,10");
  ASSERT_TRUE(rows);
  EXPECT_THAT(*rows, ElementsAre(ElementsAre(10, 20), ElementsAre(21, 10)));
  EXPECT_FALSE(parse_distances("10,;20,10"));
}

TEST(OptionValues, NearestNamesComeFirst) {
  EXPECT_THAT(nearest_names("v4.2", {"v3.19", "patched", "v4.1"}, 2),
              ElementsAre("v4.1", "v3.19"));
  EXPECT_THAT(nearest_names("", {"abc", "ab"}, 5), ElementsAre("ab", "abc"));
}

}  // namespace
}  // namespace memhp
