// Every scenario, before and after its patch and in the seeds' own world, one task after
// the other and forced; and its reports against the seeds', fact by fact.
#include "emu/scenarios/scenario.h"

#include <fstream>
#include <optional>
#include <regex>
#include <sstream>

#include "tests/emu/explore/fibers.h"

namespace memhp {
namespace {

scenario_run run(const scenario& s, std::string_view era, const scenario_options& how) {
  auto done = run_scenario(s, *scenario_rules(s, era), how);
  EXPECT_TRUE(done) << (done ? "" : done.error());
  return done ? std::move(*done) : scenario_run{};
}

class EveryScenario : public testing::TestWithParam<const scenario*> {};

TEST_P(EveryScenario, IsReportedBeforeUnlessLockdepCannotSeeIt) {
  SKIP_WITHOUT_FIBERS();
  const scenario_run done = run(*GetParam(), "before", {});
  EXPECT_EQ(done.differs, "");
  EXPECT_TRUE(done.finished);
  EXPECT_EQ(done.reports.empty(), GetParam() == &probe_vs_online);
}

TEST_P(EveryScenario, GoesWrongBeforeWhenItIsForced) {
  SKIP_WITHOUT_FIBERS();
  const scenario_run done = run(*GetParam(), "before", {.forced = true});
  EXPECT_EQ(done.differs, "");
  if (GetParam()->kind == scenario_kind::lost_update) {
    EXPECT_NE(done.lost.find("present_pages is 32768, but its online blocks have 65536"),
              std::string::npos);
    EXPECT_TRUE(done.finished);
    return;
  }
  EXPECT_FALSE(done.finished);
  ASSERT_EQ(done.hung.size(), 2U);
  for (const hung_task& hung : done.hung) {
    EXPECT_FALSE(hung.stack.empty());
    EXPECT_GE(hung.held.size(), 2U) << hung.task.comm;  // what it has and what it wants
  }
}

TEST_P(EveryScenario, IsQuietAfterAndItsInterleavingCompletes) {
  SKIP_WITHOUT_FIBERS();
  for (const auto* era : {"after", "patched"})
    for (const bool forced : {false, true}) {
      const scenario_run done = run(*GetParam(), era, {.forced = forced});
      EXPECT_EQ(done.differs, "") << era;
      EXPECT_FALSE(done.went_wrong()) << era << forced;
      EXPECT_TRUE(done.finished) << era << forced;
    }
}

// What lock_rules say is what happens, in every kernel.
TEST_P(EveryScenario, DoesInEveryEraWhatItsRulesSay) {
  SKIP_WITHOUT_FIBERS();
  for (const kernel_era& era : kernel_eras())
    for (const bool forced : {false, true})
      EXPECT_EQ(run(*GetParam(), era.rules.era, {.forced = forced}).differs, "")
          << era.rules.era << (forced ? " forced" : "");
}

// Whether the comparison would notice: a kernel that is taken for another one.
TEST_P(EveryScenario, SaysWhatDiffersIfAKernelIsTakenForAnother) {
  SKIP_WITHOUT_FIBERS();
  scenario mistaken = *GetParam();
  mistaken.is_reported = [](const lock_rules&, bool) { return true; };
  mistaken.goes_wrong = [](const lock_rules&) { return true; };
  EXPECT_NE(run(mistaken, "after", {}).differs, "");
  EXPECT_NE(run(mistaken, "after", {.forced = true}).differs, "");
  mistaken.is_reported = [](const lock_rules&, bool) { return false; };
  mistaken.goes_wrong = [](const lock_rules&) { return false; };
  if (GetParam() != &probe_vs_online) {
    EXPECT_NE(run(mistaken, "before", {}).differs, "");
  }
  EXPECT_NE(run(mistaken, "before", {.forced = true}).differs, "");
}

TEST_P(EveryScenario, HasStepsOfItsTasksOnly) {
  const scenario& s = *GetParam();
  const auto is_task = [&](std::string_view name) {
    return std::ranges::any_of(s.tasks, [&](const auto& t) { return t.name == name; });
  };
  for (const scenario_step& step : s.steps) EXPECT_TRUE(is_task(step.task)) << step.task;
  for (const stage& each : s.forced) EXPECT_TRUE(is_task(each.task)) << each.task;
  EXPECT_EQ(find_scenario(s.name), &s);
}

INSTANTIATE_TEST_SUITE_P(All, EveryScenario,
                         testing::ValuesIn(all_scenarios().begin(),
                                           all_scenarios().end()),
                         [](const auto& param) {
                           std::string name{param.param->name};
                           std::erase(name, '-');
                           return name;
                         });

// --- reports, fact by fact -------------------------------------------------------------

// "NAME {USAGE}" without the class's number.
std::string class_of(const std::string& line) {
  static const std::regex pattern{R"(\(([^)#]+)(?:#\d+)?\)(\{\S+\}))"};
  std::smatch found;
  if (!std::regex_search(line, found, pattern)) return "no class in " + line;
  std::string usage = found[2];
  if (usage.ends_with(',') || usage.ends_with(':')) usage.pop_back();
  return found[1].str() + " " + usage;
}

std::string unnumbered(const std::string& line) {
  return std::regex_replace(line, std::regex{R"(#\d+)"}, "");
}

struct report_facts {
  std::string header;
  std::string wanted;
  std::string held_lock;
  std::vector<std::string> chain;
  std::vector<std::vector<std::string>> functions;  // of each link
  std::string exists;
  std::vector<std::string> table;  // "CPU0 lock(...)"
  std::vector<std::string> held;
};

report_facts facts_of(const std::string& text) {
  report_facts facts;
  std::istringstream lines{text};
  std::string before;
  for (std::string line; std::getline(lines, line); before = line) {
    if (line.find("circular locking") != std::string::npos) facts.header = line;
    if (before.ends_with("trying to acquire lock:")) facts.wanted = class_of(line);
    if (before == "but task is already holding lock:") facts.held_lock = class_of(line);
    if (line.starts_with("-> #")) {
      facts.chain.push_back(class_of(line));
      facts.functions.emplace_back();
    } else if (line.starts_with("       ") && !facts.chain.empty() &&
               facts.table.empty() && line.find("CPU") == std::string::npos &&
               line.find("----") == std::string::npos) {
      std::string name = line.substr(7, line.find('+') - 7);
      if (const auto colons = name.rfind("::"); colons != std::string::npos)
        name.erase(0, colons + 2);
      facts.functions.back().push_back(name);
    }
    if (before == "Chain exists of:") facts.exists = unnumbered(line);
    if (const auto lock = line.find("lock("); lock != std::string::npos)
      facts.table.push_back((line.starts_with("     ") ? "CPU1 " : "CPU0 ") +
                            unnumbered(line.substr(lock)));
    if (line.starts_with(" #")) facts.held.push_back(class_of(line));
  }
  return facts;
}

// Whether all of `wanted` are in `all`, in this order.
template <class T>
bool in_order(const std::vector<T>& wanted, const std::vector<T>& all) {
  auto at = all.begin();
  for (const T& each : wanted) {
    at = std::find(at, all.end(), each);
    if (at == all.end()) return false;
    ++at;
  }
  return true;
}

class GoldenScenario : public testing::TestWithParam<const scenario*> {};

TEST_P(GoldenScenario, ReportsWhatItsSeedReports) {
  SKIP_WITHOUT_FIBERS();
  const scenario& s = *GetParam();
  std::ifstream file{std::string{MEMHP_GOLDEN} + "/scenarios/" + std::string{s.name} +
                     ".txt"};
  std::ostringstream golden;
  golden << file.rdbuf();
  ASSERT_FALSE(golden.str().empty());
  const scenario_run done = run(s, "before", {});
  ASSERT_EQ(done.reports.size(), 1U);
  const std::string text = to_text(done.reports[0], era_of(s.before).words);
  const report_facts seed = facts_of(golden.str());
  const report_facts ours = facts_of(text);
  EXPECT_EQ(ours.header, seed.header);
  EXPECT_EQ(ours.wanted, seed.wanted);
  EXPECT_EQ(ours.held_lock, seed.held_lock);
  EXPECT_EQ(ours.chain, seed.chain);
  EXPECT_EQ(ours.exists, seed.exists);
  EXPECT_EQ(ours.table, seed.table);
  EXPECT_TRUE(in_order(seed.held, ours.held)) << text;
  ASSERT_EQ(ours.functions.size(), seed.functions.size());
  for (std::size_t i = 0; i < seed.functions.size(); ++i) {
    EXPECT_FALSE(seed.functions[i].empty());
    EXPECT_TRUE(in_order(seed.functions[i], ours.functions[i])) << i << '\n' << text;
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenScenario,
                         testing::Values(&remove_vs_online, &cpu_offline_vs_cache_create,
                                         &cache_destroy_vs_sysfs),
                         [](const auto& param) {
                           std::string name{param.param->name};
                           std::erase(name, '-');
                           return name;
                         });

// --- one by one ------------------------------------------------------------------------

TEST(Scenarios, OnlyAValidatedDevMutexShowsSeed001) {
  SKIP_WITHOUT_FIBERS();
  const scenario_options validated{.validate_dev_mutex = true};
  const scenario_run done = run(probe_vs_online, "before", validated);
  EXPECT_EQ(done.differs, "");
  ASSERT_EQ(done.reports.size(), 1U);
  const report_facts facts =
      facts_of(to_text(done.reports[0], era_of(probe_vs_online.before).words));
  // The home-made lock of that time is two to lockdep.
  EXPECT_EQ(facts.chain,
            (std::vector<std::string>{"&dev->mutex {+.+.+.}", "mem_hotplug.lock {+.+.+.}",
                                      "mem_hotplug.lock {+.+.+.}"}));
  EXPECT_TRUE(run(probe_vs_online, "after", validated).reports.empty());
}

TEST(Scenarios, TheGateIsWhatKeepsSeed000FromHanging) {
  SKIP_WITHOUT_FIBERS();
  scenario with_gate = remove_vs_online;
  with_gate.adjust_forced = nullptr;
  EXPECT_TRUE(run(with_gate, "before", {.forced = true}).finished);
}

TEST(Scenarios, StepsAreRecordedIfWanted) {
  SKIP_WITHOUT_FIBERS();
  const scenario_run done =
      run(cache_destroy_vs_sysfs, "before", {.forced = true, .record = true});
  EXPECT_EQ(done.task_names, (std::vector<std::string>{"sh", "rmmod"}));
  EXPECT_TRUE(std::ranges::any_of(done.seen, [](const seen_step& step) {
    return step.task == 2 && step.name == "slab_mutex" && step.op == lock_op::lock;
  }));
  EXPECT_TRUE(run(cache_destroy_vs_sysfs, "before", {}).seen.empty());
}

TEST(Scenarios, KnowTheirErasByName) {
  EXPECT_EQ(scenario_rules(remove_vs_online, "before")->era, "5666848774ef");
  EXPECT_EQ(scenario_rules(remove_vs_online, "v4.20")->era, "5666848774ef");
  EXPECT_EQ(scenario_rules(remove_vs_online, "patched")->era, "patched");
  EXPECT_EQ(scenario_rules(remove_vs_online, "never"), nullptr);
  EXPECT_EQ(find_scenario("remove_vs_online"), nullptr);  // with dashes
}

}  // namespace
}  // namespace memhp
