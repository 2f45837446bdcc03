// Wrong machine options, each with the line that says what to write instead.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "emu/machine.h"

namespace memhp {
namespace {

struct wrong_config {
  const char* name;
  std::function<void(machine_config&)> spoil;
  const char* says;  // part of the line
};

const wrong_config wrong_configs[] = {
    {"BlockSizeNoPowerOfTwo", [](auto& c) { c.block_size = 100 * MiB; },
     "write e.g. 128M"},
    {"BlockSizeTooSmall", [](auto& c) { c.block_size = 1 * MiB; }, "between 2M and 2G"},
    {"BlockSizeTooLarge", [](auto& c) { c.block_size = 4 * GiB; }, "between 2M and 2G"},
    {"BlockSizeZero", [](auto& c) { c.block_size = 0; }, "block size 0"},
    {"NoMemory", [](auto& c) { c.memory = 0; }, "memory 0"},
    {"MemoryInPartsOfABlock", [](auto& c) { c.memory = 200 * MiB; }, "write e.g. 256M"},
    {"MemoryBeyondTheWindow", [](auto& c) { c.memory = 2 * TiB; }, "raise --max-memory"},
    {"MemoryThatWrapsAround",
     [](auto& c) {
       c.memory = 1ULL << 63;
       c.nodes = 4;
     },
     "raise --max-memory"},
    {"WindowNoPowerOfTwo", [](auto& c) { c.max_memory = 3 * TiB; }, "write e.g. 1T"},
    {"WindowTooLarge", [](auto& c) { c.max_memory = 128 * TiB; }, "at most 65536G"},
    {"MovablecoreInParts", [](auto& c) { c.movablecore = 1 * MiB; }, "movablecore 1M"},
    {"MovablecoreAll", [](auto& c) { c.movablecore = 1 * GiB; }, "write less than 1G"},
    {"NoNodes", [](auto& c) { c.nodes = 0; }, "from 1 to 64"},
    {"TooManyNodes", [](auto& c) { c.nodes = 65; }, "from 1 to 64"},
    {"DimmInNodeTooHigh", [](auto& c) { c.dimms = {{128 * MiB, 64}}; }, "from 1 to 64"},
    {"DimmInHighestInt", [](auto& c) { c.dimms = {{128 * MiB, 0x7fffffff}}; },
     "from 1 to 64"},
    {"DimmInNegativeNode", [](auto& c) { c.dimms = {{128 * MiB, -1}}; }, "from 0 to 63"},
    {"DimmOfNothing", [](auto& c) { c.dimms = {{0, 0}}; }, "multiple of the block size"},
    {"DimmInParts", [](auto& c) { c.dimms = {{100 * MiB, 0}}; },
     "multiple of the block size"},
    {"DimmsBeyondTheWindow",
     [](auto& c) {
       c.max_memory = 8 * GiB;
       c.dimms = {{4 * GiB, 0}, {128 * MiB, 0}};
     },
     "raise --max-memory"},
    {"DimmsThatWrapAround", [](auto& c) { c.dimms = {{1ULL << 63, 0}, {1ULL << 63, 0}}; },
     "raise --max-memory"},
    {"MoreDimmsThanSlots", [](auto& c) { c.dimms.assign(257, {128 * MiB, 0}); },
     "256 slots"},
    {"KernelPagesNowhere", [](auto& c) { c.kernel_blocks = {8}; }, "block 8"},
    {"DistanceToItself", [](auto& c) { c.distances = {{20}}; },
     "10 for a node to itself"},
    {"DistancesOfFewerNodes",
     [](auto& c) {
       c.nodes = 2;
       c.distances = {{10}};
     },
     ""},
    {"CpuInTwoNodes",
     [](auto& c) {
       c.nodes = 2;
       c.node_cpus = {{0}, {0}};
     },
     ""},
    {"NoCpus", [](auto& c) { c.cpus = 0; }, "give one a CPU"},
    {"CpuNumbersWithAGap", [](auto& c) { c.node_cpus = {{0, 2}}; }, "without a gap"},
    {"UnknownAutoOnline", [](auto& c) { c.auto_online = "on"; }, "online_movable"},
    {"UnknownPolicy", [](auto& c) { c.online_policy = "auto"; }, "auto-movable"},
};

class WrongConfig : public testing::TestWithParam<wrong_config> {};

TEST_P(WrongConfig, IsOneLineThatSaysWhatToWrite) {
  machine_config config;
  GetParam().spoil(config);
  const auto ok = validate(config);
  ASSERT_FALSE(ok);
  EXPECT_THAT(ok.error(), testing::HasSubstr(GetParam().says));
  EXPECT_THAT(ok.error(), testing::Not(testing::HasSubstr("\n")));
  EXPECT_FALSE(machine::boot(config));
}

INSTANTIATE_TEST_SUITE_P(All, WrongConfig, testing::ValuesIn(wrong_configs),
                         [](const auto& p) { return p.param.name; });

TEST(RightConfig, BootsAtItsLimits) {
  machine_config full;
  full.max_memory = 8 * GiB;
  full.dimms = {{3 * GiB, 0}, {1 * GiB, 63}};
  EXPECT_TRUE(machine::boot(full));
  EXPECT_TRUE(machine::boot({.nodes = 64, .memory = 2 * MiB, .block_size = 2 * MiB}));
  EXPECT_TRUE(machine::boot({.memory = 4 * GiB, .block_size = 2 * GiB}));
}

}  // namespace
}  // namespace memhp
