// The forced runs on threads: a child of the test runs one, and says what it saw.
#include "emu/scenarios/run_on_threads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <regex>
#include <string>

#include "locks/blocked_tasks.h"

namespace memhp {
namespace {

using testing::HasSubstr;
using testing::Not;

// What a child that runs `body` returns; how it ends is expected to be 0.
std::string told_by_child(const std::function<std::string()>& body) {
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe(ends.data()), 0);
  const pid_t child = fork();
  if (child == 0) {
    const std::string text = body();
    const bool told =
        write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
    _exit(told ? 0 : 1);  // with the threads that hang
  }
  close(ends[1]);
  std::string text;
  std::array<char, 4096> part;
  for (ssize_t size; (size = read(ends[0], part.data(), part.size())) > 0;)
    text.append(part.data(), static_cast<std::size_t>(size));
  close(ends[0]);
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  return text;
}

std::string outcome_of(const scenario& s, std::string_view era) {
  return told_by_child([&] {
    std::string stuck;
    const auto done = run_scenario_on_threads(
        s, *scenario_rules(s, era),
        {.on_stuck = [&](std::size_t tasks) { stuck = std::to_string(tasks); }});
    if (!done) return "did not boot: " + done.error();
    std::string text = "differs: " + done->differs + "\nlost: " + done->lost +
                       "\nfinished: " + std::to_string(done->finished) +
                       "\nstuck: " + stuck + '\n';
    for (const hung_task& hung : done->hung)
      text += "hung: " + hung.task.comm + " in " +
              std::to_string(hung.stack.frames().size()) + " functions\n";
    return text + done->hung_text;
  });
}

std::size_t count(const std::string& text, const std::string& pattern) {
  const std::regex wanted{pattern};
  return static_cast<std::size_t>(
      std::distance(std::sregex_iterator{text.begin(), text.end(), wanted}, {}));
}

class EveryScenarioOnThreads : public testing::TestWithParam<const scenario*> {};

TEST_P(EveryScenarioOnThreads, HangsBeforeAndIsReportedWithBothStacks) {
  const scenario& s = *GetParam();
  const std::string text = outcome_of(s, "before");
  EXPECT_THAT(text, HasSubstr("differs: \n"));
  if (s.kind == scenario_kind::lost_update) {
    EXPECT_THAT(text, HasSubstr("lost: zone Normal: present_pages is 32768, but its "
                                "online blocks have 65536"));
    EXPECT_THAT(text, HasSubstr("finished: 1\nstuck: \n"));
    return;
  }
  EXPECT_THAT(text, HasSubstr("finished: 0\nstuck: 2\n"));
  for (const scenario_task& task : s.tasks) {
    const std::string name{task.name};
    EXPECT_THAT(text, HasSubstr("hung: " + name + " in "));
    EXPECT_EQ(count(text, "INFO: task " + name + ":\\d+ blocked for more than \\d+ sec"),
              1U);
    EXPECT_EQ(count(text, "locks? held by " + name + "/\\d+:"), 1U) << text;
  }
  EXPECT_EQ(count(text, "INFO: task"), 2U);
  EXPECT_EQ(count(text, "Call Trace:"), 2U);
  EXPECT_THAT(text, HasSubstr(std::string{s.reported_in}));
  EXPECT_THAT(text, Not(HasSubstr(" in 0 functions")));
}

TEST_P(EveryScenarioOnThreads, CompletesAfterAndPatched) {
  for (const auto* era : {"after", "patched"})
    EXPECT_EQ(outcome_of(*GetParam(), era), "differs: \nlost: \nfinished: 1\nstuck: \n")
        << era;
}

// Whether the comparison would notice.
TEST_P(EveryScenarioOnThreads, SaysWhatDiffersIfAKernelIsTakenForAnother) {
  scenario mistaken = *GetParam();
  mistaken.goes_wrong = [](const lock_rules&) { return true; };
  EXPECT_THAT(outcome_of(mistaken, "after"), HasSubstr("differs: no "));
  mistaken.goes_wrong = [](const lock_rules&) { return false; };
  EXPECT_THAT(outcome_of(mistaken, "before"), Not(HasSubstr("differs: \n")));
}

INSTANTIATE_TEST_SUITE_P(All, EveryScenarioOnThreads,
                         testing::ValuesIn(all_scenarios().begin(),
                                           all_scenarios().end()),
                         [](const auto& param) {
                           std::string name{param.param->name};
                           std::erase(name, '-');
                           return name;
                         });

// Without the stages the same program does not hang, if one task comes before the other:
// it is the interleaving that is forced, not the hang.
TEST(ScenariosOnThreads, TheStagesMakeTheHang) {
  scenario one_by_one = cache_destroy_vs_sysfs;
  one_by_one.forced = {{.task = "sh"}, {.task = "rmmod"}};
  EXPECT_THAT(outcome_of(one_by_one, "before"), HasSubstr("finished: 1\n"));
}

TEST(ScenariosOnThreads, NothingIsWatchedOnceARunHasFinished) {
  const auto done = run_scenario_on_threads(cache_destroy_vs_sysfs, patched, {});
  ASSERT_TRUE(done);
  EXPECT_TRUE(done->finished);
  EXPECT_FALSE(blocked_tasks::watched());
  EXPECT_FALSE(lockdep::on());
}

}  // namespace
}  // namespace memhp
