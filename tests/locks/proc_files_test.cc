#include "locks/proc_files.h"

#include <gmock/gmock.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "locks/report_words.h"
#include "tests/locks/golden.h"
#include "tests/locks/seed_facts.h"

namespace memhp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// Three classes: cpu_hotplug_lock, then mem_hotplug_lock, then slab_mutex.
lockdep_snapshot small_snapshot() {
  lockdep_snapshot snapshot;
  const reported_class cpu{.name = "cpu_hotplug_lock", .usage = {.read = true}};
  const reported_class mem{.name = "mem_hotplug_lock",
                           .usage = {.write = true, .read = true}};
  const reported_class slab{
      .name = "slab_mutex", .version = 12, .subclass = 1, .usage = {.write = true}};
  const reported_class device{.name = "&dev->mutex"};
  snapshot.classes = {
      {.lock = cpu,
       .key = at_address(0x1000),
       .ops = 722,
       .forward = 3,
       .backward = 1,
       .successors = {1}},
      {.lock = mem,
       .key = at_address(0x2000),
       .ops = 302,
       .forward = 2,
       .backward = 2,
       .successors = {2}},
      {.lock = slab, .key = at_address(0x3000), .ops = 1, .forward = 1, .backward = 3},
      {.lock = device, .key = at_address(0x4000), .ops = 9, .validated = false}};
  snapshot.chains = {{0, 1}, {0, 1, 2}};
  snapshot.max_classes = 8192;
  snapshot.direct_dependencies = {.used = 2, .max = 64};
  snapshot.dependency_chains = {.used = 2, .max = 256};
  snapshot.chain_hlocks = {.used = 5, .max = 1024};
  snapshot.stack_trace_entries = {.used = 20, .max = 64};
  snapshot.stack_traces = 2;
  snapshot.max_depth = 3;
  snapshot.chain_lookup_hits = 1031;
  snapshot.chain_lookup_misses = 3;
  return snapshot;
}

lock_times times(std::uint64_t nr, std::uint64_t min, std::uint64_t max,
                 std::uint64_t total) {
  return {.nr = nr, .total_ns = total, .min_ns = min, .max_ns = max};
}

