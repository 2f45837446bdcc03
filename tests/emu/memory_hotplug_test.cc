// Adding, removing, onlining and offlining: what they leave behind, and what a refusal
// leaves alone. The lock rules are in memory_hotplug_rules_test.cc.
#include "emu/memory_hotplug.h"

#include <map>

#include "tests/emu/machine_fixture.h"

namespace memhp {
namespace {

using testing::ElementsAre;

// Memory that keeps count, and runs out when told.
class counting_memory final : public phys_memory {
 public:
  std::map<std::uint64_t, int> given;  // by block
  bool empty = false;

  result<> populate(phys_range range, int nid) override {
    if (empty) return fail(errc::not_enough_memory);
    for (std::uint64_t at = range.start.value; at < range.end().value; at += block_size)
      EXPECT_TRUE(given.emplace(at / block_size, nid).second) << "given twice";
    return {};
  }
  void depopulate(phys_range range) override {
    EXPECT_EQ(range.size, block_size);
    EXPECT_EQ(given.erase(range.start.value / block_size), 1U)
        << "taken without being given";
  }
  std::byte* address(phys_addr) const override { return nullptr; }
  std::uint64_t resident_bytes() const override { return given.size() * block_size; }
};

TEST(Populate, BlocksHavePagesExactlyWhileTheyAreOnline) {
  counting_memory memory;
  test_machine m{with_dimm(2), &memory};
  EXPECT_EQ(memory.given.size(), 8U);  // boot memory; the DIMM is offline
  EXPECT_EQ(m.set(33, "online"), 0);
  EXPECT_EQ(memory.given.at(33), 2);
  EXPECT_EQ(m->stats().resident_bytes, 9 * block_size);
  EXPECT_EQ(m.set(33, "offline"), 0);
  EXPECT_EQ(m.set(3, "offline"), 0);
  EXPECT_EQ(m.set(3, "online"), 0);
  EXPECT_EQ(memory.given.size(), 8U);
  EXPECT_EQ(m.inject("MEM_GOING_ONLINE", EPERM), 0);
  EXPECT_EQ(m.set(33, "online"), EPERM);
  EXPECT_EQ(memory.given.size(), 8U);
  EXPECT_EQ(m->stats().resident_bytes, 8 * block_size);
}

TEST(Populate, NoMemoryIsEnomemAndALineInTheLog) {
  counting_memory memory;
  test_machine m{with_dimm(2), &memory};
  memory.empty = true;
  (void)m.new_uevents();
  EXPECT_EQ(m.set(33, "online_movable"), ENOMEM);
  EXPECT_EQ(m.state(33), "offline");
  EXPECT_EQ(m.mem_total_kib(2), 0U);
  EXPECT_THAT(m.new_uevents(), ElementsAre());
  EXPECT_THAT(m.log.back(), testing::HasSubstr("no memory"));
  memory.empty = false;
  EXPECT_EQ(m.write(test_machine::block(33, "online"), "1"), 0);
  EXPECT_EQ(m.zones(33), "Normal");  // the failed attempt is forgotten
}

TEST(Populate, NoMemoryForBootIsALineThatSaysWhatToDo) {
  counting_memory memory;
  memory.empty = true;
  const auto booted = machine::boot(two_nodes(), {.memory = &memory});
  ASSERT_FALSE(booted);
  EXPECT_THAT(booted.error(), testing::HasSubstr("--memory"));
}

// Writes down the events of a chain under its own name, and may veto.
struct witness {
  witness(test_machine& machine, std::string name, int priority,
          std::vector<std::string>& log)
      : m{machine},
        notifier{.name = "witness",
                 .priority = priority,
                 .call = [this, name, &log](memory_event event, const memory_notify&) {
                   log.push_back(name + " " + std::string{to_string(event)});
                   if (event == vetoed) return result<>{fail(errc::no_space_on_device)};
                   return result<>{};
                 }} {
    m.k().memory_chain.add(notifier);
  }
  ~witness() { m.k().memory_chain.remove(notifier); }
  test_machine& m;
  std::optional<memory_event> vetoed;
  const memory_notifier notifier;
};

TEST(Notifiers, AreAskedByPriorityAndToldTheEnd) {
  test_machine m{with_dimm(1)};
  std::vector<std::string> log;
  const witness low{m, "low", 1, log};
  const witness high{m, "high", 100, log};
  EXPECT_EQ(m.set(32, "online"), 0);
  EXPECT_EQ(m.set(32, "offline"), 0);
  EXPECT_THAT(
      log, ElementsAre("high MEM_GOING_ONLINE", "low MEM_GOING_ONLINE", "high MEM_ONLINE",
                       "low MEM_ONLINE", "high MEM_GOING_OFFLINE",
                       "low MEM_GOING_OFFLINE", "high MEM_OFFLINE", "low MEM_OFFLINE"));
}

TEST(Notifiers, AVetoIsTheErrorAndTheCancellationGoesToAll) {
  test_machine m{with_dimm(1)};
  std::vector<std::string> log;
  const witness low{m, "low", 1, log};
  witness high{m, "high", 100, log};
  (void)m.new_uevents();
  high.vetoed = memory_event::going_online;
  EXPECT_EQ(m.set(32, "online_movable"), ENOSPC);
  EXPECT_THAT(log, ElementsAre("high MEM_GOING_ONLINE", "high MEM_CANCEL_ONLINE",
                               "low MEM_CANCEL_ONLINE"));
  EXPECT_EQ(m.state(32), "offline");
  EXPECT_EQ(m.zone_of(2, zone_type::movable).pages().present, 0U);

  high.vetoed = memory_event::going_offline;
  EXPECT_EQ(m.set(32, "online_movable"), 0);
  (void)m.new_uevents();
  log.clear();
  EXPECT_EQ(m.set(32, "offline"), ENOSPC);
  EXPECT_THAT(log, ElementsAre("high MEM_GOING_OFFLINE", "high MEM_CANCEL_OFFLINE",
                               "low MEM_CANCEL_OFFLINE"));
  EXPECT_EQ(m.zones(32), "Movable");
  EXPECT_THAT(m.new_uevents(), ElementsAre());
}

TEST(RemoveMemory, WantsEveryBlockOfflineAndChangesNothingOtherwise) {
  test_machine m{with_dimm(3)};
  kernel& k = m.k();
  EXPECT_EQ(m.set(34, "online"), 0);
  (void)m.new_uevents();
  guard hold{k.locks.device_hotplug_lock};
  EXPECT_EQ(error_of(remove_memory(k, m.range_of(32, 3))), EBUSY);
  EXPECT_THAT(m.new_uevents(), ElementsAre());
  EXPECT_EQ(memory_blocks_in(k, m.range_of(32, 3)).size(), 3U);
  EXPECT_EQ(error_of(remove_memory(k, m.range_of(60))), EINVAL);  // nothing there
}

TEST(RemoveMemory, LeavesNoTrace) {
  test_machine m;
  const auto snapshot = [&] {
    return fmt::format("{} {} {} {} {}", m.children(memory_dir).size(),
                       m.children("bus/memory/devices").size(),
                       m.children("devices/system/node/node0").size(),
                       m->stats().memmap_bytes.load(), m->stats().blocks[0][4][0].load());
  };
  const std::string before = snapshot();
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(m.probe(40), 0);
    EXPECT_NE(snapshot(), before);
    EXPECT_EQ(m.debug("remove_block", "40"), 0);
    EXPECT_EQ(snapshot(), before);
  }
}

TEST(AddMemory, RefusesWhatIsNoBlockOrNoNode) {
  test_machine m;
  kernel& k = m.k();
  guard hold{k.locks.device_hotplug_lock};
  EXPECT_EQ(error_of(add_memory(k, 0, {{40 * block_size + page_size}, block_size})),
            EINVAL);
  EXPECT_EQ(error_of(add_memory(k, 0, {{40 * block_size}, page_size})), EINVAL);
  EXPECT_EQ(error_of(add_memory(k, 7, m.range_of(40))), EINVAL);
  EXPECT_EQ(error_of(add_memory(k, -1, m.range_of(40))), EINVAL);
  EXPECT_NE(error_of(add_memory(k, 0, {{0}, 0})), 0);
  EXPECT_EQ(error_of(add_memory(k, 0, m.range_of(0))), EEXIST);  // still boot memory
  // None of them kept the addresses.
  EXPECT_EQ(error_of(add_memory(k, 0, m.range_of(40))), 0);
}

TEST(HugePages, VanishWithoutAWordWithTheirBlock) {
  test_machine m{with_dimm(1)};
  const std::string pool =
      "devices/system/node/node2/hugepages/hugepages-2048kB/nr_hugepages";
  EXPECT_EQ(m.set(32, "online_movable"), 0);
  EXPECT_EQ(m.write(pool, "10"), 0);
  EXPECT_EQ(m.read(pool), "10");
  EXPECT_EQ(m.set(32, "offline"), 0);
  EXPECT_EQ(m.read(pool), "0");
}

}  // namespace
}  // namespace memhp
