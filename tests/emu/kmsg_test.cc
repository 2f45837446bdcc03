#include "emu/kmsg.h"

#include <gmock/gmock.h>

#include <algorithm>

namespace memhp {
namespace {

using testing::EndsWith;
using testing::StartsWith;

// A clock that advances by 1.5 ms each time it is looked at.
struct timespec ticking() {
  static long ticks = 0;
  constexpr long tick_ns = 1'500'000;
  return {.tv_sec = 7, .tv_nsec = ticks++ * tick_ns};
}

TEST(Kmsg, RecordsAreAsInDevKmsg) {
  kmsg_ring ring{ticking};
  ring.print(log_level::info, "booted");
  ring.print(log_level::warning, "first\nsecond\n");
  EXPECT_EQ(ring.text(), "6,0,1500,-;booted\n4,1,3000,-;first\n4,2,3000,-;second\n");
}

TEST(Kmsg, WhatIsNotPrintableIsEscaped) {
  kmsg_ring ring{nullptr};
  ring.print(log_level::info, "a\tb\\c\x7f\xc3");
  EXPECT_EQ(ring.text(), "6,0,0,-;a\\x09b\\x5cc\\x7f\\xc3\n");
}

TEST(Kmsg, BlankLinesAreRecords) {
  kmsg_ring ring{nullptr};
  ring.print(log_level::info, "a\n\nb\n");
  EXPECT_EQ(ring.text(), "6,0,0,-;a\n6,1,0,-;\n6,2,0,-;b\n");
}

TEST(Kmsg, OldRecordsMakeRoom) {
  kmsg_ring ring{nullptr};
  for (std::size_t i = 0; i < kmsg_ring::kept + 3; ++i) ring.print(log_level::info, "x");
  const std::string text = ring.text();
  EXPECT_THAT(text, StartsWith("6,3,0,-;x\n"));
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(text, '\n')), kmsg_ring::kept);
}

TEST(Kmsg, InformationMakesNoRoomInWarnings) {
  kmsg_ring ring{nullptr};
  ring.print(log_level::info, "booted");
  ring.print(log_level::warning, "a report");
  for (std::size_t i = 0; i < kmsg_ring::kept; ++i) ring.print(log_level::info, "x");
  EXPECT_THAT(ring.text(), StartsWith("4,1,0,-;a report\n6,2,0,-;x\n"));
  ring.print(log_level::error, "oops");
  EXPECT_THAT(ring.text(), EndsWith(",-;x\n3,4098,0,-;oops\n"));
}

}  // namespace
}  // namespace memhp
