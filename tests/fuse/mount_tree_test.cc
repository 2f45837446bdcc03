#include "fuse/mount_tree.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#include <cstdlib>
#include <fstream>

#include "fuse/namespaces.h"
#include "tests/fuse/child_process.h"
#include "tests/fuse/mounted_tree.h"

namespace memhp::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class MountTree : public ::testing::Test {
 protected:
  void SetUp() override {
    if (access("/dev/fuse", F_OK) != 0) GTEST_SKIP() << "no /dev/fuse on this machine";
    char name[] = "/tmp/memhp-mount-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
  }
  void give_to_nobody() const {
    if (geteuid() != 0) return;
    ASSERT_EQ(chown(dir_.c_str(), 65534, 65534), 0);
  }
  void TearDown() override {
    if (!dir_.empty()) rmdir(dir_.c_str());
  }

  std::string dir_;
};

std::string error_of(const std::string& dir) {
  const auto mounted = mount_tree(dir);
  return mounted ? "no error" : mounted.error();
}

// Serves an empty tree with one directory and looks at it, all in this process.
void serve_and_look(const std::string& dir) {
  auto mounted = mount_tree(dir);
  ASSERT_TRUE(mounted) << mounted.error();
  owned_fd fd{*mounted};
  kernfs_root root;
  machine_stats stats;
  root.make_path("found");
  tree_session session{
      root, stats, fd.get(), {.owner_uid = geteuid(), .owner_gid = getegid()}};
  std::thread server{[&] { EXPECT_TRUE(session.run()); }};
  struct stat seen{};
  EXPECT_EQ(stat((dir + "/found").c_str(), &seen), 0) << strerror(errno);
  EXPECT_EQ(seen.st_uid, geteuid());
  const auto here = find_mounted_tree(dir);
  EXPECT_TRUE(here && here->ours && !here->stale);
  EXPECT_THAT(error_of(dir), HasSubstr("already mounted"));
  const auto gone = unmount_tree(dir);
  EXPECT_TRUE(gone) << gone.error();
  server.join();
  EXPECT_FALSE(find_mounted_tree(dir));
}

// As udev makes it where fuse3 is installed; here for this process alone.
void open_device_to_everybody() {
  ASSERT_EQ(unshare(CLONE_NEWNS), 0) << strerror(errno);
  ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  ASSERT_EQ(mount("tmpfs", "/mnt", "tmpfs", 0, nullptr), 0) << strerror(errno);
  struct stat device{};
  ASSERT_EQ(stat("/dev/fuse", &device), 0);
  ASSERT_EQ(mknod("/mnt/fuse", S_IFCHR | 0666, device.st_rdev), 0) << strerror(errno);
  ASSERT_EQ(chmod("/mnt/fuse", 0666), 0);
  ASSERT_EQ(mount("/mnt/fuse", "/dev/fuse", nullptr, MS_BIND, nullptr), 0);
}

TEST_F(MountTree, TheCallerOfTheTestCanMountServeAndUnmount) {
  serve_and_look(dir_);
}

TEST_F(MountTree, AnOrdinaryUserMountsThroughFusermount3) {
  if (system("command -v fusermount3 >/dev/null") != 0)
    GTEST_SKIP() << "no fusermount3 on this machine";
  give_to_nobody();
  EXPECT_TRUE(passes_in_child([&] {
    if (geteuid() == 0) open_device_to_everybody();
    become_ordinary_user();
    serve_and_look(dir_);
  }));
}

