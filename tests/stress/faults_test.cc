#include "stress/faults.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>

namespace memhp::stress {
namespace {

using testing::HasSubstr;

TEST(FaultList, IsReadWithProbabilitiesAndTimes) {
  const auto faults =
      parse_faults("veto=0.25,enomem=1,slow-migrate=20ms@0.05,stop=1s@0.5");
  ASSERT_TRUE(faults.has_value()) << faults.error();
  ASSERT_EQ(faults->size(), 4U);
  EXPECT_EQ((*faults)[0].kind, fault_kind::veto);
  EXPECT_DOUBLE_EQ((*faults)[0].probability, 0.25);
  EXPECT_EQ((*faults)[2].kind, fault_kind::slow_migrate);
  EXPECT_EQ((*faults)[2].time.count(), 20);
  EXPECT_EQ((*faults)[3].time.count(), 1000);
}

TEST(FaultList, NonsenseIsRefusedInWordsThatHelp) {
  EXPECT_THAT(parse_faults("fire=1").error(), HasSubstr("write veto"));
  for (const char* text :
       {"veto", "veto=", "veto=0", "veto=1.5", "veto=-1", "veto=nan", "veto=0.1x",
        "slow-migrate=0.1", "slow-migrate=20ms", "slow-migrate=1m@0.1", "stop=@0.1"})
    EXPECT_THAT(parse_faults(text).error(), HasSubstr("PROBABILITY")) << text;
  EXPECT_THAT(parse_faults("veto=0.1,veto=0.2").error(), HasSubstr("twice"));
}

TEST(FaultList, OddsComeNearTheProbability) {
  for (const double probability :
       {1.0, 0.777, 0.5, 0.33, 0.015, 0.014, 0.01, 0.007, 0.005, 0.001, 0.0001}) {
    const odds said = odds_of(probability);
    EXPECT_LE(said.percent, 100U);
    EXPECT_NEAR(said.percent / 100.0 / said.interval, probability, probability / 100)
        << probability;
  }
}

TEST(FaultList, ExcusesItsErrorsAndNoOthers) {
  circumstances now;
  excuse(now, *parse_faults("slow-migrate=1ms@1"));
  EXPECT_FALSE(may_answer(operation::online, ENOMEM, now));
  EXPECT_FALSE(may_answer(operation::online, EPERM, now));
  excuse(now, *parse_faults("enomem=0.1"));
  EXPECT_TRUE(may_answer(operation::online, ENOMEM, now));
  EXPECT_FALSE(may_answer(operation::online, EPERM, now));
  excuse(now, *parse_faults("veto=0.1"));
  EXPECT_TRUE(may_answer(operation::offline, EPERM, now));
}

// A directory with the files of one fault, empty.
class FaultFiles : public testing::Test {
 protected:
  void SetUp() override {
    sys_.path = testing::TempDir() + "faults.XXXXXX";
    ASSERT_NE(mkdtemp(sys_.path.data()), nullptr);
    sys_.root = owned_fd{open(sys_.path.c_str(), O_PATH | O_CLOEXEC)};
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(sys_.path, ignored);
  }
  void make(std::string_view fault) {
    const std::string dir = fmt::format("{}/{}/{}/", sys_.path, debug_dir, fault);
    std::filesystem::create_directories(dir);
    for (const char* file : {"probability", "interval", "times", "error"})
      std::ofstream{dir + file};
  }
  std::string file(std::string_view name) const {
    return sys_.read(fmt::format("{}/{}", debug_dir, name));
  }

  tree sys_;
};

TEST_F(FaultFiles, AVetoIsEpermWhateverWasThere) {
  make("fail_notifier");
  ASSERT_TRUE(switch_on(sys_, *parse_faults("veto=0.05")).has_value());
  EXPECT_EQ(file("fail_notifier/error"), "-1");
}

TEST_F(FaultFiles, AreWrittenAndCountedAndReset) {
  const auto faults = parse_faults("enomem=0.05");
  EXPECT_THAT(switch_on(sys_, *faults).error(), HasSubstr("fail_populate"));
  make("fail_populate");
  ASSERT_TRUE(switch_on(sys_, *faults).has_value());
  EXPECT_EQ(file("fail_populate/probability"), "5");
  ASSERT_EQ(sys_.write(fmt::format("{}/fail_populate/times", debug_dir), "2147483644"),
            0);  // three times less than at first
  const auto happened = switch_off(sys_, *faults);
  ASSERT_EQ(happened.size(), 1U);
  EXPECT_EQ(happened[0].first, "enomem");
  EXPECT_EQ(happened[0].second, 3U);
  EXPECT_EQ(file("fail_populate/probability")[0], '0');
}

}  // namespace
}  // namespace memhp::stress
