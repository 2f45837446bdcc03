#include "emu/parse.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

namespace memhp {
namespace {

using namespace std::string_view_literals;

// The value, or the errno as a negative number: small values only.
template <class T>
long long value_or_error(const result<T>& r) {
  return r ? static_cast<long long>(*r) : -static_cast<long long>(r.error());
}

TEST(WrittenWord, EndsAtANulAndLosesExactlyOneNewline) {
  EXPECT_EQ(written_word("online"), "online");
  EXPECT_EQ(written_word("online\n"), "online");
  EXPECT_EQ(written_word("online\n\n"), "online\n");
  EXPECT_EQ(written_word("online\0junk"sv), "online");
  EXPECT_EQ(written_word("online\n\0junk"sv), "online");
  EXPECT_EQ(written_word("online\r\n"), "online\r");
  EXPECT_EQ(written_word("\0online"sv), "");
}

TEST(Kstrtobool, LooksAtTheFirstLettersOnly) {
  for (const auto yes : {"1", "y", "Y", "t", "T", "on", "oN", "ON", "online", "10", "yes",
                         "true", "1 ", "1\n"})
    EXPECT_EQ(value_or_error(kstrtobool(yes)), 1) << yes;
  for (const auto no :
       {"0", "n", "N", "f", "F", "of", "oFF", "offline", "01", "no", "false"})
    EXPECT_EQ(value_or_error(kstrtobool(no)), 0) << no;
  for (const auto neither : {"", "o", "O", "2", "-1", " 1", "x", "\n", "ox"})
    EXPECT_EQ(value_or_error(kstrtobool(neither)), -EINVAL) << neither;
  EXPECT_EQ(value_or_error(kstrtobool("\0001"sv)), -EINVAL);
}

TEST(Kstrtoull, ReadsWhatTheKernelReads) {
  EXPECT_EQ(value_or_error(kstrtoull("0")), 0);
  EXPECT_EQ(value_or_error(kstrtoull("42")), 42);
  EXPECT_EQ(value_or_error(kstrtoull("+42\n")), 42);
  EXPECT_EQ(value_or_error(kstrtoull("0x2A")), 42);
  EXPECT_EQ(value_or_error(kstrtoull("0X2a")), 42);
  EXPECT_EQ(value_or_error(kstrtoull("052")), 42);
  EXPECT_EQ(value_or_error(kstrtoull("42\0junk"sv)), 42);
  EXPECT_EQ(*kstrtoull("0xffffffffffffffff"), ~0ULL);
}

TEST(Kstrtoull, RefusesTheRest) {
  for (const auto bad : {"", "\n", "-1", " 1", "1 ", "1\n\n", "abc", "0x", "0xg", "08",
                         "++1", "+-1", "4k"})
    EXPECT_EQ(value_or_error(kstrtoull(bad)), -EINVAL) << bad;
  EXPECT_EQ(value_or_error(kstrtoull("0x10000000000000000")), -ERANGE);
  EXPECT_EQ(value_or_error(kstrtoull("18446744073709551616")), -ERANGE);
}

TEST(Kstrtoll, KnowsSigns) {
  EXPECT_EQ(value_or_error(kstrtoll("-16\n")), -16);
  EXPECT_EQ(value_or_error(kstrtoll("7")), 7);
  EXPECT_EQ(value_or_error(kstrtoll("--1")), -EINVAL);
  EXPECT_EQ(value_or_error(kstrtoll("9223372036854775808")), -ERANGE);
}

TEST(Memparse, KnowsUnits) {
  EXPECT_EQ(value_or_error(memparse("512M")), 512LL << 20);
  EXPECT_EQ(value_or_error(memparse("1g")), 1LL << 30);
  EXPECT_EQ(value_or_error(memparse("2T")), 2LL << 40);
  EXPECT_EQ(value_or_error(memparse("4K")), 4096);
  EXPECT_EQ(value_or_error(memparse("0x1000")), 4096);
  EXPECT_EQ(value_or_error(memparse("M")), -EINVAL);
  EXPECT_EQ(value_or_error(memparse("1MB")), -EINVAL);
  EXPECT_EQ(value_or_error(memparse("16777217T")), -ERANGE);
}

}  // namespace
}  // namespace memhp
