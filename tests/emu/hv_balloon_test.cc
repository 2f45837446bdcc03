// What the Hyper-V balloon's worker adds, and when it goes on.
#include "emu/hv_balloon.h"

#include "tests/emu/machine_fixture.h"

namespace memhp {
namespace {

using testing::HasSubstr;

machine_config hyperv() {
  machine_config config = two_nodes();
  config.platform = platform_kind::hyperv;
  return config;
}

class hv_machine : public test_machine {
 public:
  explicit hv_machine(machine_config config = hyperv())
      : test_machine{std::move(config)} {}

  // Asks for blocks from 32 on and lets the worker run as far as it gets.
  int hot_add(std::uint64_t blocks, std::uint64_t first = 32) {
    const int asked =
        debug("hv_balloon",
              fmt::format("hot_add {:#x} {}", first * block_size, blocks * block_pages));
    (*this)->flush_workqueues();
    return asked;
  }
  std::string status() { return read("kernel/debug/memhp/hv_balloon"); }
};

TEST(HvBalloon, IsThereOnHyperVOnly) {
  test_machine pc;
  EXPECT_FALSE(pc.exists("kernel/debug/memhp/hv_balloon"));
  hv_machine m;
  EXPECT_EQ(m.status(), "hot_add_enabled 1\nrequested 0\nonlined 0\nwaiting 0");
}

TEST(HvBalloon, WaitsAfterEachSectionUntilABlockIsOnline) {
  hv_machine m;
  EXPECT_EQ(m.hot_add(2), 0);
  EXPECT_EQ(m.state(32), "offline");
  EXPECT_FALSE(m.exists(test_machine::block(33, "state")));
  EXPECT_THAT(m.status(), HasSubstr("requested 32768\nonlined 0\nwaiting 1"));
  EXPECT_EQ(m.set(32, "online_movable"), 0);
  m->flush_workqueues();
  EXPECT_EQ(m.state(33), "offline");
  EXPECT_THAT(m.status(), HasSubstr("requested 0\nonlined 32768\nwaiting 1"));
  EXPECT_EQ(m.set(33, "online"), 0);
  m->flush_workqueues();
  EXPECT_THAT(m.status(), HasSubstr("requested 0\nonlined 65536\nwaiting 0"));
  EXPECT_EQ(m.zone_of(0, zone_type::movable).pages().present, block_pages);
  EXPECT_EQ(m.zone_of(0, zone_type::normal).pages().present, block_pages);
  EXPECT_EQ(m.set(32, "offline"), 0);
  EXPECT_THAT(m.status(), HasSubstr("onlined 32768"));
  EXPECT_EQ(m.debug("remove_block", "32"), 0);
  EXPECT_EQ(m.state(32), "errno 2");
}

TEST(HvBalloon, GoesOnWithoutTheOnliningAfterItsTimeout) {
  hv_machine m;
  EXPECT_EQ(m.debug("hv_balloon", "expire"), ESRCH);
  EXPECT_EQ(m.hot_add(2), 0);
  EXPECT_EQ(m.debug("hv_balloon", "expire"), 0);
  m->flush_workqueues();
  EXPECT_EQ(m.state(32), "offline");
  EXPECT_EQ(m.state(33), "offline");
}

// The timer is the environment's, and one that comes late ends no other wait.
TEST(HvBalloon, ATimerEndsItsOwnWaitOnly) {
  std::vector<std::pair<unsigned, std::function<void()>>> timers;
  machine_environment environment;
  environment.after = [&](unsigned ms, std::function<void()> function) {
    timers.emplace_back(ms, std::move(function));
  };
  auto m = *machine::boot(hyperv(), environment);
  const auto exists = [&](int id) {
    return m->sysfs()
        .find(test_machine::block(static_cast<std::uint64_t>(id), "state"))
        .has_value();
  };
  ASSERT_TRUE(m->write("kernel/debug/memhp/hv_balloon", "hot_add 0x100000000 98304"));
  m->flush_workqueues();
  ASSERT_EQ(timers.size(), 1U);
  EXPECT_EQ(timers[0].first, 5000U);
  timers[0].second();
  m->flush_workqueues();
  EXPECT_TRUE(exists(33));
  timers[0].second();  // once more, while the second wait is on
  m->flush_workqueues();
  EXPECT_FALSE(exists(34));
  timers[1].second();
  m->flush_workqueues();
  EXPECT_TRUE(exists(34));
}

TEST(HvBalloon, DoesNotWaitForWhatWentOnlineWithTheAdding) {
  machine_config config = hyperv();
  config.auto_online = "online";
  hv_machine m{config};
  EXPECT_EQ(m.hot_add(4), 0);
  for (const int id : {32, 33, 34, 35})
    EXPECT_EQ(m.state(static_cast<std::uint64_t>(id)), "online");
  EXPECT_THAT(m.status(), HasSubstr("onlined 131072\nwaiting 0"));
}

TEST(HvBalloon, AFailedOnliningEndsTheWaitAsWell) {
  hv_machine m;
  EXPECT_EQ(m.hot_add(2), 0);
  EXPECT_EQ(m.inject("MEM_GOING_ONLINE", ENOMEM), 0);
  EXPECT_EQ(m.set(32, "online"), ENOMEM);
  m->flush_workqueues();
  EXPECT_EQ(m.state(33), "offline");
}

TEST(HvBalloon, StopsForGoodWhereSomethingElseIs) {
  hv_machine m;
  EXPECT_EQ(m.probe(33), 0);
  EXPECT_EQ(m.hot_add(4), 0);
  EXPECT_EQ(m.debug("hv_balloon", "expire"), 0);
  m->flush_workqueues();
  EXPECT_FALSE(m.exists(test_machine::block(34, "state")));
  EXPECT_THAT(m.log.back(), HasSubstr("hv_balloon: hot_add memory failed error is -17"));
  EXPECT_THAT(m.status(), HasSubstr("hot_add_enabled 0\nrequested 0"));
  EXPECT_EQ(m.hot_add(1, 40), EPERM);
}

TEST(HvBalloon, RefusesWhatIsNoSection) {
  hv_machine m;
  EXPECT_EQ(m.debug("hv_balloon", "hot_add 0x100001000 32768"), EINVAL);
  EXPECT_EQ(m.debug("hv_balloon", "hot_add 0x100000000 1"), EINVAL);
  EXPECT_EQ(m.debug("hv_balloon", "hot_add 0x100000000 0"), EINVAL);
  EXPECT_EQ(m.debug("hv_balloon", "hot_add 0xffffffffff8000000 32768"), EINVAL);
  EXPECT_EQ(m.debug("hv_balloon", "hot_add 0 0xffffffffffff8000"), EINVAL);
  EXPECT_EQ(m.debug("hv_balloon", "hot_add"), EINVAL);
  EXPECT_EQ(m.debug("hv_balloon", "balloon 1 1"), EINVAL);
}

}  // namespace
}  // namespace memhp
