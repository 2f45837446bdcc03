#include "emu/cpu_hotplug.h"

#include <fcntl.h>

#include "emu/cpu_device.h"
#include "tests/emu/machine_fixture.h"

namespace memhp {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// CPUs 0 and 2 in node 0, 1 and 3 in node 1.
machine_config four_cpus() {
  machine_config config = two_nodes();
  config.cpus = 4;
  return config;
}

int put(test_machine& m, unsigned cpu, std::string_view text) {
  return m.write(fmt::format("devices/system/cpu/cpu{}/online", cpu), text);
}
std::string cpu(test_machine& m, std::string_view file) {
  return m.read(fmt::format("devices/system/cpu/{}", file));
}

TEST(CpuOnlineFile, TakesACpuDownAndUp) {
  test_machine m{four_cpus()};
  m.new_uevents();
  EXPECT_EQ(cpu(m, "cpu1/online"), "1");
  EXPECT_EQ(put(m, 1, "0"), 0);
  EXPECT_EQ(cpu(m, "cpu1/online"), "0");
  EXPECT_EQ(put(m, 1, "0"), 0);  // being there already is success
  EXPECT_EQ(put(m, 1, "1"), 0);
  EXPECT_EQ(cpu(m, "cpu1/online"), "1");
  EXPECT_EQ(put(m, 1, "x"), EINVAL);
  EXPECT_THAT(m.new_uevents(), ElementsAre("offline@/devices/system/cpu/cpu1",
                                           "online@/devices/system/cpu/cpu1"));
}

TEST(CpuOnlineFile, IsMissingOnCpu0) {
  test_machine m{four_cpus()};
  EXPECT_FALSE(m.exists("devices/system/cpu/cpu0/online"));
  EXPECT_TRUE(m.exists("devices/system/cpu/cpu3/online"));
  EXPECT_EQ(error_of(remove_cpu(m.k(), 0)), EPERM);
  EXPECT_EQ(error_of(remove_cpu(m.k(), 4)), EINVAL);
}

TEST(CpuBus, ListsEveryCpu) {
  test_machine m{four_cpus()};
  EXPECT_THAT(m.children("bus/cpu/devices"),
              testing::UnorderedElementsAre("cpu0", "cpu1", "cpu2", "cpu3"));
  const auto target = [&](const char* path) {
    return m->sysfs().readlink(**m->sysfs().find(path));
  };
  EXPECT_EQ(target("bus/cpu/devices/cpu3"), "../../../devices/system/cpu/cpu3");
  EXPECT_EQ(target("devices/system/cpu/cpu3/subsystem"), "../../../../bus/cpu");
}

TEST(CpuBus, HasTheDriverThatModulesOfTheHostLinkTo) {
  test_machine m;
  const std::string driver = "bus/cpu/drivers/processor";
  EXPECT_THAT(m.children(driver),
              testing::UnorderedElementsAre("bind", "uevent", "unbind"));
  EXPECT_EQ(m.write(driver + "/bind", "cpu0"), ENODEV);
  EXPECT_EQ(m.write(driver + "/unbind", "cpu0"), ENODEV);
  EXPECT_EQ(m.write(driver + "/uevent", "add"), 0);
  EXPECT_EQ(m.write(driver + "/uevent", "garbage"), EINVAL);
}

TEST(CpuOffline, ShowsInEveryListOfCpus) {
  test_machine m{four_cpus()};
  EXPECT_EQ(put(m, 1, "0"), 0);
  EXPECT_EQ(put(m, 2, "0"), 0);
  EXPECT_EQ(cpu(m, "online"), "0,3");
  EXPECT_EQ(cpu(m, "offline"), "1-2");
  EXPECT_EQ(cpu(m, "present"), "0-3");
  EXPECT_EQ(cpu(m, "possible"), "0-3");
  EXPECT_EQ(m.node(0, "cpulist"), "0");
  EXPECT_EQ(m.node(0, "cpumap"), "1");
  EXPECT_EQ(m.node(1, "cpulist"), "3");
  EXPECT_EQ(cpu(m, "cpu3/topology/package_cpus_list"), "3");
  EXPECT_FALSE(m.exists("devices/system/cpu/cpu1/topology"));
  EXPECT_TRUE(m.exists("devices/system/node/node1/cpu1"));

  EXPECT_EQ(put(m, 3, "0"), 0);
  EXPECT_EQ(m.nodes("has_cpu"), "0");
  EXPECT_EQ(m.node(1, "cpulist"), "");
  for (const unsigned back : {1U, 2U, 3U}) EXPECT_EQ(put(m, back, "1"), 0);
  EXPECT_EQ(cpu(m, "online"), "0-3");
  EXPECT_EQ(cpu(m, "offline"), "");
  EXPECT_EQ(cpu(m, "cpu1/topology/core_siblings_list"), "1,3");
}

TEST(CpuOffline, KeepsANodeWhoseLastCpuWent) {
  machine_config config = two_nodes();
  config.node_cpus = {{0}, {1}};
  test_machine m{config};
  EXPECT_EQ(put(m, 1, "0"), 0);
  EXPECT_EQ(m.nodes("online"), "0-1");
}

TEST(CpuDown, RefusesTheLastOne) {
  hotplug_locks locks{patched};
  cpu_hotplug cpus{locks, 2};
  EXPECT_EQ(error_of(cpus.cpu_down(0)), 0);
  EXPECT_EQ(error_of(cpus.cpu_down(1)), EBUSY);
  EXPECT_TRUE(cpus.cpu_online(1));
  EXPECT_EQ(error_of(cpus.cpu_down(2)), EINVAL);
  EXPECT_EQ(error_of(cpus.cpu_up(2)), EINVAL);
}

// Steps that write down what they are called for.
class ladder {
 public:
  hotplug_locks locks{patched};
  cpu_hotplug cpus{locks, 2};
  std::vector<std::string> calls;
  std::string fails;  // the call that does

