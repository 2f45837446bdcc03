#include "fuse/namespaces.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>
#include <string>

#include "blocks/owned_fd.h"
#include "blocks/pidfd.h"
#include "tests/fuse/child_process.h"

namespace memhp {
namespace {

constexpr int patience_ms = 10'000;

std::string mounts_of(const std::string& pid) {
  std::ifstream file{"/proc/" + pid + "/mountinfo"};
  return {std::istreambuf_iterator<char>{file}, {}};
}

bool ends_soon(int pidfd) {
  pollfd ended{.fd = pidfd, .events = POLLIN, .revents = 0};
  return poll(&ended, 1, patience_ms) == 1;
}

// A process below the caller that only waits, left without a parent of its own.
owned_fd start_orphan() {
  std::array<int, 2> pipe_ends{};
  EXPECT_EQ(pipe(pipe_ends.data()), 0);
  if (fork() == 0) {
    setsid();
    const pid_t orphan = fork();
    if (orphan == 0)
      while (true) pause();
    (void)!write(pipe_ends[1], &orphan, sizeof orphan);
    _exit(0);
  }
  pid_t orphan = 0;
  EXPECT_EQ(read(pipe_ends[0], &orphan, sizeof orphan), ssize_t{sizeof orphan});
  close(pipe_ends[0]);
  close(pipe_ends[1]);
  return owned_fd{pidfd_open(orphan, 0)};
}

// For who needs a user namespace to make the others: why there is none.
const char* cannot_enter() {
  return geteuid() == 0 ? "" : no_user_namespace();
}

TEST(Namespaces, MountsInsideAreNotSeenOutside) {
  if (*cannot_enter() != '\0') GTEST_SKIP() << cannot_enter();
  const std::string before = mounts_of("self");
  const std::string outside = std::to_string(getpid());
  EXPECT_TRUE(passes_in_child([&] {
    ASSERT_TRUE(enter_private_namespaces());
    ASSERT_EQ(mount("inside", "/tmp", "tmpfs", 0, nullptr), 0);
    EXPECT_NE(mounts_of("self").find(" inside "), std::string::npos);
    EXPECT_EQ(mounts_of(outside), before);
  }));
}

TEST(Namespaces, OrdinaryUserIsRootInsideAndMayMount) {
  if (*no_user_namespace() != '\0') GTEST_SKIP() << no_user_namespace();
  EXPECT_TRUE(passes_in_child([] {
    become_ordinary_user();
    ASSERT_NE(geteuid(), 0U);
    const auto entered = enter_private_namespaces();
    ASSERT_TRUE(entered) << entered.error();
    EXPECT_EQ(geteuid(), 0U);
    EXPECT_EQ(getegid(), 0U);
    EXPECT_EQ(mount("inside", "/tmp", "tmpfs", 0, nullptr), 0);
  }));
}

TEST(Namespaces, ProcessesAreToldApartByTheirMountNamespace) {
  if (*cannot_enter() != '\0') GTEST_SKIP() << cannot_enter();
  const auto outside = mount_namespace_of();
  ASSERT_TRUE(outside);
  EXPECT_TRUE(passes_in_child([&] {
    EXPECT_EQ(mount_namespace_of(), outside);
    ASSERT_TRUE(enter_private_namespaces());
    EXPECT_NE(mount_namespace_of(), outside);
  }));
  EXPECT_FALSE(mount_namespace_of(-1));
}

TEST(Namespaces, EndProcessesInEndsOrphansInsideAndNobodyOutside) {
  if (*cannot_enter() != '\0') GTEST_SKIP() << cannot_enter();
  const owned_fd outside = start_orphan();
  std::array<int, 2> pipe_ends{};
  ASSERT_EQ(pipe(pipe_ends.data()), 0);
  const pid_t inside = fork();
  if (inside == 0) {
    if (!enter_private_namespaces()) _exit(1);
    start_orphan();
    (void)!write(pipe_ends[1], "x", 1);
    while (true) pause();
  }
  char ready = 0;
  ASSERT_EQ(read(pipe_ends[0], &ready, 1), 1);
  // The orphan holds the other end of the pipe too: its end of file is their end.
  close(pipe_ends[1]);
  const auto theirs = mount_namespace_of(inside);
  ASSERT_TRUE(theirs);

  end_processes_in(*theirs);

  pollfd all_gone{.fd = pipe_ends[0], .events = POLLIN, .revents = 0};
  ASSERT_EQ(poll(&all_gone, 1, patience_ms), 1);
  EXPECT_EQ(read(pipe_ends[0], &ready, 1), 0);
  int status = 0;
  ASSERT_EQ(waitpid(inside, &status, 0), inside);
  EXPECT_TRUE(WIFSIGNALED(status));
  pollfd spared{.fd = outside.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&spared, 1, 0), 0) << "a process outside was ended";
  pidfd_send_signal(outside.get(), SIGKILL, nullptr, 0);
  close(pipe_ends[0]);
}

TEST(Namespaces, EndDescendantsSparesOneChild) {
  EXPECT_TRUE(passes_in_child([] {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    const owned_fd orphan = start_orphan();
    const pid_t spared = fork();
    if (spared == 0)
      while (true) pause();

    end_descendants(spared);

    EXPECT_TRUE(ends_soon(orphan.get()));
    EXPECT_EQ(waitpid(spared, nullptr, WNOHANG), 0) << "the spared child was ended";
    kill(spared, SIGKILL);
    waitpid(spared, nullptr, 0);
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child was left";
  }));
}

}  // namespace
}  // namespace memhp
