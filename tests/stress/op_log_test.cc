#include "stress/op_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace memhp::stress {
namespace {

class OpLog : public testing::Test {
 protected:
  void SetUp() override { write_log(); }
  void TearDown() override { std::filesystem::remove(path_); }
  void write_log() {
    auto log = op_log::create(path_, 7, "memhp stress --seed 7");
    ASSERT_TRUE(log.has_value());
    const std::vector<record> calls{
        {.start_ns = 1, .end_ns = 2, .target = 3, .op = operation::offline, .error = 16},
        {.start_ns = 4, .end_ns = 5, .target = 6, .op = operation::probe}};
    ASSERT_TRUE(log->append(calls));
  }
  const std::string path_ =
      testing::TempDir() + "memhp-op-log-" + std::to_string(getpid());
};

TEST_F(OpLog, ReadsWhatWasAppended) {
  const auto run = op_log::read(path_);
  ASSERT_TRUE(run.has_value());
  EXPECT_EQ(run->seed, 7U);
  EXPECT_EQ(run->command_line, "memhp stress --seed 7");
  ASSERT_EQ(run->calls.size(), 2U);
  EXPECT_EQ(run->calls[0].op, operation::offline);
  EXPECT_EQ(run->calls[0].error, 16);
  EXPECT_EQ(run->calls[1].target, 6U);
}

TEST_F(OpLog, ReadsUpToTheLastWholeRecordOfOneThatWasCutOff) {
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 5);
  const auto run = op_log::read(path_);
  ASSERT_TRUE(run.has_value());
  EXPECT_EQ(run->calls.size(), 1U);
}

TEST_F(OpLog, RefusesOtherFiles) {
  std::ofstream{path_} << "something else that is long enough to be a header of a log";
  EXPECT_FALSE(op_log::read(path_).has_value());
  EXPECT_FALSE(op_log::read(path_ + ".absent").has_value());
}

}  // namespace
}  // namespace memhp::stress
