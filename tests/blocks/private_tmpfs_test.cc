#include "blocks/private_tmpfs.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <filesystem>

#include "blocks/units.h"
#include "tests/blocks/memory_fixture.h"

namespace memhp {
namespace {

// What a file of a private tmpfs must be, whoever opened it.
bool is_private_huge_and_unlimited(const std::expected<owned_fd, std::string>& file) {
  if (!file) {
    fputs((file.error() + "\n").c_str(), stderr);
    return false;
  }
  struct statfs system = {};
  struct stat status = {};
  if (fstatfs(file->get(), &system) != 0 || fstat(file->get(), &status) != 0)
    return false;
  if (system.f_type != TMPFS_MAGIC || system.f_blocks != 0 || status.st_nlink != 0) {
    fputs("not an unnamed file of an unlimited tmpfs\n", stderr);
    return false;
  }
  // One byte brings a huge page.
  if (ftruncate(file->get(), 4 * MiB) != 0 || pwrite(file->get(), "x", 1, 0) != 1 ||
      fstat(file->get(), &status) != 0) {
    return false;
  }
  return status.st_blocks * 512 == 2 * MiB;
}

TEST(PrivateTmpfs, GivesAHugeUnlimitedFile) {
  EXPECT_TRUE(is_private_huge_and_unlimited(open_private_tmpfs_file()));
}

TEST(PrivateTmpfs, GivesItToAnOrdinaryUser) {
  EXPECT_TRUE(in_child([] {
    return become_ordinary_user() &&
           is_private_huge_and_unlimited(open_private_tmpfs_file());
  }));
}

TEST(PrivateTmpfs, LeavesNoMountAndNoChild) {
  EXPECT_TRUE(in_child([] {
    if (!become_ordinary_user()) return false;
    const std::string mounts = read_all("/proc/self/mountinfo");
    const auto user_namespace = std::filesystem::read_symlink("/proc/self/ns/user");
    const auto file = open_private_tmpfs_file();
    return file && read_all("/proc/self/mountinfo") == mounts &&
           std::filesystem::read_symlink("/proc/self/ns/user") == user_namespace &&
           waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD;
  }));
}

TEST(PrivateTmpfs, LeavesNoMountOfRoots) {
  const std::string mounts = read_all("/proc/self/mountinfo");
  const auto file = open_private_tmpfs_file();
  ASSERT_TRUE(file);
  EXPECT_EQ(read_all("/proc/self/mountinfo"), mounts);
}

TEST(PrivateTmpfs, WorksWhereChildrenAreNotWaitedFor) {
  EXPECT_TRUE(in_child([] {
    signal(SIGCHLD, SIG_IGN);
    return become_ordinary_user() &&
           is_private_huge_and_unlimited(open_private_tmpfs_file());
  }));
}

}  // namespace
}  // namespace memhp
