// The detector of hung tasks: an injected clock, real waits.
#include "emu/hung_task.h"

#include <algorithm>
#include <thread>

#include "locks/guards.h"
#include "tests/emu/machine_fixture.h"

namespace memhp {
namespace {

using std::chrono::seconds;

class HungTask : public testing::Test {
 protected:
  HungTask() { blocked_tasks::set_watched(true, std::chrono::nanoseconds{0}); }
  ~HungTask() override { blocked_tasks::set_watched(false); }

  static bool blocked(std::size_t tasks) {
    return eventually([tasks] { return blocked_tasks::waits().size() == tasks; });
  }
  std::ptrdiff_t reports() const {
    return std::ranges::count_if(
        machine.log, [](const std::string& line) { return line.contains("INFO: task"); });
  }
  bool logged(std::string_view text) const {
    return std::ranges::any_of(
        machine.log, [&](const std::string& line) { return line.contains(text); });
  }
  void check(int at) { machine.k().hung_tasks.check(seconds{at}); }

  test_machine machine;
  tracked_mutex lock{key};
  tracked_mutex other{key};
  static constexpr lock_class_key key{.name = "hung_lock"};
};

TEST_F(HungTask, IsReportedOnceAndNotBeforeItsTime) {
  machine.k().hung_tasks.timeout_secs = 10;
  std::thread waiter;
  {
    guard hold{lock};
    waiter = std::thread{[this] { guard wait{lock}; }};
    EXPECT_TRUE(blocked(1));
    check(100);
    check(109);
    EXPECT_EQ(reports(), 0);
    check(110);
    EXPECT_EQ(reports(), 1);
    check(200);
    EXPECT_EQ(reports(), 1);
  }
  waiter.join();
}

TEST_F(HungTask, IsQuietWhenTasksGoOnAndWhenItIsOff) {
  machine.k().hung_tasks.timeout_secs = 10;
  for (int round = 0; round < 3; ++round) {
    std::thread waiter;
    {
      guard hold{lock};
      waiter = std::thread{[this] { guard wait{lock}; }};
      EXPECT_TRUE(blocked(1));
      check(round * 9);
    }
    waiter.join();
  }
  EXPECT_EQ(reports(), 0);
  machine.k().hung_tasks.timeout_secs = 0;
  std::thread waiter;
  {
    guard hold{lock};
    waiter = std::thread{[this] { guard wait{lock}; }};
    EXPECT_TRUE(blocked(1));
    check(1000);
    check(2000);
  }
  waiter.join();
  EXPECT_EQ(reports(), 0);
}

TEST_F(HungTask, NamesBothAndStopsWhenWarningsAreSpent) {
  machine.k().hung_tasks.timeout_secs = 10;
  machine.k().hung_tasks.warnings = 2;
  std::vector<std::thread> waiters;
  {
    guard hold{lock};
    guard hold_other{other};
    waiters.emplace_back([this] { guard wait{lock}; });
    waiters.emplace_back([this] { guard wait{other}; });
    EXPECT_TRUE(blocked(2));
    check(0);
    check(10);
    EXPECT_EQ(reports(), 2);
    EXPECT_EQ(machine.read("proc/sys/kernel/hung_task_warnings"), "0");
    waiters.emplace_back([this] { guard wait{lock}; });
    EXPECT_TRUE(blocked(3));
    check(20);
    check(30);
    EXPECT_EQ(reports(), 2);
  }
  for (std::thread& each : waiters) each.join();
}

// What is waited for need not be a lock: whoever waits for a flush or for the end of a
// worker, and whoever removes a file that somebody reads.
TEST_F(HungTask, ACompletionThatNeverComesIsReported) {
  static constexpr lock_class_key done_key{.name = "(work_completion)", .wait_type = 0};
  machine.k().hung_tasks.timeout_secs = 10;
  tracked_completion done{done_key};
  std::thread waiter{[&] {
    pthread_setname_np(pthread_self(), "flusher");
    done.wait();
  }};
  EXPECT_TRUE(blocked(1));
  check(0);
  check(10);
  EXPECT_EQ(reports(), 1);
  EXPECT_TRUE(logged("INFO: task flusher:"));
  EXPECT_TRUE(logged("tracked_completion::wait"));
  done.complete();
  waiter.join();
  EXPECT_TRUE(blocked(0));
}

TEST_F(HungTask, ADrainThatNeverEndsIsReported) {
  static constexpr attribute busy{.name = "busy"};
  machine.k().hung_tasks.timeout_secs = 10;
  kobject owner;
  kernfs_root root{nullptr};
  const kernfs_ref dir = root.make_path("dir");
  const kernfs_ref file = *root.create_file(*dir, busy, owner);
  ASSERT_TRUE(file->get_active());
  std::thread remover{[&] {
    pthread_setname_np(pthread_self(), "remover");
    root.remove(*dir);
  }};
  EXPECT_TRUE(blocked(1));
  check(0);
  check(10);
  EXPECT_EQ(reports(), 1);
  EXPECT_TRUE(logged("INFO: task remover:"));
  EXPECT_TRUE(logged("kernfs_root::remove"));
  file->put_active();
  remover.join();
  EXPECT_TRUE(blocked(0));
}

TEST_F(HungTask, TheFilesTakeWhatTheKernelTakes) {
  const std::string timeout = "proc/sys/kernel/hung_task_timeout_secs";
  EXPECT_EQ(machine.read(timeout), "120");
  EXPECT_EQ(machine.write(timeout, "1\n"), 0);
  EXPECT_EQ(machine.read(timeout), "1");
  EXPECT_EQ(machine.write(timeout, "-1"), EINVAL);
  EXPECT_EQ(machine.write("proc/sys/kernel/hung_task_warnings", "-1"), 0);
  EXPECT_EQ(machine.write("proc/sys/kernel/hung_task_warnings", "-2"), EINVAL);
}

}  // namespace
}  // namespace memhp
