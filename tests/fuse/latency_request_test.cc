#include "fuse/latency_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

namespace memhp {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::int32_t no_latency = 0;
constexpr std::int32_t no_constraint = 2'000'000'000;

// Stands for /dev/cpu_dma_latency: keeps everything that is written to it.
class LatencyRequest : public testing::Test {
 protected:
  LatencyRequest() { close(mkstemp(file_.data())); }
  ~LatencyRequest() override { unlink(file_.c_str()); }

  std::vector<std::int32_t> asked() const {
    std::vector<std::int32_t> values;
    std::ifstream stream{file_, std::ios::binary};
    for (std::int32_t value = 0;
         stream.read(reinterpret_cast<char*>(&value), sizeof value);)
      values.push_back(value);
    return values;
  }
  static void requests(latency_request& latency, int count) {
    for (int i = 0; i < count; ++i) latency.busy();
  }

  std::string file_ = testing::TempDir() + "latency.XXXXXX";
};

TEST_F(LatencyRequest, AFewRequestsAskForNothing) {
  latency_request latency{file_.c_str()};
  requests(latency, 63);
  latency.quiet();
  requests(latency, 63);
  EXPECT_FALSE(latency.held());
  EXPECT_THAT(asked(), IsEmpty());
}

TEST_F(LatencyRequest, ManyWithoutAPauseAskOnce) {
  latency_request latency{file_.c_str()};
  requests(latency, 1000);
  EXPECT_TRUE(latency.held());
  EXPECT_THAT(asked(), ElementsAre(no_latency));
}

TEST_F(LatencyRequest, APauseTakesItBackAndItCanBeAskedAgain) {
  latency_request latency{file_.c_str()};
  requests(latency, 64);
  latency.quiet();
  EXPECT_FALSE(latency.held());
  requests(latency, 64);
  EXPECT_THAT(asked(), ElementsAre(no_latency, no_constraint, no_latency));
}

TEST_F(LatencyRequest, WithoutTheDeviceNothingHappens) {
  latency_request none{nullptr};
  latency_request absent{"/nonexistent/cpu_dma_latency"};
  requests(none, 1000);
  requests(absent, 1000);
  EXPECT_FALSE(none.held());
  EXPECT_FALSE(absent.held());
}

TEST_F(LatencyRequest, TheRealDeviceTakesIt) {
  if (access(latency_request::host_device, W_OK) != 0)
    GTEST_SKIP() << "no right to write to " << latency_request::host_device;
  latency_request latency{latency_request::host_device};
  requests(latency, 64);
  EXPECT_TRUE(latency.held());
  std::int32_t target = -1;
  std::ifstream{latency_request::host_device, std::ios::binary}.read(
      reinterpret_cast<char*>(&target), sizeof target);
  EXPECT_EQ(target, no_latency);
}

}  // namespace
}  // namespace memhp
