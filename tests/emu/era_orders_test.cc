// What every era holds while memory and slab caches come, go and change, against the
// table of the kernels. Recorded, not read from the rules: what the validator knows of
// the task at points where the kernel model calls out.
#include <algorithm>
#include <atomic>
#include <map>

#include "emu/eras.h"
#include "tests/emu/slab_fixture.h"
#include "tests/locks/recorded_reports.h"

namespace memhp {
namespace {

// Who is held, in short: RA an active reference, R() and W() the hotplug locks to read
// and to write; empty for a lock that is not looked at.
std::string short_name(std::string_view name, bool read) {
  const auto rw = [&](std::string_view lock) {
    return fmt::format("{}({})", read ? "R" : "W", lock);
  };
  if (name.starts_with("kn->") || name.starts_with("s_active")) return "RA";
  if (name == "device_hotplug_lock") return "dh";
  if (name == "&dev->mutex") return "dev";
  if (name == "memory_add_remove_lock") return "add_remove";
  if (name == "cpu_add_remove_lock") return "cpu_add_remove";
  if (name == "cpu_hotplug_lock" || name == "cpu_hotplug.dep_map") return rw("cpu");
  if (name == "mem_hotplug_lock") return rw("mem");
  // The mutex inside of the home-made one has its name.
  if (name == "mem_hotplug.lock") return rw("mem");
  if (name == "slab_mutex") return "slab";
  if (name == "jump_label_mutex") return "jump";
  return "";
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  std::string_view last;
  for (const std::string& name : names) {
    if (name.empty() || name == last) continue;
    text += text.empty() ? name : " " + name;
    last = name;
  }
  return text;
}

std::string held_now() {
  std::vector<std::string> names;
  for (const reported_lock& held : lockdep::held_locks())
    names.push_back(short_name(held.lock.name, held.read));
  return joined(names);
}

// What is held while the caller's part of the kernel takes `wanted` last: the deepest
// nesting that ends with it.
std::string nesting_before(std::string_view wanted) {
  std::string deepest;
  for (const auto& chain : lockdep::chains()) {
    if (lock_class_at(chain.back()).name != wanted) continue;
    std::vector<std::string> names;
    for (const std::uint32_t id : chain) {
      const lock_class& cls = lock_class_at(id);
      names.push_back(short_name(cls.name, !cls.usage().write));
    }
    const std::string text = joined(names);
    if (text.size() > deepest.size()) deepest = text;
  }
  return deepest;
}

class drain_observer final : public kernfs_observer {
 public:
  void node_added(kernfs_node&) override {}
  void node_removed(kernfs_node&) override {}
  void removal_begins(kernfs_node& node) override {
    if (std::string{node.name()} == wanted) held = held_now();
  }
  std::string wanted;
  std::string held = "not removed";
};

struct orders {
  std::string state, online, offline, probe, auto_online, eject, create, destroy, drain,
      debug, store, cpu_down;
};

machine_config of_era(const lock_rules& rules) {
  machine_config config = two_nodes();
  config.rules = rules;
  config.dimms = {{.size = 2 * block_size, .node = 0}};
  return config;
}

void record_memory(const lock_rules& rules, orders& seen) {
  const recorded_reports reports;
  test_machine m{of_era(rules)};
  std::string at_notifier;
  const memory_notifier notifier{
      .name = "recorder",
      .priority = 100,
      .call = [&](memory_event event, const memory_notify&) {
        if (event == memory_event::going_online || event == memory_event::going_offline)
          at_notifier = held_now();
        return result<>{};
      }};
  m.k().memory_chain.add(notifier);
  const auto notified_in = [&](int error) {
    EXPECT_EQ(error, 0);
    return std::exchange(at_notifier, "not called");
  };
  // Behind the rwsem of the chain nothing that is looked at is taken.
  seen.state = notified_in(m.set(32, "online"));
  seen.offline = notified_in(m.set(32, "offline"));
  seen.online = notified_in(m.write(test_machine::block(33, "online"), "1"));

  m.on_uevent = [&](const std::string& event) {
    if (event.starts_with("add@/devices/system/memory/")) seen.probe = held_now();
  };
  EXPECT_EQ(m.write(std::string{memory_dir} + "/auto_online_blocks", "online"), 0);
  seen.auto_online = notified_in(m.probe(48));
  m.on_uevent = nullptr;

  drain_observer drains;
  drains.wanted = "state";
  m->sysfs().set_observer(&drains);
  EXPECT_EQ(m.eject(0), 0);
  m->sysfs().set_observer(nullptr);
  seen.eject = drains.held;
  m.k().memory_chain.remove(notifier);
}

void record_slab(const lock_rules& rules, orders& seen) {
  const recorded_reports reports;
  slab_machine m{of_era(rules)};
  lockdep::reset();
  const cache_ref cache = m.create("box", {.object_size = 256});
  seen.create = nesting_before("slab_mutex");
  lockdep::reset();
  (void)m.create("checked", {.object_size = 64, .flags = slab_store_user});
  seen.debug = nesting_before("jump_label_mutex");
  lockdep::reset();
  EXPECT_EQ(m.put("box", "min_partial", "7"), 0);
  seen.store = nesting_before("slab_mutex");
  lockdep::reset();
  drain_observer drains;
  drains.wanted = "box";
  m->sysfs().set_observer(&drains);
  EXPECT_EQ(error_of(m.slab().kmem_cache_destroy(cache)), 0);
  seen.destroy = nesting_before("slab_mutex");
  m->flush_workqueues();
  m->sysfs().set_observer(nullptr);
  seen.drain = drains.held;
  lockdep::reset();
  EXPECT_EQ(m.write("devices/system/cpu/cpu1/online", "0"), 0);
  seen.cpu_down = nesting_before("slab_mutex");
}

// The rows. Each era is written as what is new in it.
std::vector<std::pair<std::string_view, orders>> expected_orders() {
  std::vector<std::pair<std::string_view, orders>> rows;
  // online, probe and remove of the 3.16 to 4.0 column, slab as until 5.11.
  orders now{.state = "RA dh dev W(mem)",
             .online = "RA dh dev W(mem)",
             .offline = "RA dh dev W(mem)",
             .probe = "RA W(mem)",
             .auto_online = "RA dev W(mem)",
             .eject = "dh W(mem)",
             .create = "R(cpu) R(mem) slab",
             .destroy = "R(cpu) R(mem) slab",
             .drain = "",
             .debug = "",
             .store = "RA slab",
             .cpu_down = "RA dh dev cpu_add_remove W(cpu) slab"};
  const auto era = [&](std::string_view name) { rows.emplace_back(name, now); };
  era("v3.19");
  now.state = now.offline = "RA dh W(mem) dev";
  now.online = "RA dh dev";
  now.auto_online = "RA W(mem) dev";
  era("30467e0b3be8");
  now.drain = "R(cpu) R(mem) slab";
  era("bf5eb3de3847");
  now.state = now.offline = "RA dh add_remove W(mem) dev";
  now.probe = "RA add_remove W(mem)";
  now.auto_online = "RA add_remove W(mem) dev";
  now.eject = "dh add_remove W(mem)";
  era("55adc1d05dca");
  now.drain = "";
  era("3b7b314053d0");
  now.state = now.offline = "RA dh R(cpu) W(mem) dev";
  now.probe = "RA R(cpu) W(mem)";
  now.auto_online = "RA R(cpu) W(mem) dev";
  now.eject = "dh R(cpu) W(mem)";
  era("3f906ba23689");
  now.drain = "R(cpu) R(mem) slab";
  era("d50d82faa0c9");
  era("d15e59260f62");
  now.probe = "RA dh R(cpu) W(mem)";
  now.auto_online = "RA dh R(cpu) W(mem) dev";
  era("8df1d0e4a265");
  now.state = now.offline = now.online = now.auto_online = "RA dh dev R(cpu) W(mem)";
  era("381eab4a6ee8");
  era("cec1680591d6");
  era("5666848774ef");
  now.eject = "dh";
  era("f1037ec0cc8a");
  now.store = "";
  era("9855609bde03");
  now.create = now.destroy = now.drain = "R(cpu) slab";
  era("7e1fa93deff4");
  now.create = now.destroy = now.drain = "slab";
  era("59450bbc12be");
  now.debug = "slab R(cpu) jump";
  era("1f0723a4c0df");
  now.debug = "R(cpu) jump";
  era("afe0c26d1968");
  now.destroy = now.drain = "R(cpu) slab";
  era("5a836bf6b09f");
  now.drain = "";
  era("0495e337b703");
  era("2d7f9f8c1815");
  now.eject = "dh R(cpu) W(mem)";
  era("6b8f0798b85a");
  now.eject = "dh";
  now.store = "RA slab";
  era("patched");
  return rows;
}

TEST(EraOrders, AreThoseOfTheKernels) {
  const auto rows = expected_orders();
  ASSERT_EQ(rows.size(), kernel_eras().size() + 1);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto& [name, expected] = rows[i];
    if (i < kernel_eras().size()) {
      EXPECT_EQ(kernel_eras()[i].rules.era, name);
    }
    SCOPED_TRACE(name);
    const lock_rules& rules = *find_era(name);
    orders seen;
    record_memory(rules, seen);
    record_slab(rules, seen);
    EXPECT_EQ(seen.state, expected.state);
    EXPECT_EQ(seen.online, expected.online);
    EXPECT_EQ(seen.offline, expected.offline);
    EXPECT_EQ(seen.probe, expected.probe);
    EXPECT_EQ(seen.auto_online, expected.auto_online);
    EXPECT_EQ(seen.eject, expected.eject);
    EXPECT_EQ(seen.create, expected.create);
    EXPECT_EQ(seen.destroy, expected.destroy);
    EXPECT_EQ(seen.drain, expected.drain);
    EXPECT_EQ(seen.debug, expected.debug);
    EXPECT_EQ(seen.store, expected.store);
    EXPECT_EQ(seen.cpu_down, expected.cpu_down);
  }
}

// --- which of them the validator complains about ---------------------------------------

// Everything once, on one thread.
void use_memory(const machine_config& config) {
  test_machine m{config};
  EXPECT_EQ(m.set(32, "online"), 0);
  EXPECT_EQ(m.set(32, "offline"), 0);
  EXPECT_EQ(m.write(test_machine::block(33, "online"), "1"), 0);
  EXPECT_EQ(m.write(std::string{memory_dir} + "/auto_online_blocks", "online"), 0);
  EXPECT_EQ(m.probe(48), 0);
  EXPECT_EQ(m.eject(0), 0);
}
void use_caches(const machine_config& config) {
  slab_machine m{config};
  const cache_ref cache = m.create("box", {.object_size = 256});
  EXPECT_EQ(m.put("box", "min_partial", "7"), 0);
  EXPECT_EQ(m.put("box", "shrink", "1"), 0);
  EXPECT_EQ(m.set(6, "offline"), 0);
  EXPECT_EQ(m.write("devices/system/cpu/cpu1/online", "0"), 0);
  (void)m.create("checked", {.object_size = 64, .flags = slab_store_user});
  EXPECT_EQ(error_of(m.slab().kmem_cache_destroy(cache)), 0);
  m->flush_workqueues();
}

// The locks of the first cycle that is reported, sorted; empty if there is none.
std::string cycle_of(void (*use)(const machine_config&), const lock_rules& rules) {
  const recorded_reports reports;
  use(of_era(rules));
  for (const lockdep_report& report : reports.all())
    if (const auto* cycle = std::get_if<circular_report>(&report)) {
      std::vector<std::string> names;
      for (const auto& link : cycle->chain)
        names.push_back(short_name(link.lock.name, false));
      std::ranges::sort(names);
      return joined(names);
    }
  return "";
}

TEST(EraOrders, CyclesOfRemovalsAreReportedUntilSeed000) {
  for (const kernel_era& era : kernel_eras()) {
    const std::string cycle = cycle_of(use_memory, era.rules);
    const bool before = &era < &seed_era(0, seed_side::after);
    if (before) {
      EXPECT_THAT(cycle,
                  testing::AllOf(testing::HasSubstr("RA"), testing::HasSubstr("W(mem)")))
          << era.rules.era;
    } else {
      EXPECT_EQ(cycle, "") << era.rules.era;
    }
  }
  EXPECT_EQ(cycle_of(use_memory, patched), "");
}

TEST(EraOrders, CyclesOfSlabCachesAreReportedWhereTheyWere) {
  const std::map<std::string_view, std::string_view> cycles = {
      {"bf5eb3de3847", "RA slab"},                                      // seed 004
      {"55adc1d05dca", "RA slab"},        {"d50d82faa0c9", "RA slab"},  // again
      {"d15e59260f62", "RA slab"},        {"8df1d0e4a265", "RA slab"},
      {"381eab4a6ee8", "RA slab"},        {"cec1680591d6", "RA slab"},
      {"5666848774ef", "RA slab"},        {"f1037ec0cc8a", "RA slab"},
      {"1f0723a4c0df", "W(cpu) slab"},     // seed 003
      {"5a836bf6b09f", "RA W(cpu) slab"},  // until 0495e337b703
  };
  for (const kernel_era& era : kernel_eras()) {
    const auto hit = cycles.find(era.rules.era);
    EXPECT_EQ(cycle_of(use_caches, era.rules),
              hit != cycles.end() ? hit->second : std::string_view{})
        << era.rules.era;
  }
  EXPECT_EQ(cycle_of(use_caches, patched), "");
}

// What makes today's order quiet is that nobody is inside a file: a reader who is makes
// the cycle seen.
TEST(EraOrders, TodaysRemovalIsReportedIfItFindsSomebodyInAFile) {
  const recorded_reports quiet;
  std::atomic<int> reports = 0;
  auto former = lockdep::set_reporter([&](const lockdep_report&) { ++reports; });
  test_machine m{of_era(*find_era("today"))};
  EXPECT_EQ(m.set(32, "online"), 0);
  EXPECT_EQ(m.set(32, "offline"), 0);
  // A writer that is inside `state` of the other block when its removal waits for it.
  const kernfs_ref node = *m->sysfs().find(test_machine::block(33, "state"));
  ASSERT_TRUE(node->get_active());
  auto removed = std::async(std::launch::async, [&] { return m.eject(0); });
  EXPECT_TRUE(eventually([&] { return !node->active(); }));
  EXPECT_TRUE(eventually([&] { return reports != 0; }));
  node->put_active();
  EXPECT_EQ(removed.get(), 0);
  lockdep::set_reporter(std::move(former));
}

}  // namespace
}  // namespace memhp
