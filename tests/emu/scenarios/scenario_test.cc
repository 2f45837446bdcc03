// Every scenario, before and after its patch and in the seeds' own world, one task after
// the other and forced; and its reports against the seeds', fact by fact.
#include "emu/scenarios/scenario.h"

#include <fstream>
#include <optional>
#include <regex>
#include <set>
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

// The file of an assertion's report. Its function is the wrapper of the assertion where
// that is not inlined; the stack has the one that is meant.
std::string file_of(const std::string& line) {
  static const std::regex pattern{R"(WARNING: CPU: \d+ PID: \d+ at \S*?(emu/\S+):\d+ )"};
  std::smatch found;
  return std::regex_search(line, found, pattern) ? found[1].str() : "";
}

// "active_reference::drain+0x20/0x79" as the kernel would name it.
std::string function_of(const std::string& frame) {
  std::string name = frame.substr(0, frame.find('+'));
  if (const auto colons = name.rfind("::"); colons != std::string::npos)
    name.erase(0, colons + 2);
  return name;
}

using functions = std::vector<std::string>;  // of a stack, innermost first

struct report_facts {
  std::string header;
  std::string wanted;
  std::string held_lock;
  std::vector<std::string> chain;
  std::vector<functions> stacks;  // of each link; of an assertion, one
  std::string exists;
  std::vector<std::string> table;  // "CPU0 lock(...)"
  std::vector<std::string> held;
};

report_facts facts_of(const std::string& text) {
  report_facts facts;
  std::istringstream lines{text};
  std::string before;
  bool in_trace = false;  // of an assertion: a cycle's is its last link again
  for (std::string line; std::getline(lines, line); before = line) {
    if (line.find("circular locking") != std::string::npos ||
        line.starts_with("lockdep_assert"))
      facts.header += line;
    if (const std::string file = file_of(line); !file.empty()) facts.header = file + ": ";
    if (before.ends_with("trying to acquire lock:")) facts.wanted = class_of(line);
    if (before == "but task is already holding lock:") facts.held_lock = class_of(line);
    if (before == "Call Trace:" && facts.chain.empty()) {
      facts.stacks.emplace_back();
      in_trace = true;
    }
    if (line.starts_with("-> #")) {
      facts.chain.push_back(class_of(line));
      facts.stacks.emplace_back();
    } else if (line.starts_with("       ") && !facts.chain.empty() &&
               facts.table.empty() && line.find("CPU") == std::string::npos &&
               line.find("----") == std::string::npos) {
      facts.stacks.back().push_back(function_of(line.substr(7)));
    } else if (in_trace && line.starts_with(" ")) {
      facts.stacks.back().push_back(function_of(line.substr(1)));
    }
    if (before == "Chain exists of:") facts.exists = unnumbered(line);
    if (const auto lock = line.find("lock("); lock != std::string::npos && line[0] == ' ')
      facts.table.push_back((line.starts_with("     ") ? "CPU1 " : "CPU0 ") +
                            unnumbered(line.substr(lock)));
    if (line.starts_with(" #")) facts.held.push_back(class_of(line));
  }
  return facts;
}

// Stacks are compared by the functions that a golden report names. They stand in ours in
// the golden's order, as often as there, and in no stack where the golden has them not.
// Other frames are allowed, as no list of them would be true of two builds or of the
// seed: the kernel's own have functions between that no model needs (vfs_write,
// ksys_write), ours has the layers of a C++ program (kernfs_open_file::write, a fiber's
// start), and which functions are inlined is the compiler's choice, other with -O0 than
// with -O2. For the same reason a function may stand twice in a row: a lambda or an
// overload has its name.
void expect_stacks(const report_facts& golden, const report_facts& ours) {
  ASSERT_EQ(ours.stacks.size(), golden.stacks.size());
  std::set<std::string> named;
  for (const functions& stack : golden.stacks) named.insert(stack.begin(), stack.end());
  for (std::size_t i = 0; i < golden.stacks.size(); ++i) {
    EXPECT_FALSE(golden.stacks[i].empty());
    functions known;
    std::ranges::copy_if(ours.stacks[i], std::back_inserter(known),
                         [&](const std::string& name) { return named.contains(name); });
    known.erase(std::ranges::unique(known).begin(), known.end());
    EXPECT_EQ(known, golden.stacks[i]) << "stack " << i;
  }
}

// The machine of seed 004 was built without memory hotplug, so that its slab held one
// lock less.
std::vector<std::string> held_as_in(const report_facts& golden,
                                    const report_facts& ours) {
  std::vector<std::string> held = ours.held;
  if (!std::ranges::any_of(golden.held, [](const std::string& lock) {
        return lock.starts_with("mem_hotplug");
      }))
    std::erase_if(
        held, [](const std::string& lock) { return lock.starts_with("mem_hotplug"); });
  return held;
}

report_facts golden_of(const scenario& s) {
  std::ifstream file{std::string{MEMHP_GOLDEN} + "/scenarios/" + std::string{s.name} +
                     ".txt"};
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty());
  return facts_of(text.str());
}

class GoldenScenario : public testing::TestWithParam<const scenario*> {};

// Of seeds 000, 003 and 004 the golden is the seed's own report, trimmed. Of the others,
// which have none, it is what a kernel would print.
TEST_P(GoldenScenario, ReportsWhatItsSeedReports) {
  SKIP_WITHOUT_FIBERS();
  const scenario& s = *GetParam();
  const report_facts golden = golden_of(s);
  const scenario_run done =
      run(s, "before", {.validate_dev_mutex = &s == &probe_vs_online});
  ASSERT_EQ(done.reports.size(), 1U);
  const std::string text = to_text(done.reports[0], era_of(s.before).words);
  SCOPED_TRACE(text);
  const report_facts ours = facts_of(text);
  EXPECT_NE(golden.header, "");
  EXPECT_EQ(ours.header, golden.header);
  EXPECT_EQ(ours.wanted, golden.wanted);
  EXPECT_EQ(ours.held_lock, golden.held_lock);
  EXPECT_EQ(ours.chain, golden.chain);
  EXPECT_EQ(ours.exists, golden.exists);
  EXPECT_EQ(ours.table, golden.table);
  if (&s != &remove_vs_online) {  // seed 000 ends before them
    EXPECT_EQ(held_as_in(golden, ours), golden.held);
  }
  expect_stacks(golden, ours);
}

INSTANTIATE_TEST_SUITE_P(All, GoldenScenario,
                         testing::ValuesIn(all_scenarios().begin(),
                                           all_scenarios().end()),
                         [](const auto& param) {
                           std::string name{param.param->name};
                           std::erase(name, '-');
                           return name;
                         });

// --- one by one ------------------------------------------------------------------------

TEST(Scenarios, OnlyAValidatedDevMutexShowsSeed001) {
  SKIP_WITHOUT_FIBERS();
  const scenario_options validated{.validate_dev_mutex = true};
  EXPECT_EQ(run(probe_vs_online, "before", validated).differs, "");
  EXPECT_EQ(run(probe_vs_online, "before", validated).reports.size(), 1U);
  EXPECT_TRUE(run(probe_vs_online, "before", {}).reports.empty());
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
