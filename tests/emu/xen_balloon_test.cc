// What the Xen balloon takes, gives back and adds.
#include "emu/xen_balloon.h"

#include "tests/emu/machine_fixture.h"

namespace memhp {
namespace {

constexpr const char* dir = "devices/system/xen_memory/xen_memory0";

machine_config xen(std::string auto_online = "offline") {
  machine_config config = two_nodes();
  config.platform = platform_kind::xen;
  config.auto_online = std::move(auto_online);
  return config;
}

class xen_machine : public test_machine {
 public:
  explicit xen_machine(machine_config config = xen()) : test_machine{std::move(config)} {}

  std::uint64_t kb(const std::string& file) {
    return std::stoull(read(fmt::format("{}/{}", dir, file)));
  }
  int target(std::uint64_t kib) {
    const int set = write(fmt::format("{}/target_kb", dir), std::to_string(kib));
    (*this)->flush_workqueues();
    return set;
  }
  std::uint64_t used() { return k().nodes[0]->used_pages + k().nodes[1]->used_pages; }
};

constexpr std::uint64_t block_kib = block_size / KiB;

TEST(XenBalloon, IsThereOnXenOnlyAndBeginsWithBootMemory) {
  test_machine pc;
  EXPECT_FALSE(pc.exists("devices/system/xen_memory"));
  xen_machine m;
  const std::uint64_t boot = m.mem_total_kib(0) + m.mem_total_kib(1);
  EXPECT_EQ(m.kb("info/current_kb"), m.kb("target_kb"));
  EXPECT_GE(m.kb("info/current_kb"), boot);
  EXPECT_EQ(m.kb("info/low_kb"), 0U);
  EXPECT_EQ(m.kb("info/high_kb"), 0U);
  EXPECT_EQ(m.kb("target"), m.kb("target_kb") * KiB);
  EXPECT_EQ(m.kb("schedule_delay"), 1U);
}

TEST(XenBalloon, ALowerTargetTakesPagesAndAHigherGivesThemBack) {
  xen_machine m;
  const std::uint64_t boot = m.kb("target_kb");
  const std::uint64_t used = m.used();
  EXPECT_EQ(m.target(boot - block_kib), 0);
  EXPECT_EQ(m.kb("info/current_kb"), boot - block_kib);
  EXPECT_EQ(m.kb("info/low_kb"), block_kib);
  EXPECT_EQ(m.used() - used, block_pages);
  // memory6: the highest without a hole. Its pages are the balloon's.
  EXPECT_EQ(m.set(6, "offline"), EBUSY);
  EXPECT_EQ(m.set(5, "offline"), 0);
  EXPECT_EQ(m.set(5, "online"), 0);  // Xen's pages come back to the balloon first,
  m->flush_workqueues();             // which the target leaves there
  EXPECT_EQ(m.kb("info/low_kb"), 2 * block_kib);
  EXPECT_EQ(m.target(boot + block_kib), 0);
  EXPECT_EQ(m.kb("info/low_kb"), 0U);
  EXPECT_EQ(m.used(), used);
  EXPECT_EQ(m.set(6, "offline"), 0);
}

TEST(XenBalloon, ATargetBeyondWhatThereIsAddsSections) {
  xen_machine m;
  const std::uint64_t boot = m.kb("target_kb");
  EXPECT_EQ(m.target(boot + block_kib + 4), 0);  // one page more than a block
  EXPECT_EQ(m.state(32), "offline");
  EXPECT_EQ(m.state(33), "offline");
  EXPECT_FALSE(m.exists(test_machine::block(34, "state")));
  EXPECT_EQ(m.kb("info/current_kb"), boot);
  EXPECT_EQ(m.target(boot + block_kib + 4), 0);  // has been added: nothing twice
  EXPECT_FALSE(m.exists(test_machine::block(34, "state")));
  EXPECT_EQ(m.set(32, "online_movable"), 0);
  m->flush_workqueues();
  EXPECT_EQ(m.kb("info/current_kb"), boot + block_kib);
  EXPECT_EQ(m.set(33, "online"), 0);
  m->flush_workqueues();
  EXPECT_EQ(m.kb("info/current_kb"), boot + block_kib + 4);
  EXPECT_EQ(m.kb("info/low_kb"), block_kib - 4);
  EXPECT_EQ(m.zone_of(0, zone_type::movable).pages().present, block_pages);
  EXPECT_EQ(m.set(33, "offline"), EBUSY);
  EXPECT_EQ(m.set(32, "offline"), 0);
  EXPECT_EQ(m.debug("remove_block", "32"), 0);
}

TEST(XenBalloon, OnlinesWhatItAddsAsThePolicySays) {
  xen_machine m{xen("online_kernel")};
  const std::uint64_t boot = m.kb("target_kb");
  const std::string path = std::string{dir} + "/target";
  EXPECT_EQ(m.write(path, fmt::format("{}K", boot + 2 * block_kib)), 0);
  m->flush_workqueues();
  EXPECT_EQ(m.zones(32), "Normal");
  EXPECT_EQ(m.zones(33), "Normal");
  EXPECT_EQ(m.kb("info/current_kb"), boot + 2 * block_kib);
  EXPECT_EQ(m.kb("info/low_kb"), 0U);
  EXPECT_EQ(m.write(path, "many"), EINVAL);
}

TEST(XenBalloon, TakesWhatThereIsAndTriesAgainForTheRest) {
  std::vector<unsigned> timers;
  std::function<void()> retry;
  machine_environment environment;
  environment.after = [&](unsigned ms, std::function<void()> function) {
    timers.push_back(ms);
    retry = std::move(function);
  };
  auto m = *machine::boot(xen(), environment);
  ASSERT_TRUE(m->write(std::string{dir} + "/target_kb", "0"));
  m->flush_workqueues();
  EXPECT_NE(*m->read(std::string{dir} + "/info/low_kb"), "0\n");
  EXPECT_NE(*m->read(std::string{dir} + "/info/current_kb"), "0\n");
  for (int i = 0; i < 2; ++i) {
    retry();
    m->flush_workqueues();
  }
  EXPECT_THAT(timers, testing::ElementsAre(2000U, 4000U, 8000U));
  retry();  // once more than max_retry_count
  m->flush_workqueues();
  EXPECT_EQ(timers.size(), 3U);
}

TEST(XenBalloon, GivesUpWhereThereIsNoRoom) {
  machine_config config = xen();
  config.max_memory = 8 * GiB;
  xen_machine m{config};
  EXPECT_EQ(m.target(16 * GiB / KiB), 0);  // not the writer's business
  EXPECT_THAT(m.log.back(),
              testing::HasSubstr("Cannot allocate new System RAM resource"));
  EXPECT_FALSE(m.exists(test_machine::block(32, "state")));
}

}  // namespace
}  // namespace memhp