TEST_F(MountTree, RootOfAFreshUserNamespaceMounts) {
  if (access("/dev/fuse", R_OK | W_OK) != 0)
    GTEST_SKIP() << "/dev/fuse is closed to this user";
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer has a thread, which the kernel does not allow here";
#endif
  chmod(dir_.c_str(), 0755);
  const std::string uid_map = fmt::format("0 {} 1", geteuid());
  const std::string gid_map = fmt::format("0 {} 1", getegid());
  EXPECT_TRUE(passes_in_child([&] {
    ASSERT_EQ(unshare(CLONE_NEWUSER | CLONE_NEWNS), 0) << strerror(errno);
    std::ofstream{"/proc/self/setgroups"} << "deny";
    std::ofstream{"/proc/self/uid_map"} << uid_map;
    std::ofstream{"/proc/self/gid_map"} << gid_map;
    serve_and_look(dir_);
  }));
}

TEST_F(MountTree, AMissingMountPointIsNamedWithItsCure) {
  EXPECT_THAT(error_of(dir_ + "/no"), HasSubstr("mkdir -p " + dir_ + "/no"));
}

TEST_F(MountTree, AMountPointMustBeADirectory) {
  EXPECT_THAT(error_of("/dev/null"), HasSubstr("not a directory"));
}

TEST_F(MountTree, ErrorsAreOneLine) {
  EXPECT_THAT(error_of(dir_ + "/no"), Not(HasSubstr("\n")));
  EXPECT_THAT(error_of("/dev/null"), Not(HasSubstr("\n")));
}

TEST_F(MountTree, ATreeWhoseServerDiedIsFoundStaleAndCanBeTakenAway) {
  auto mounted = mount_tree(dir_);
  ASSERT_TRUE(mounted) << mounted.error();
  close(*mounted);
  const auto found = find_mounted_tree(dir_);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->ours);
  EXPECT_TRUE(found->stale);
  EXPECT_THAT(error_of(dir_), HasSubstr("still mounted"));
  EXPECT_TRUE(unmount_tree(dir_));
  EXPECT_FALSE(find_mounted_tree(dir_));
}

TEST_F(MountTree, AClosedDeviceIsNamedWithItsCure) {
  if (access("/dev/fuse", R_OK | W_OK) != 0 || geteuid() != 0)
    GTEST_SKIP() << "only root can close the device";
  EXPECT_TRUE(passes_in_child([&] {
    open_device_to_everybody();
    ASSERT_EQ(chmod("/dev/fuse", 0600), 0);  // the private one
    become_ordinary_user();
    EXPECT_THAT(error_of(dir_), HasSubstr("chmod 0666 /dev/fuse"));
  }));
}

TEST_F(MountTree, AMissingDeviceIsNamedWithItsCure) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can hide the device";
  EXPECT_TRUE(passes_in_child([&] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount("tmpfs", "/dev", "tmpfs", 0, nullptr), 0);
    EXPECT_THAT(error_of(dir_), HasSubstr("modprobe fuse"));
  }));
}

TEST_F(MountTree, WithoutFusermount3AnOrdinaryUserIsToldToInstallIt) {
  EXPECT_TRUE(passes_in_child([&] {
    if (geteuid() == 0) open_device_to_everybody();
    become_ordinary_user();
    setenv("PATH", "/nowhere", 1);
    EXPECT_THAT(error_of(dir_), HasSubstr("apt install fuse3"));
  }));
}

TEST_F(MountTree, UnmountingNothingSaysSo) {
  if (geteuid() != 0) GTEST_SKIP() << "an ordinary user is told by fusermount3";
  const auto gone = unmount_tree(dir_);
  ASSERT_FALSE(gone);
  EXPECT_THAT(gone.error(), HasSubstr("nothing is mounted"));
}

TEST_F(MountTree, AMountOfSomebodyElseIsNotOurs) {
  const auto proc = find_mounted_tree("/proc");
  ASSERT_TRUE(proc);
  EXPECT_FALSE(proc->ours);
}

TEST_F(MountTree, NamesWithBlanksWork) {
  const std::string odd = dir_ + "/a b\\c";
  ASSERT_EQ(mkdir(odd.c_str(), 0755), 0);
  serve_and_look(odd);
  rmdir(odd.c_str());
}

}  // namespace
}  // namespace memhp::test