  void add(cpuhp_state state, std::string name) {
    const auto step = [this](std::string what) {
      return [this, what](unsigned cpu) -> result<> {
        locks.cpu_add_remove_lock.assert_held();
        locks.cpu_hotplug_lock.assert_held_write();
        calls.push_back(fmt::format("{} {}", what, cpu));
        if (what == fails) return fail(errc::not_enough_memory);
        return {};
      };
    };
    steps_.push_back(std::make_unique<cpuhp_step>(
        cpuhp_step{state, "test", step(name + " up"), step(name + " down")}));
    cpus.cpuhp_setup_state(*steps_.back());
  }
  void remove_all() {
    for (const auto& step : steps_) cpus.cpuhp_remove_state(*step);
  }

 private:
  std::vector<std::unique_ptr<cpuhp_step>> steps_;
};

TEST(Callbacks, RunFromTheTopOnTheWayDownAndFromTheBottomOnTheWayUp) {
  ladder l;
  l.add(cpuhp_state::ap_online_dyn, "high");
  l.add(cpuhp_state::slub_dead, "low");
  l.add(cpuhp_state::ap_online_dyn, "later");
  EXPECT_EQ(error_of(l.cpus.cpu_down(1)), 0);
  EXPECT_THAT(l.calls, ElementsAre("later down 1", "high down 1", "low down 1"));
  l.calls.clear();
  EXPECT_EQ(error_of(l.cpus.cpu_up(1)), 0);
  EXPECT_THAT(l.calls, ElementsAre("low up 1", "high up 1", "later up 1"));
  l.calls.clear();
  l.remove_all();
  EXPECT_EQ(error_of(l.cpus.cpu_down(1)), 0);
  EXPECT_THAT(l.calls, IsEmpty());
}

TEST(Callbacks, AreTakenBackAfterAnError) {
  ladder l;
  l.add(cpuhp_state::slub_dead, "low");
  l.add(cpuhp_state::topology_prepare, "middle");
  l.add(cpuhp_state::ap_online_dyn, "high");
  l.fails = "low down";
  EXPECT_EQ(error_of(l.cpus.cpu_down(1)), ENOMEM);
  EXPECT_TRUE(l.cpus.cpu_online(1));
  EXPECT_THAT(l.calls, ElementsAre("high down 1", "middle down 1", "low down 1",
                                   "middle up 1", "high up 1"));
  l.fails = "";
  EXPECT_EQ(error_of(l.cpus.cpu_down(1)), 0);
  l.calls.clear();
  l.fails = "middle up";
  EXPECT_EQ(error_of(l.cpus.cpu_up(1)), ENOMEM);
  EXPECT_FALSE(l.cpus.cpu_online(1));
  EXPECT_THAT(l.calls, ElementsAre("low up 1", "middle up 1", "low down 1"));
}

TEST(CpuOnlineFile, IsRefusedWithWhatACallbackReturned) {
  test_machine m{four_cpus()};
  const cpuhp_step veto{.state = cpuhp_state::ap_online_dyn,
                        .name = "veto",
                        .startup = nullptr,
                        .teardown = [](unsigned) -> result<> {
                          return fail(errc::device_or_resource_busy);
                        }};
  m.k().cpus.cpuhp_setup_state(veto);
  EXPECT_EQ(put(m, 1, "0"), EBUSY);
  EXPECT_EQ(cpu(m, "cpu1/online"), "1");
  EXPECT_TRUE(m.exists("devices/system/cpu/cpu1/topology/core_id"));
  m.k().cpus.cpuhp_remove_state(veto);
  EXPECT_EQ(put(m, 1, "0"), 0);
}

// As for memory: the store never waits for device_hotplug_lock with its file in hand.
TEST(CpuOnlineFile, IsStartedAgainWhileSomethingElseIsPlugged) {
  test_machine m{four_cpus()};
  task by;
  auto node = m->sysfs().find("devices/system/cpu/cpu1/online");
  ASSERT_TRUE(node);
  auto file = kernfs_open_file::open(**node, O_WRONLY);
  ASSERT_TRUE(file);
  {
    guard hold{m.k().locks.device_hotplug_lock};
    auto other =
        std::async(std::launch::async, [&] { return error_of((*file)->write("0", by)); });
    EXPECT_EQ(other.get(), static_cast<int>(restart_no_intr));
  }
  EXPECT_EQ(error_of((*file)->write("0", by)), 0);
}

TEST(CpuDown, WaitsForWhoReliesOnTheMask) {
  test_machine m{four_cpus()};
  std::future<int> down;
  {
    read_guard cpus{m.k().locks.cpu_hotplug_lock};
    down = std::async(std::launch::async, [&] { return put(m, 1, "0"); });
    // The writer has closed the lock to new readers and waits for us.
    EXPECT_TRUE(eventually([&] {
      const bool got = std::async(std::launch::async, [&] {
                         const bool free = m.k().locks.cpu_hotplug_lock.try_lock_shared();
                         if (free) m.k().locks.cpu_hotplug_lock.unlock_shared();
                         return free;
                       }).get();
      return !got;
    }));
    EXPECT_TRUE(m.k().cpus.cpu_online(1));
  }
  EXPECT_EQ(down.get(), 0);
  EXPECT_FALSE(m.k().cpus.cpu_online(1));
}

}  // namespace
}  // namespace memhp
