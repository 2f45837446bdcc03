// Every section of the recordings of real kernels, replayed on memhp.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <iostream>

#include "tests/oracle/replay.h"

namespace memhp::oracle {
namespace {

const std::vector<section>& sections() {
  static const std::vector<section> all = load_sections(MEMHP_ORACLE_DIR);
  return all;
}

const not_applicable& table() {
  static const not_applicable all{MEMHP_ORACLE_DIR "/not_applicable.tsv"};
  return all;
}

std::string program() {
  const char* other = std::getenv("MEMHP");
  return other != nullptr ? other : MEMHP_PROGRAM;
}

// What keeps a mount from being possible here, or an empty string.
std::string missing() {
  if (::access("/dev/fuse", R_OK | W_OK) != 0) {
    return "/dev/fuse cannot be opened";
  }
  if (::geteuid() != 0) {
    return "the recordings were made by root, so they are replayed by root only";
  }
  return "";
}

// The sum over all sections that this run of the program replayed.
tally& sum() {
  static tally all;
  return all;
}

class Recordings  // NOLINT(readability-identifier-naming): GoogleTest
    : public testing::TestWithParam<section> {};

TEST_P(Recordings, AreWhatMemhpAnswers) {
  const section& what = GetParam();
  const bool replays = std::ranges::any_of(what.records, [&](const record& r) {
    return table().find(what, r, "record") == nullptr;
  });
  tally came;
  if (const std::string lacking = missing(); replays && !lacking.empty()) {
    GTEST_SKIP() << lacking;
  }
  if (replays) {
    machine_under_test machine{program(), what.machine_options};
    came = replayer{what, table(), machine}.run();
  } else {
    for (const record& r : what.records) {
      ++came.not_applicable[table().find(what, r, "record")->reason];
    }
  }
  std::cout << fmt::format("{} {}: {}", what.recording, what.name, came.text());
  EXPECT_EQ(came.total(), static_cast<int>(what.records.size()));
  EXPECT_EQ(came.different, 0);
  sum().add(came);
}

std::string test_name(const testing::TestParamInfo<section>& info) {
  std::string name = info.param.recording + "_" + info.param.name;
  std::ranges::replace_if(
      name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Kernel, Recordings, testing::ValuesIn(sections()), test_name);

// A line of the table that fits no record hides nothing, but misleads its readers.
TEST(NotApplicable, EveryLineFitsSomeRecord) {
  for (const exemption& e : table().all()) {
    const not_applicable& all = table();
    const bool fits = std::ranges::any_of(sections(), [&](const section& s) {
      return std::ranges::any_of(
          s.records, [&](const record& r) { return all.find(s, r, e.aspect) == &e; });
    });
    EXPECT_TRUE(fits) << e.recording << ' ' << e.section << ' ' << e.kind << ' '
                      << e.subject;
    EXPECT_FALSE(e.reason.empty());
  }
}

TEST(Alternation, FindsWhatCannotFollow) {
  const auto events = [](std::initializer_list<const char*> headers) {
    std::vector<json> all;
    for (const char* header : headers) {
      all.push_back(json::array({header}));
    }
    return all;
  };
  EXPECT_EQ(
      check_alternation(events({"add@/m1", "online@/m1", "online@/m2", "offline@/m1"})),
      "");
  EXPECT_EQ(check_alternation(events({"online@/m1", "online@/m1"})),
            "online@/m1 after online");
  EXPECT_EQ(check_alternation(events({"online@/m1", "remove@/m1"})),
            "remove@/m1 after online");
  EXPECT_EQ(check_alternation(events({"remove@/m1", "online@/m1"})),
            "online@/m1 after remove");
}

class print_sum : public testing::Environment {
 public:
  void TearDown() override {
    if (sum().total() != 0) {
      std::cout << "all sections of this run: " << sum().text();
    }
  }
};

const auto* const environment = testing::AddGlobalTestEnvironment(new print_sum);

}  // namespace
}  // namespace memhp::oracle