std::vector<lock_stat_row> small_rows() {
  lock_stat_row quiet{.lock = {.name = "slab_mutex"}};
  quiet.stats.write.hold = times(195, 5570, 122'791'350, 1'047'761'010);
  quiet.stats.write.acquired_bounces = 24;
  lock_stat_row busy{.lock = {.name = "mem_hotplug_lock"}};
  busy.stats.write.hold = times(304, 945'070, 342'240'790, 22'859'067'050);
  busy.stats.write.wait = times(2, 107'950, 107'950, 215'900);
  busy.stats.read.hold = times(9, 3550, 310'660, 794'160);
  busy.stats.read.contended_bounces = 1;
  busy.stats.contention_points = {{.ip = at_address(0x10), .count = 2}};
  busy.stats.contending_points = {{.ip = at_address(0x20), .count = 1},
                                  {.ip = at_address(0x30), .count = 1}};
  lock_stat_row unused{.lock = {.name = "never_taken"}};
  return {quiet, unused, busy};
}

TEST(ProcLockdep, ListsClassesAndWhatFollowsThem) {
  expect_golden("proc_lockdep.txt", lockdep_text(small_snapshot()));
}

TEST(ProcLockdep, ListsChains) {
  expect_golden("proc_lockdep_chains.txt", lockdep_chains_text(small_snapshot()));
}

TEST(ProcLockdep, CountsThings) {
  expect_golden("proc_lockdep_stats.txt", lockdep_stats_text(small_snapshot()));
}

TEST(ProcLockdep, LeavesOutAcquisitionsThatNobodyCounted) {
  lockdep_snapshot snapshot = small_snapshot();
  for (proc_class& each : snapshot.classes) each.ops.reset();
  EXPECT_THAT(lockdep_text(snapshot),
              HasSubstr("\n0000000000003000 FD:    1 BD:    3 +.+.: slab_mutex#12/1\n"));
}

TEST(ProcLockdep, HasAHeaderWithNothingBelow) {
  EXPECT_EQ(lockdep_text({}), "all lock classes:\n");
  EXPECT_EQ(lockdep_chains_text({}), "all lock chains:\n");
  EXPECT_THAT(lockdep_stats_text({}),
              HasSubstr(" max lock class index:                    0\n"));
}

TEST(ProcLockStat, MostContendedFirst) {
  expect_golden("proc_lock_stat.txt", lock_stat_text(small_rows()));
}

TEST(ProcLockStat, ClassesNeverHeldAreLeftOut) {
  EXPECT_THAT(lock_stat_text(small_rows()), Not(HasSubstr("never_taken")));
}

TEST(ProcLockStat, WarnsWhenTheValidatorIsOff) {
  EXPECT_THAT(lock_stat_text({}, false),
              HasSubstr("lock_stat version 0.4\n*WARNING* lock debugging disabled!!"));
}

TEST(ProcLockStat, LongNamesAreCut) {
  lock_stat_row row{.lock = {.name = std::string(60, 'x')}};
  row.stats.read.hold = times(1, 1, 1, 1);
  EXPECT_THAT(lock_stat_text({row}), HasSubstr("\n" + std::string(38, 'x') + "-R: "));
}

// --- against a kernel ------------------------------------------------------------------

// What a 6.1 kernel with CONFIG_LOCKDEP and CONFIG_LOCK_STAT printed: the texts recorded
// of one file of /proc, one behind the other.
std::string recorded(const std::string& path) {
  std::ifstream file{MEMHP_RECORDINGS "/custom-6.1-lockdep.jsonl"};
  std::string text;
  for (std::string line; std::getline(file, line);) {
    const auto record = nlohmann::json::parse(line);
    if (record.value("file", "") == path) text += record.value("text", "");
    if (record.value("path", "") == path) text += record.value("data", "");
  }
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in{text};
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::uint64_t ns_of(const std::string& microseconds) {
  constexpr double ns_per_us = 1000;
  return static_cast<std::uint64_t>(std::llround(std::stod(microseconds) * ns_per_us));
}

// The kernel averages before it rounds the total: finds a total that rounds to the one
// printed and gives the printed average.
lock_times times_of(const std::vector<std::string>& words, std::size_t at) {
  lock_times read = times(std::stoull(words[at]), ns_of(words[at + 1]),
                          ns_of(words[at + 2]), ns_of(words[at + 3]));
  if (read.nr == 0) return read;
  const std::uint64_t average = ns_of(words[at + 4]);
  const std::uint64_t printed = read.total_ns;
  constexpr std::uint64_t half = 5;
  for (read.total_ns = printed - std::min(printed, half); read.total_ns < printed + half;
       ++read.total_ns)
    if ((read.average_ns() + half) / 10 * 10 == average) return read;
  return read;
}

TEST(ProcLockStat, LinesAreTheKernels) {
  const std::regex line_format{"^ *(\\S.*?)(-[WR])?:((?: +[0-9.]+){12})$"};
  int compared = 0;
  for (const std::string& line : lines_of(recorded("/proc/lock_stat"))) {
    std::smatch match;
    if (!std::regex_match(line, match, line_format)) continue;
    std::istringstream in{match[3]};
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    lock_class_stats::side side{.wait = times_of(words, 1),
                                .hold = times_of(words, 7),
                                .contended_bounces = std::stoull(words[0]),
                                .acquired_bounces = std::stoull(words[6])};
    lock_stat_row row{.lock = {.name = match[1]}};
    // A line that names its side alone is one of two, except that readers always do.
    if (match[2] == "-R")
      row.stats.read = side;
    else
      row.stats.write = side;
    if (match[2] == "-W") row.stats.read.hold = times(1, 1, 1, 1);
    EXPECT_THAT(lines_of(lock_stat_text({row})), testing::Contains(line));
    ++compared;
  }
  EXPECT_GT(compared, 100);
}

TEST(ProcLockStat, PointsAreTheKernels) {
  const std::vector<std::string> lines = lines_of(recorded("/proc/lock_stat"));
  const auto point = std::ranges::find_if(lines, [](const std::string& line) {
    return line.contains("[<(____ptrval____)>]");
  });
  ASSERT_NE(point, lines.end());
  lock_stat_row row{.lock = {.name = "cpu_hotplug_lock.waiters.lock"}};
  row.stats.write.wait = times(1, 1, 1, 1);
  row.stats.write.hold = times(1, 1, 1, 1);
  row.stats.contention_points = {{.ip = nullptr, .count = 1}};
  const std::vector<std::string> ours = lines_of(lock_stat_text({row}));
  EXPECT_THAT(ours, testing::Contains(*(point - 1)));
  // The kernel hides addresses behind a word of the same width, less two.
  const std::string columns = point->substr(0, point->find('['));
  EXPECT_THAT(ours, testing::Contains(columns + "[<0000000000000000>] 0x0"));
}

TEST(ProcLockdep, ClassLinesAreTheKernels) {
  const std::regex line_format{
      "^\\(____ptrval____\\) OPS: *(\\d+) FD: *(\\d+) BD: *(\\d+) ([-.+?]{4}): (.*)$"};
  int compared = 0;
  for (const std::string& line : lines_of(recorded("/proc/lockdep"))) {
    std::smatch match;
    if (!std::regex_match(line, match, line_format)) continue;
    const std::string usage = match[4];
    if (usage.find_first_of("-?") != std::string::npos) continue;  // used by interrupts
    if (usage.substr(0, 2) != usage.substr(2)) continue;           // or with them off
    lockdep_snapshot snapshot;
    snapshot.classes = {
        {.lock = {.name = match[5],
                  .usage = {.write = usage[0] == '+', .read = usage[1] == '+'}},
         .ops = std::stoull(match[1]),
         .forward = std::stoull(match[2]),
         .backward = std::stoull(match[3])}};
    const std::string ours = lines_of(lockdep_text(snapshot)).at(1);
    EXPECT_EQ("(____ptrval____)" + ours.substr(16), line);
    ++compared;
  }
  EXPECT_GT(compared, 20);
}

TEST(ProcLockdep, StatsAreTheKernelsInItsColumns) {
  // Numbers to their last digit, which is where a column ends.
  const auto columns = [](const std::string& text) {
    std::vector<std::string> lines;
    for (std::string line : lines_of(text)) {
      if (const auto max = line.find(" [max:"); max != std::string::npos)
        line = line.substr(0, max + 6) + " N]";
      lines.push_back(std::regex_replace(line, std::regex{" +\\d+(?=$| )"}, " N") +
                      " ends " + std::to_string(line.find_last_of("0123456789")));
    }
    return lines;
  };
  const std::string kernels = recorded("/proc/lockdep_stats");
  ASSERT_THAT(kernels, HasSubstr("lock-classes"));
  EXPECT_EQ(columns(lockdep_stats_text(small_snapshot())), columns(kernels));
}

TEST(ProcLockdep, ChainsAreTheKernels) {
  const std::string kernels = recorded("/proc/lockdep_chains");
  ASSERT_THAT(kernels, HasSubstr("[(____ptrval____)] cpu_hotplug_lock\n"));
  lockdep_snapshot snapshot = small_snapshot();
  snapshot.chains = {{0, 1}};
  const std::string ours =
      std::regex_replace(lockdep_chains_text(snapshot), std::regex{"\\[[0-9a-f]{16}\\]"},
                         "[(____ptrval____)]");
  // Recorded without the blank lines.
  EXPECT_THAT(kernels, HasSubstr("irq_context: 0\n[(____ptrval____)] cpu_hotplug_lock\n"
                                 "[(____ptrval____)] mem_hotplug_lock\n"));
  EXPECT_THAT(ours, HasSubstr("irq_context: 0\n[(____ptrval____)] cpu_hotplug_lock\n"
                              "[(____ptrval____)] mem_hotplug_lock\n\n"));
}

}  // namespace
}  // namespace memhp
