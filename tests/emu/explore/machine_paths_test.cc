// Paths of the kernel model against each other, in hundreds of orders each: the code of
// emu/ as the daemon runs it, on fibers.
#include <optional>
#include <set>

#include "tests/emu/explore/fibers.h"
#include "tests/emu/machine_fixture.h"
#include "tests/locks/recorded_reports.h"

namespace memhp {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr unsigned seeds = 60;
#else
constexpr unsigned seeds = 400;
#endif

constexpr std::uint64_t dimm_block = first_hotplug_block;  // of with_dimm()
constexpr std::uint64_t probed_block = 48;

// Tasks against each other on a machine of its own; each leaves its answer.
struct scenario {
  machine_config config = with_dimm(1);
  std::vector<std::function<int(test_machine&)>> paths;
};

struct run_end {
  outcome how;
  std::vector<int> answers;  // errno values by path; -1: did not return
  std::string state;         // of the machine, to compare
  bool consistent = false;
};

// All states and zones, as the tree shows them.
std::string picture_of(test_machine& m) {
  std::string text;
  for (const std::string& name : m.children(memory_dir, "memory"))
    text +=
        fmt::format("{}={} ", name, m.read(fmt::format("{}/{}/state", memory_dir, name)));
  return text;
}

// What holds in every state that the machine can rest in: the zones have the pages of the
// blocks that are online, and no block is in between.
bool is_consistent(test_machine& m) {
  std::uint64_t online = 0;
  for (const std::string& name : m.children(memory_dir, "memory")) {
    const std::string state = m.read(fmt::format("{}/{}/state", memory_dir, name));
    if (state != "online" && state != "offline") return false;
    online += state == "online" ? block_pages : 0;
  }
  std::uint64_t spread = 0;
  for (const auto& node : m.k().nodes)
    for (const zone_type type : zone_types) {
      const auto pages = node->of(type).pages();
      spread += pages.present;
    }
  // The holes of boot memory are not present; they stay as they are.
  return spread <= online && online - spread < block_pages &&
         !m.k().locks.device_hotplug_lock.held_by_me();
}

run_end run(const scenario& s, std::uint64_t seed,
            const std::string* schedule = nullptr) {
  static stack_pool stacks;
  fiber_scheduler scheduler{stacks};
  std::optional<test_machine> m;
  run_end end;
  end.answers.assign(s.paths.size(), -1);
  scheduler.outside([&] { m.emplace(s.config); });
  for (std::size_t i = 0; i < s.paths.size(); ++i)
    scheduler.add_task(fmt::format("path {}", i),
                       [&, i] { end.answers[i] = s.paths[i](*m); });
  end.how =
      schedule != nullptr ? scheduler.replay(*schedule) : scheduler.random_walk(seed);
  scheduler.outside([&] {
    end.state = picture_of(*m);
    end.consistent = is_consistent(*m);
    m.reset();
  });
  return end;
}

// Runs all seeds; returns the sets of answers that occurred.
std::set<std::vector<int>> answers_of_all_seeds(const scenario& s) {
  std::set<std::vector<int>> answers;
  for (unsigned seed = 0; seed < seeds; ++seed) {
    const run_end end = run(s, seed);
    if (end.how.how != outcome::end::finished || !end.consistent) {
      ADD_FAILURE() << "seed " << seed << ": " << end.how.what << "\n"
                    << end.state << "\nschedule " << end.how.schedule;
      return answers;
    }
    answers.insert(end.answers);
  }
  return answers;
}

int online(test_machine& m) {
  return m.set(dimm_block, "online");
}
int eject(test_machine& m) {
  return m.eject(0);
}
int probe(test_machine& m) {
  return m.probe(probed_block);
}
int read_state(test_machine& m) {
  const std::string text = m.state(dimm_block);
  const bool known = text == "online" || text == "offline" || text == "going-offline" ||
                     text.starts_with("errno");
  return known ? 0 : EPROTO;
}

TEST(MachinePaths, OnlineAgainstRemoval) {
  SKIP_WITHOUT_FIBERS();
  const auto answers = answers_of_all_seeds({.paths = {online, eject}});
  EXPECT_TRUE(answers.contains({0, 0}));       // online first: the eject takes it offline
  EXPECT_TRUE(answers.contains({ENOENT, 0}));  // removed before the name was looked up
  for (const auto& a : answers)
    EXPECT_TRUE(a[0] == 0 || a[0] == ENOENT || a[0] == ENODEV || a[0] == ENXIO) << a[0];
}

TEST(MachinePaths, ProbeAgainstOnline) {
  SKIP_WITHOUT_FIBERS();
  const auto answers = answers_of_all_seeds({.paths = {probe, online}});
  EXPECT_EQ(answers, (std::set<std::vector<int>>{{0, 0}}));
}

TEST(MachinePaths, OfflineAgainstReadersOfItsState) {
  SKIP_WITHOUT_FIBERS();
  const auto offline = [](test_machine& m) { return m.set(3, "offline"); };
  std::set<std::string> seen;
  const auto look = [&](test_machine& m) {
    seen.insert(m.state(3));
    return 0;
  };
  const auto answers = answers_of_all_seeds({.paths = {offline, look, look}});
  EXPECT_EQ(answers, (std::set<std::vector<int>>{{0, 0, 0}}));
  EXPECT_EQ(seen, (std::set<std::string>{"online", "going-offline", "offline"}));
}

TEST(MachinePaths, TwoWritersOfOneBlock) {
  SKIP_WITHOUT_FIBERS();
  const auto movable = [](test_machine& m) {
    return m.set(dimm_block, "online_movable");
  };
  const auto answers = answers_of_all_seeds({.paths = {online, movable, read_state}});
  // `state` refuses what is there already.
  EXPECT_EQ(answers, (std::set<std::vector<int>>{{0, EINVAL, 0}, {EINVAL, 0, 0}}));
}

// The eject's work on a task of its own, as the daemon's worker threads run it.
TEST(MachinePaths, OnlineAgainstAnEjectOnAWorker) {
  SKIP_WITHOUT_FIBERS();
  stack_pool stacks;
  std::set<std::string> ends;
  for (unsigned seed = 0; seed < seeds; ++seed) {
    fiber_scheduler scheduler{stacks};
    std::unique_ptr<machine> m;
    const machine_environment environment{.run_work = [&](std::function<void()> work) {
      scheduler.add_task("kworker", std::move(work));
    }};
    const std::string dir{memory_dir};
    scheduler.outside([&] { m = *machine::boot(with_dimm(1), environment); });
    scheduler.add_task("online",
                       [&] { (void)m->write(dir + "/memory32/state", "online"); });
    scheduler.add_task("eject", [&] {
      (void)m->write(std::string{slots_dir} + "/PNP0C80:00/eject", "1");
    });
    const outcome end = scheduler.random_walk(seed);
    ASSERT_EQ(end.how, outcome::end::finished) << end.what << "\n" << end.schedule;
    scheduler.outside([&] {
      ends.insert(m->read(dir + "/memory32/state").value_or("gone"));
      m.reset();
    });
  }
  EXPECT_EQ(ends, (std::set<std::string>{"gone"}));  // an eject offlines what is online
}

TEST(MachinePaths, TheValidatorIsQuietAboutThePatchedOrder) {
  SKIP_WITHOUT_FIBERS();
  const recorded_reports reports;
  for (unsigned seed = 0; seed < 20; ++seed)
    EXPECT_EQ(run({.paths = {online, eject, probe}}, seed).how.how,
              outcome::end::finished);
  for (const lockdep_report& report : reports.all())
    ADD_FAILURE() << to_text(report, report_format_6_1);
}

// Seed 000: a removal that waits for the users of the files under mem_hotplug_lock, which
// a user of `state` wants.
scenario removal_under_mem_hotplug_lock(sysfs_gate gate) {
  scenario s{.paths = {online, eject}};
  s.config.rules.removal = remove_devices::under_mem_hotplug_lock;
  s.config.rules.online = online_check::kernfs_only;
  s.config.rules.gate = gate;
  return s;
}

TEST(MachinePaths, TheGateKeepsTheWrongRemovalFromDeadlocking) {
  SKIP_WITHOUT_FIBERS();
  answers_of_all_seeds(removal_under_mem_hotplug_lock(sysfs_gate::trylock));
}

TEST(MachinePaths, WithoutTheGateTheWrongRemovalDeadlocksAndReplays) {
  SKIP_WITHOUT_FIBERS();
  const scenario s = removal_under_mem_hotplug_lock(sysfs_gate::none);
  std::optional<run_end> stuck;
  for (unsigned seed = 0; seed < seeds && !stuck; ++seed)
    if (run_end end = run(s, seed); end.how.how == outcome::end::deadlock) stuck = end;
  ASSERT_TRUE(stuck);
  EXPECT_EQ(stuck->answers, (std::vector<int>{-1, -1}));
  EXPECT_THAT(stuck->how.what, testing::HasSubstr("drain of kn->active"));
  EXPECT_THAT(stuck->how.what, testing::HasSubstr("mem_hotplug_lock, held by path 1"));
  for (int i = 0; i < 3; ++i) {
    const run_end again = run(s, 0, &stuck->how.schedule);
    EXPECT_EQ(again.how.how, outcome::end::deadlock);
    EXPECT_EQ(again.how.digest, stuck->how.digest);
    EXPECT_EQ(again.how.what, stuck->how.what);
    EXPECT_EQ(again.state, stuck->state);
  }
}

}  // namespace
}  // namespace memhp
