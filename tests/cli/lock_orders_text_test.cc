#include "cli/lock_orders_text.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <sstream>

namespace memhp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr std::uint8_t w_w = 1;
constexpr std::uint8_t r_w = 4;

lock_order order(std::size_t held, std::size_t wanted, bool on_cycle = false,
                 std::uint8_t modes = w_w) {
  const stack_frame frames[] = {{.name = "lock_it+0x1/0x2"},
                                {.name = "operation<int>::run[abi:cxx11]+0x3/0x4"}};
  return {.held = held,
          .wanted = wanted,
          .modes = modes,
          .on_cycle = on_cycle,
          .held_at = {.name = "hold_it+0x5/0x6"},
          .wanted_at = stack_trace{frames}};
}

lock_orders without_cycle() {
  return {.classes = {{.name = "outer"}, {.name = "inner"}, {.name = "alone"}},
          .orders = {order(0, 1, false, w_w | r_w)}};
}

// a -> b -> c -> a, and a -> d
lock_orders with_cycle() {
  return {
      .classes = {{.name = "a"}, {.name = "b"}, {.name = "c"}, {.name = "d"}},
      .orders = {order(0, 1, true), order(0, 3), order(1, 2, true), order(2, 0, true)}};
}

std::vector<std::string> lines_with(const std::string& text, std::string_view what) {
  std::vector<std::string> lines;
  std::istringstream all{text};
  for (std::string line; std::getline(all, line);)
    if (line.find(what) != std::string::npos) lines.push_back(line);
  return lines;
}

TEST(LockOrdersText, IsATable) {
  EXPECT_EQ(lock_orders_text(without_cycle(), report_format_6_1),
            "  HELD  WANTED TAKEN   HELD AT WANTED AT\n"
            "  outer inner  w>w r>w hold_it lock_it\n");
}

TEST(LockOrdersText, MarksWhatCanDeadlockAndSaysItFirst) {
  EXPECT_EQ(lock_orders_text(with_cycle(), report_format_6_1),
            "  HELD WANTED TAKEN HELD AT WANTED AT\n"
            "! a    b      w>w   hold_it lock_it\n"
            "! b    c      w>w   hold_it lock_it\n"
            "! c    a      w>w   hold_it lock_it\n"
            "  a    d      w>w   hold_it lock_it\n");
}

TEST(LockOrdersText, SpeaksTheWordsOfTheEra) {
  lock_orders seen = without_cycle();
  seen.classes[0].percpu_rwsem = true;
  seen.classes[1].version = 2;
  EXPECT_THAT(lock_orders_text(seen, report_format_4_13),
              HasSubstr("outer.rw_sem inner#2"));
  EXPECT_THAT(lock_orders_text(seen, report_format_6_1), HasSubstr("outer inner#2"));
}

// Files that go with one device: a line, not as many as there are.
TEST(LockOrdersText, ShowsClassesOfOneNameWithTheSameOrdersAsOne) {
  const lock_orders seen{.classes = {{.name = "outer"},
                                     {.name = "kn"},
                                     {.name = "kn", .version = 2},
                                     {.name = "kn", .version = 3},
                                     {.name = "other"}},
                         .orders = {order(0, 1), order(0, 2, false, r_w), order(0, 3),
                                    order(3, 4), order(0, 4)}};
  EXPECT_EQ(lock_orders_text(seen, report_format_6_1),
            "  HELD  WANTED        TAKEN   HELD AT WANTED AT\n"
            "  outer kn and 1 more w>w r>w hold_it lock_it\n"
            "  outer kn#3          w>w     hold_it lock_it\n"
            "  outer other         w>w     hold_it lock_it\n"
            "  kn#3  other         w>w     hold_it lock_it\n");
}

TEST(LockOrdersDot, ExactlyTheOrdersOfACycleAreRed) {
  const std::string dot = lock_orders_dot(with_cycle(), report_format_6_1, "title");
  std::vector<std::string> red;
  for (const std::string& line : lines_with(dot, "color=red"))
    red.push_back(line.substr(2, line.find(" [") - 2));
  EXPECT_THAT(red, ElementsAre("c0", "c1", "c2", "c0 -> c1", "c1 -> c2", "c2 -> c0"));
}

TEST(LockOrdersDot, WithoutACycleNothingIsRed) {
  EXPECT_THAT(lock_orders_dot(without_cycle(), report_format_6_1, "title"),
              Not(HasSubstr("red")));
}

TEST(LockOrdersDot, LeavesOutWhoHasNoOrder) {
  const std::string dot = lock_orders_dot(without_cycle(), report_format_6_1, "title");
  EXPECT_EQ(lines_with(dot, "[label=").size(), 2U);
  EXPECT_THAT(dot, Not(HasSubstr("alone")));
}

TEST(LockOrdersDot, SaysInATooltipWhereAnOrderWasSeen) {
  const auto edges = lines_with(
      lock_orders_dot(without_cycle(), report_format_6_1, "title"), "c0 -> c1");
  ASSERT_EQ(edges.size(), 1U);
  EXPECT_THAT(edges[0], HasSubstr("[tooltip=\"outer -> inner (w>w r>w)\\nheld at hold_it"
                                  "\\nwanted at\\n  lock_it\\n  operation::run\"]"));
}

TEST(LockOrdersDot, IsALabelTooWhereItCanDeadlock) {
  for (const std::string& line :
       lines_with(lock_orders_dot(with_cycle(), report_format_6_1, "title"), "color=red"))
    if (line.find("->") != std::string::npos) {
      EXPECT_THAT(line, HasSubstr("label=\"hold_it\\nlock_it\""));
    }
}

TEST(LockOrdersDot, EscapesWhatWouldEndAName) {
  lock_orders seen = without_cycle();
  seen.classes[0].name = R"(a "quoted\ name)";
  EXPECT_THAT(lock_orders_dot(seen, report_format_6_1, R"(the "title")"),
              testing::AllOf(HasSubstr(R"([label="a \"quoted\\ name\n{....}"];)"),
                             HasSubstr(R"(label="the \"title\"";)")));
}

}  // namespace
}  // namespace memhp
