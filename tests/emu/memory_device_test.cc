// The files of a memory block and of devices/system/memory: what each write answers from
// every state, as recorded from real kernels.
#include "emu/memory_device.h"

#include <tuple>

#include "tests/emu/machine_fixture.h"

namespace memhp {
namespace {

using namespace std::string_literals;
using testing::ElementsAre;

// Block 33 lies between others of its DIMM; it starts in one of four states.
constexpr std::uint64_t block = 33;
constexpr std::array starts = {"offline", "online", "online_kernel", "online_movable"};

class FromEveryState : public testing::TestWithParam<const char*> {
 protected:
  FromEveryState() {
    if (!starts_offline() && m_.set(block, GetParam()) != 0) ADD_FAILURE();
    zones_ = m_.zones(block);
    (void)m_.new_uevents();
  }
  bool starts_offline() const { return GetParam() == "offline"s; }
  void expect_unchanged() {
    EXPECT_EQ(m_.state(block), starts_offline() ? "offline" : "online");
    EXPECT_EQ(m_.zones(block), zones_);
    EXPECT_THAT(m_.new_uevents(), ElementsAre());
  }
  // Writes to `file`; a success must have led to state `after`.
  void expect(const char* file, const std::string& text, int error, const char* after) {
    SCOPED_TRACE(testing::PrintToString(text));
    EXPECT_EQ(m_.write(test_machine::block(block, file), text), error);
    if (error != 0) return expect_unchanged();
    EXPECT_EQ(m_.state(block), after);
    const std::string verb = starts_offline() ? "online" : "offline";
    EXPECT_THAT(m_.new_uevents(), ElementsAre(verb + "@/devices/system/memory/memory33"));
  }

