#include "emu/stats_segment.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <string>

namespace memhp {
namespace {

// A mount that no machine of the user has.
std::string unused_mount() {
  return "/stats_segment_test/" + std::to_string(getpid());
}

// A process that keeps a segment until it is killed.
class other_machine {
 public:
  explicit other_machine(const std::string& mount) {
    std::array<int, 2> ready{};
    EXPECT_EQ(pipe(ready.data()), 0);
    pid_ = fork();
    if (pid_ == 0) {
      auto segment = stats_segment::create(mount);
      if (!segment) _exit(1);
      segment->stats().pid = getpid();
      segment->stats().parked = 3;
      (void)!write(ready[1], "x", 1);
      while (true) pause();
    }
    close(ready[1]);
    char byte = 0;
    EXPECT_EQ(read(ready[0], &byte, 1), 1) << "no segment";
    close(ready[0]);
  }
  other_machine(const other_machine&) = delete;
  other_machine& operator=(const other_machine&) = delete;
  ~other_machine() { end(); }

  pid_t pid() const { return pid_; }
  void end() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
};

TEST(StatsSegment, ReaderSeesCountersAndKeeperOfALiveMachine) {
  const other_machine machine{unused_mount()};
  auto view = stats_view::of_mount(unused_mount());
  ASSERT_TRUE(view) << view.error();
  EXPECT_EQ(view->stats().parked, 3U);
  EXPECT_EQ(view->stats().mount, unused_mount());
  EXPECT_EQ(view->keeper(), machine.pid());
  view->remove();
}

TEST(StatsSegment, FiguresOutliveAKilledMachine) {
  other_machine machine{unused_mount()};
  machine.end();
  auto view = stats_view::of_mount(unused_mount());
  ASSERT_TRUE(view) << view.error();
  EXPECT_EQ(view->stats().parked, 3U);
  EXPECT_EQ(view->keeper(), 0);
  view->remove();
  EXPECT_FALSE(stats_view::of_mount(unused_mount()));
}

TEST(StatsSegment, SecondMachineAtALiveMountIsRefused) {
  const other_machine machine{unused_mount()};
  const auto second = stats_segment::create(unused_mount());
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().find(std::to_string(machine.pid())), std::string::npos);
  stats_view::of_mount(unused_mount())->remove();
}

TEST(StatsSegment, DeadMachinesSegmentIsReplacedAndReadersKeepTheOldOne) {
  other_machine machine{unused_mount()};
  machine.end();
  const auto old_view = stats_view::of_mount(unused_mount());
  ASSERT_TRUE(old_view);
  auto fresh = stats_segment::create(unused_mount());
  ASSERT_TRUE(fresh) << fresh.error();
  EXPECT_EQ(fresh->stats().parked, 0U);
  EXPECT_EQ(old_view->stats().parked, 3U);
  fresh->remove();
}

TEST(StatsSegment, OnlyTheOwnerMayOpenIt) {
  auto segment = stats_segment::create(unused_mount());
  ASSERT_TRUE(segment);
  struct stat st{};
  ASSERT_EQ(::stat(segment->path().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600U);
  segment->remove();
}

TEST(StatsSegment, PrivateOneHasNoNameAndIsFoundByItsPath) {
  const auto segment = stats_segment::create_private();
  ASSERT_TRUE(segment);
  // Read by another process, for a record lock hides itself from its own.
  const std::string path = segment->path();
  const pid_t reader = fork();
  if (reader == 0) {
    const auto is_ours = [](const stats_view& view) {
      return view.keeper() == getppid();
    };
    const auto view = stats_view::of_file(path);
    if (!view || !is_ours(*view)) _exit(1);
    // Other tests' machines come and go meanwhile.
    _exit(std::ranges::none_of(stats_view::all(), is_ours) ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(reader, &status, 0), reader);
  EXPECT_EQ(status, 0);
}

TEST(StatsSegment, SomethingElseIsNotTakenForOne) {
  const int fd = memfd_create("other", 0);
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  EXPECT_FALSE(stats_view::of_file(path));  // too small
  ASSERT_EQ(ftruncate(fd, sizeof(stats_segment_content)), 0);
  EXPECT_FALSE(stats_view::of_file(path));  // no magic number
  close(fd);
  EXPECT_FALSE(stats_view::of_file("/nowhere"));
}

}  // namespace
}  // namespace memhp
