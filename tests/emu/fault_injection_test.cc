#include "emu/fault_injection.h"

#include "tests/emu/machine_fixture.h"

namespace memhp {
namespace {

class Faults : public testing::Test {
 protected:
  int set_fault(std::string_view fault, std::string_view file, std::string_view text) {
    return m_.debug(fmt::format("{}/{}", fault, file), text);
  }
  std::string fault(std::string_view name, std::string_view file) {
    return m_.read(fmt::format("kernel/debug/memhp/{}/{}", name, file));
  }
  void always(std::string_view name) {
    ASSERT_EQ(set_fault(name, "probability", "100"), 0);
    ASSERT_EQ(set_fault(name, "times", "-1"), 0);
  }
  test_machine m_{with_dimm(3)};
};

TEST_F(Faults, AreOffAndHaveTheKernelsDefaults) {
  for (const auto* name :
       {"fail_populate", "fail_notifier", "slow_populate", "slow_migrate"}) {
    EXPECT_EQ(fault(name, "probability"), "0");
    EXPECT_EQ(fault(name, "interval"), "1");
    EXPECT_EQ(fault(name, "times"), "1");
  }
  EXPECT_EQ(fault("fail_notifier", "error"), "-1");
  EXPECT_EQ(fault("slow_migrate", "delay_ms"), "0");
  EXPECT_EQ(m_.set(33, "online"), 0);
}

TEST_F(Faults, TakeNoNonsense) {
  EXPECT_EQ(set_fault("fail_populate", "probability", "101"), EINVAL);
  EXPECT_EQ(set_fault("fail_populate", "probability", "-1"), EINVAL);
  EXPECT_EQ(set_fault("fail_populate", "probability", "x"), EINVAL);
  EXPECT_EQ(set_fault("fail_populate", "interval", "0"), EINVAL);
  EXPECT_EQ(set_fault("fail_populate", "times", "-2"), EINVAL);
  EXPECT_EQ(set_fault("fail_notifier", "error", "0"), EINVAL);
  EXPECT_EQ(set_fault("slow_populate", "delay_ms", "10001"), EINVAL);
}

TEST_F(Faults, FailPopulateIsENOMEMAndTheBlockStaysOffline) {
  always("fail_populate");
  EXPECT_EQ(m_.set(33, "online"), ENOMEM);
  EXPECT_EQ(m_.state(33), "offline");
  EXPECT_EQ(set_fault("fail_populate", "probability", "0"), 0);
  EXPECT_EQ(m_.set(33, "online"), 0);
}

TEST_F(Faults, FailNotifierVetoesBothWaysWithItsError) {
  EXPECT_EQ(m_.set(33, "online"), 0);
  always("fail_notifier");
  EXPECT_EQ(m_.set(33, "offline"), EPERM);
  EXPECT_EQ(m_.state(33), "online");
  EXPECT_EQ(set_fault("fail_notifier", "error", "-16"), 0);
  EXPECT_EQ(m_.set(34, "online"), EBUSY);
  EXPECT_EQ(m_.state(34), "offline");
}

TEST_F(Faults, HappenSoManyTimesAndNoMore) {
  always("fail_populate");
  EXPECT_EQ(set_fault("fail_populate", "times", "2"), 0);
  EXPECT_EQ(m_.set(33, "online"), ENOMEM);
  EXPECT_EQ(m_.set(33, "online"), ENOMEM);
  EXPECT_EQ(fault("fail_populate", "times"), "0");
  EXPECT_EQ(m_.set(33, "online"), 0);
}

TEST_F(Faults, HappenAtEveryNthChance) {
  always("fail_populate");
  EXPECT_EQ(set_fault("fail_populate", "interval", "3"), 0);
  EXPECT_EQ(m_.set(32, "online"), 0);
  EXPECT_EQ(m_.set(33, "online"), 0);
  EXPECT_EQ(m_.set(34, "online"), ENOMEM);
  EXPECT_EQ(m_.set(34, "online"), 0);
}

TEST_F(Faults, HappenAboutAsOftenAsTheirProbability) {
  fault_attr attr;
  attr.probability = 20;
  attr.times = -1;
  int happened = 0;
  for (int i = 0; i < 10'000; ++i) happened += attr.should_fail() ? 1 : 0;
  EXPECT_GT(happened, 1800);
  EXPECT_LT(happened, 2200);
}

// A machine whose pauses are counted, and may do something.
class Delays : public testing::Test {
 protected:
  Delays() {
    machine_environment environment;
    environment.pause = [this](unsigned ms) {
      paused_ms += ms;
      if (while_paused) while_paused();
    };
    auto booted = machine::boot(two_nodes(), environment);
    EXPECT_TRUE(booted.has_value());
    m = std::move(*booted);
  }
  void always(const std::string& fault, std::string_view delay_ms) {
    const std::string dir = "kernel/debug/memhp/" + fault + "/";
    EXPECT_TRUE(m->write(dir + "times", "-1"));
    EXPECT_TRUE(m->write(dir + "delay_ms", delay_ms));
    EXPECT_TRUE(m->write(dir + "probability", "100"));
  }
  std::function<void()> while_paused;
  unsigned paused_ms = 0;
  std::unique_ptr<machine> m;
  const std::string state = test_machine::block(2, "state");
};

TEST_F(Delays, SlowMigrateDelaysAnOfflineInGoingOffline) {
  always("slow_migrate", "25");
  std::string seen;
  while_paused = [&] { seen = *m->read(state); };
  EXPECT_TRUE(m->write(state, "offline"));
  EXPECT_EQ(paused_ms, 25U);
  EXPECT_EQ(seen, "going-offline\n");
}

TEST_F(Delays, ASignalEndsASlowMigration) {
  always("slow_migrate", "10000");
  task by;
  while_paused = [&] { by.signal(); };
  EXPECT_EQ(error_of(m->write(state, "offline", by)), EINTR);
  EXPECT_EQ(paused_ms, 10U);
  EXPECT_EQ(*m->read(state), "online\n");
}

TEST_F(Delays, SlowPopulateDelaysAnOnline) {
  EXPECT_TRUE(m->write(state, "offline"));
  EXPECT_EQ(paused_ms, 0U);
  always("slow_populate", "30");
  EXPECT_TRUE(m->write(state, "online"));
  EXPECT_EQ(paused_ms, 30U);
}

}  // namespace
}  // namespace memhp