  test_machine m_{with_dimm(4)};
  std::string zones_;
};
INSTANTIATE_TEST_SUITE_P(Starts, FromEveryState, testing::ValuesIn(starts));

class StateOnline : public FromEveryState {};
INSTANTIATE_TEST_SUITE_P(Starts, StateOnline, testing::ValuesIn(starts));

TEST_P(StateOnline, WorksOnceWithEveryWordAndIsEinvalWhenOnline) {
  for (const auto& [word, zone] : {std::pair{"online"s, "Normal"},
                                   {"online_kernel"s, "Normal"},
                                   {"online_movable"s, "Movable"}})
    for (const std::string& text : {word, word + '\n', word + '\0', word + "\0x\n"s}) {
      expect("state", text, starts_offline() ? 0 : EINVAL, "online");
      if (!starts_offline()) continue;
      EXPECT_EQ(m_.zones(block), zone);
      EXPECT_EQ(m_.set(block, "offline"), 0);
      (void)m_.new_uevents();
    }
}

TEST_P(FromEveryState, StateOfflineWorksOnceAndIsEinvalWhenOffline) {
  expect("state", "offline", starts_offline() ? EINVAL : 0, "offline");
  EXPECT_EQ(m_.set(block, "offline\n"), EINVAL);
}

TEST_P(FromEveryState, StateRefusesEverythingElse) {
  for (const auto& text : {"going-offline"s, "online "s, "online\n\n"s, "online\r\n"s,
                           " online"s, "ONLINE"s, "onlin"s, "online_"s, "0"s, "1"s, "on"s,
                           "off"s, "\n"s, "\0online"s, "offline "s, "offline\n\n"s})
    expect("state", text, EINVAL, "");
}

TEST_P(FromEveryState, NothingWrittenIsNothingDone) {
  for (const char* file : {"state", "online"}) {
    const auto wrote = m_->write(test_machine::block(block, file), "");
    ASSERT_TRUE(wrote);
    EXPECT_EQ(*wrote, 0U);
  }
  expect_unchanged();
}

TEST_P(FromEveryState, OnlineTakesTruthValuesAndIsContentWithWhatIs) {
  const std::string file = test_machine::block(block, "online");
  // A start in Movable has left nothing behind that would send the block there again.
  for (const auto on : {"1", "y", "on", "online", "10", "true", "1 ", "1\n"}) {
    EXPECT_EQ(m_.write(file, "0"), 0);
    EXPECT_EQ(m_.read(file), "0");
    (void)m_.new_uevents();
    EXPECT_EQ(m_.write(file, "off"), 0);
    EXPECT_THAT(m_.new_uevents(), ElementsAre());
    EXPECT_EQ(m_.write(file, on), 0);
    EXPECT_EQ(m_.state(block), "online");
    EXPECT_EQ(m_.zones(block), "Normal");
    EXPECT_EQ(m_.read(file), "1");
    EXPECT_THAT(m_.new_uevents(), ElementsAre("online@/devices/system/memory/memory33"));
    EXPECT_EQ(m_.write(file, on), 0);
    EXPECT_THAT(m_.new_uevents(), ElementsAre());
  }
}

TEST_P(FromEveryState, OnlineRefusesEverythingElse) {
  for (const auto& text : {"o"s, "2"s, "-1"s, " 1"s, "x"s, "\n"s, "\0001"s})
    expect("online", text, EINVAL, "");
}

TEST_P(FromEveryState, ALongWriteIsCutToAPage) {
  const std::string word = starts_offline() ? "online" : "offline";
  const auto wrote = m_->write(test_machine::block(block, "state"),
                               word + '\0' + std::string(6000, 'x'));
  ASSERT_TRUE(wrote);
  EXPECT_EQ(*wrote, 4096U);
  EXPECT_EQ(m_.state(block), word);
}

TEST(MemoryBlock, RemembersAFailedOnlineTypeForOneWriteToOnline) {
  test_machine m{with_dimm(1)};
  const std::string online = test_machine::block(32, "online");
  EXPECT_EQ(m.set(32, "online_kernel"), 0);
  EXPECT_EQ(m.set(32, "online_movable"), EINVAL);
  EXPECT_EQ(m.zones(32), "Normal");
  EXPECT_EQ(m.write(online, "0"), 0);
  EXPECT_EQ(m.write(online, "1"), 0);
  EXPECT_EQ(m.zones(32), "Movable");
  EXPECT_EQ(m.write(online, "0"), 0);
  EXPECT_EQ(m.write(online, "1"), 0);
  EXPECT_EQ(m.zones(32), "Normal");
}

TEST(MemoryBlock, ShowsItsAttributes) {
  test_machine m{with_dimm(1)};
  const auto read = [&](std::string_view file) {
    return m.read(test_machine::block(32, file));
  };
  EXPECT_EQ(read("phys_index"), "00000020");
  EXPECT_EQ(read("phys_device"), "0");
  EXPECT_EQ(read("valid_zones"), "Normal Movable");
  EXPECT_EQ(read("uevent"), "");
  EXPECT_EQ(m.reserve(32), ENXIO);
  EXPECT_EQ(m.set(32, "online"), 0);
  EXPECT_EQ(m.reserve(32), 0);
  EXPECT_EQ(read("removable"), "1");  // whatever the block holds
  EXPECT_EQ(m.write(test_machine::block(32, "removable"), "1"), EACCES);
  EXPECT_EQ(m.memory("block_size_bytes"), "8000000");
}

TEST(MemoryBlock, OfBootThatSpansZonesOrHasHolesStaysOnline) {
  test_machine m;
  EXPECT_EQ(m.zones(0), "none");
  EXPECT_EQ(m.zones(7), "DMA32");
  for (const std::uint64_t id : {0, 7}) {
    EXPECT_EQ(m.state(id), "online");
    EXPECT_EQ(m.set(id, "offline"), EINVAL);
    EXPECT_EQ(m.state(id), "online");
  }
  EXPECT_EQ(m.set(2, "offline"), 0);
  EXPECT_EQ(m.zones(2), "DMA32 Movable");  // inside the span of DMA32
  EXPECT_EQ(m.set(2, "online"), 0);
  EXPECT_EQ(m.zones(2), "DMA32");
  EXPECT_EQ(m.set(3, "offline"), 0);
  EXPECT_EQ(m.zones(3), "Normal Movable");  // was its end, and is outside now
}

TEST(MemoryBlock, SendsSyntheticUevents) {
  test_machine m{with_dimm(1)};
  (void)m.new_uevents();
  EXPECT_EQ(m.write(test_machine::block(32, "uevent"), "change"), 0);
  EXPECT_THAT(m.new_uevents(), ElementsAre("change@/devices/system/memory/memory32"));
  EXPECT_EQ(m.write(test_machine::block(32, "uevent"), "garbage"), EINVAL);
  EXPECT_EQ(m.write("devices/system/memory/uevent", "change"), 0);
  EXPECT_THAT(m.new_uevents(), ElementsAre());
}

TEST(Probe, AddsOneBlockWhereNothingIs) {
  test_machine m;
  (void)m.new_uevents();
  EXPECT_EQ(m.probe(40), 0);
  EXPECT_THAT(m.new_uevents(), ElementsAre("add@/devices/system/memory/memory40"));
  EXPECT_EQ(m.state(40), "offline");
  EXPECT_EQ(m.probe(40), EEXIST);
  EXPECT_EQ(m.probe(0), EEXIST);                        // boot memory
  EXPECT_EQ(m.probe(0xb0000000 / block_size), EEXIST);  // MMIO
  EXPECT_EQ(m.probe(8192), EEXIST);                     // above the address window
  EXPECT_EQ(m.write("devices/system/memory/probe", "0x8000000000000"), EEXIST);
  EXPECT_EQ(m.write("devices/system/memory/probe", "0xfffffffff8000000"), E2BIG);
  EXPECT_EQ(m.write("devices/system/memory/probe", "0x100000001"), EINVAL);
  EXPECT_EQ(m.write("devices/system/memory/probe", "garbage"), EINVAL);
  EXPECT_EQ(m.write("devices/system/memory/probe", "0x10000000000000000"), ERANGE);
  EXPECT_EQ(m.read("devices/system/memory/probe"), "errno 13");
  EXPECT_FALSE(m.exists(test_machine::block(40, "firmware_node")));
}

TEST(Probe, IsMissingInAKernelWithoutIt) {
  machine_config config = two_nodes();
  config.probe = false;
  test_machine m{config};
  EXPECT_EQ(m.write("devices/system/memory/probe", "0x140000000"), ENOENT);
  EXPECT_TRUE(m.exists("devices/system/memory/soft_offline_page"));
}

TEST(Probe, AsksOnlyTheBootMemoryMapForTheNode) {
  test_machine m{
      {.nodes = 2, .memory = 2 * GiB}};  // node 0 below 2 GiB, node 1 from 4 on
  EXPECT_EQ(m.probe(16), 0);             // 2 GiB: in nobody's range
  EXPECT_EQ(m.probe(64), 0);
  EXPECT_TRUE(m.exists(test_machine::block(16, "node0")));
  EXPECT_TRUE(m.exists(test_machine::block(64, "node0")));
  EXPECT_TRUE(m.exists(test_machine::block(32, "node1")));
}

TEST(AutoOnline, TakesTheFourWordsAndDecidesWhatBecomesOfFreshMemory) {
  test_machine m;
  const std::string file = "devices/system/memory/auto_online_blocks";
  for (const auto bad : {"on", "1", "online ", "ONLINE", "\n"})
    EXPECT_EQ(m.write(file, bad), EINVAL);
  EXPECT_EQ(m.read(file), "offline");
  std::uint64_t id = 40;
  for (const auto& [word, zones] : {std::pair{"offline", "Normal Movable"},
                                    {"online", "Normal"},
                                    {"online_kernel", "Normal"},
                                    {"online_movable", "Movable"}}) {
    EXPECT_EQ(m.write(file, word), 0);
    EXPECT_EQ(m.read(file), word);
    EXPECT_EQ(m.probe(id), 0);
    EXPECT_EQ(m.zones(id++), zones);
  }
  EXPECT_EQ(m.inject("MEM_GOING_ONLINE", ENOMEM), 0);
  EXPECT_EQ(m.probe(id), 0);  // that the block stays offline is no error of the add
  EXPECT_EQ(m.state(id), "offline");
}

TEST(MemoryFailure, AnswersByTheStateOfThePage) {
  test_machine m{with_dimm(2)};
  EXPECT_EQ(m.set(33, "online"), 0);
  const auto soft = [&](const char* at) {
    return m.write("devices/system/memory/soft_offline_page", at);
  };
  const auto hard = [&](const char* at) {
    return m.write("devices/system/memory/hard_offline_page", at);
  };
  EXPECT_EQ(soft("garbage"), EINVAL);
  EXPECT_EQ(hard("garbage"), EINVAL);
  EXPECT_EQ(soft("0x100000000"), EIO);  // offline
  EXPECT_EQ(hard("0x100000000"), ENXIO);
  EXPECT_EQ(soft("0x200000000"), ENXIO);  // absent
  EXPECT_EQ(hard("0x200000000"), ENXIO);
  EXPECT_EQ(soft("0x108000000"), 0);
  EXPECT_EQ(hard("0x108000000"), 0);
}

}  // namespace
}  // namespace memhp
