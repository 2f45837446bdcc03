#include <latch>

#include "locks/lock_stat.h"
#include "locks/lockdep.h"
#include "locks/lockdep_report.h"
#include "tests/emu/machine_fixture.h"

namespace memhp {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr lock_class_key outer_key{"proc_test_outer"};
constexpr lock_class_key inner_key{"proc_test_inner"};

class ProcFiles : public testing::Test {
 protected:
  ProcFiles() {
    lockdep::set_on(true);
    lock_stat::reset();
  }
  ~ProcFiles() override {
    lockdep::set_lock_stat(false);
    lockdep::set_on(false);
    lockdep::reset();
  }

  // Takes and gives back two locks, one in the other.
  void nest() {
    lockdep::acquire(outer, {});
    lockdep::acquire(inner, {.read = read_kind::read});
    lockdep::release(inner);
    lockdep::release(outer);
  }

  dep_map outer{outer_key};
  dep_map inner{inner_key};
  test_machine m;
};

TEST_F(ProcFiles, StandBesideDevicesAndInDebugfs) {
  for (const std::string top : {"proc/", "kernel/debug/memhp/proc/"})
    for (const std::string file : {"lockdep", "lockdep_chains", "lockdep_stats",
                                   "lock_stat", "kmsg", "sys/kernel/lock_stat"})
      EXPECT_TRUE(m.exists(top + file)) << top << file;
}

TEST_F(ProcFiles, LockdepShowsAnOrderThatWasSeen) {
  nest();
  EXPECT_THAT(
      m.read("proc/lockdep"),
      AllOf(StartsWith("all lock classes:\n"), HasSubstr(" +.+.: proc_test_outer\n"),
            HasSubstr("] proc_test_inner\n"), HasSubstr(" .+.+: proc_test_inner\n")));
  EXPECT_THAT(m.read("proc/lockdep_chains"),
              AllOf(StartsWith("all lock chains:\n"), HasSubstr("] proc_test_outer\n[")));
  EXPECT_THAT(m.read("proc/lockdep_stats"), HasSubstr("\n debug_locks:      "));
}

TEST_F(ProcFiles, ASysctlSwitchesLockStat) {
  EXPECT_EQ(m.read("proc/sys/kernel/lock_stat"), "0");
  EXPECT_EQ(m.write("proc/sys/kernel/lock_stat", "1\n"), 0);
  EXPECT_TRUE(lock_stat::on());
  EXPECT_EQ(m.read("proc/sys/kernel/lock_stat"), "1");
  EXPECT_EQ(m.write("proc/sys/kernel/lock_stat", "2"), EINVAL);
  EXPECT_EQ(m.write("proc/sys/kernel/lock_stat", "x"), EINVAL);
  EXPECT_EQ(m.write("proc/sys/kernel/lock_stat", "0"), 0);
  EXPECT_FALSE(lock_stat::on());
}

TEST_F(ProcFiles, WritingZeroClearsLockStat) {
  nest();
  lock_stat::released(outer.class_of().id, lock_stat::hold_mode::write, 1500);
  EXPECT_THAT(m.read("proc/lock_stat"),
              AllOf(StartsWith("lock_stat version 0.4\n---"),
                    HasSubstr(" proc_test_outer:             0 ")));
  EXPECT_EQ(m.write("proc/lock_stat", "1"), 0);
  EXPECT_THAT(m.read("proc/lock_stat"), HasSubstr("proc_test_outer"));
  EXPECT_EQ(m.write("proc/lock_stat", "0\n"), 0);
  EXPECT_THAT(m.read("proc/lock_stat"), Not(HasSubstr("proc_test_outer")));
}

TEST_F(ProcFiles, LockStatSaysThatTheValidatorIsOff) {
  EXPECT_THAT(m.read("proc/lock_stat"), Not(HasSubstr("*WARNING*")));
  lockdep::set_on(false);
  EXPECT_THAT(m.read("proc/lock_stat"), HasSubstr("\n*WARNING* lock debugging disabled"));
}

TEST_F(ProcFiles, LockStatCountsWithoutTheValidatorWhatTheKernelLocks) {
  lockdep::set_on(false);
  EXPECT_EQ(m.write("proc/sys/kernel/lock_stat", "1\n"), 0);
  EXPECT_EQ(m.write("devices/system/memory/memory5/state", "offline"), 0);
  const std::string text = m.read("proc/lock_stat");
  EXPECT_THAT(text, Not(HasSubstr("*WARNING*")));
  EXPECT_THAT(text, HasSubstr(" device_hotplug_lock:  "));
  EXPECT_EQ(m.write("proc/sys/kernel/lock_stat", "0\n"), 0);
}

TEST_F(ProcFiles, KmsgHasWhatTheKernelPrints) {
  const std::string before = m.read("proc/kmsg");
  m.k().printk("one line");
  m.k().printk("and\nmore\n", log_level::warning);
  const std::string after = m.read("proc/kmsg");
  EXPECT_THAT(after, StartsWith(before));
  EXPECT_THAT(after, HasSubstr(",-;one line\n"));
  EXPECT_THAT(after, AllOf(HasSubstr("4,"), HasSubstr(",-;and\n"), HasSubstr(",-;more")));
  EXPECT_THAT(m.log, testing::IsSupersetOf({"one line", "and", "more"}));
}

}  // namespace
}  // namespace memhp
