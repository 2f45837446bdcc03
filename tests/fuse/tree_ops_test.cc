// Names, attributes and directories, as sysfs has them.
#include <dirent.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include <algorithm>

#include "tests/fuse/mounted_tree.h"

namespace memhp::test {
namespace {

int error_of(int value) {
  return value < 0 ? errno : 0;
}

std::vector<std::string> names_in(DIR* dir) {
  std::vector<std::string> names;
  rewinddir(dir);
  while (const dirent* entry = readdir(dir))
    if (const std::string name = entry->d_name; name != "." && name != "..")
      names.push_back(name);
  std::ranges::sort(names);
  return names;
}
std::vector<std::string> list(const std::string& path) {
  DIR* dir = opendir(path.c_str());
  if (dir == nullptr) return {"error"};
  auto names = names_in(dir);
  closedir(dir);
  return names;
}

class TreeOps : public mounted_tree {
 protected:
  void grow(const std::string& command) {
    EXPECT_EQ(write_file(file("grow"), command), returned(std::ssize(command)));
  }
  struct stat stat_of(const std::string& path) {
    struct stat seen{};
    EXPECT_EQ(lstat(path.c_str(), &seen), 0) << path << ": " << strerror(errno);
    return seen;
  }
};

TEST_F(TreeOps, ADirectoryListsEveryNodeOnceWithItsType) {
  EXPECT_EQ(list(dir_ + "/bus"), (std::vector<std::string>{"dev", "links"}));
  EXPECT_EQ(list(dir_ + "/bus/dev").size(), 9u);
}

TEST_F(TreeOps, ALongDirectoryIsListedCompletely) {
  kernfs_ref many = root_.make_path("many");
  for (int i = 0; i < 5000; ++i)
    ASSERT_TRUE(root_.create_dir(*many, "entry" + std::to_string(i)));
  EXPECT_EQ(list(dir_ + "/many").size(), 5000u);
}

TEST_F(TreeOps, AReaderOfADirectoryGoesOnWhileEntriesComeAndGo) {
  kernfs_ref many = root_.make_path("many");
  for (int i = 0; i < 3000; ++i)
    ASSERT_TRUE(root_.create_dir(*many, "stays" + std::to_string(i)));
  DIR* dir = opendir((dir_ + "/many").c_str());
  ASSERT_NE(dir, nullptr) << strerror(errno);
  std::vector<std::string> seen;
  for (int i = 0; const dirent* entry = readdir(dir); ++i) {
    if (std::string_view{entry->d_name}.starts_with("stays"))
      seen.emplace_back(entry->d_name);
    if (i % 10 == 0) {
      ASSERT_TRUE(root_.create_dir(*many, "new" + std::to_string(i)));
      if (i > 0) root_.remove_by_name(*many, "new" + std::to_string(i - 10));
    }
    if (i > 20'000) break;
  }
  closedir(dir);
  std::ranges::sort(seen);
  EXPECT_EQ(seen.size(), 3000u);
  EXPECT_EQ(std::ranges::adjacent_find(seen), seen.end());
}

TEST_F(TreeOps, SizesAndLinkCountsAreThoseOfSysfs) {
  EXPECT_EQ(stat_of(file("plain")).st_size, 4096);
  EXPECT_EQ(stat_of(file("plain")).st_blocks, 0);
  EXPECT_EQ(stat_of(dir_ + "/bus").st_size, 0);
  EXPECT_EQ(stat_of(dir_ + "/bus").st_nlink, 4u);
  EXPECT_EQ(stat_of(file("hidden")).st_mode & 07777, 0200u);
}

// st_nlink of a directory is kept, not counted: a client like lsmem looks at the long
// directory again for each of its entries. Counting 20,000 takes a thousand times as long
// as the rest of a look, so the factor asked for is far from both.
TEST_F(TreeOps, TheLinkCountOfALongDirectoryCostsNoMoreThanThatOfAShortOne) {
  constexpr int most = 20'000;
  const kernfs_ref one = root_.make_path("one");
  const kernfs_ref many = root_.make_path("many");
  ASSERT_TRUE(root_.create_dir(*one, "entry"));
  for (int i = 0; i < most; ++i)
    ASSERT_TRUE(root_.create_dir(*many, "entry" + std::to_string(i)));
  using clock = std::chrono::steady_clock;
  const auto fastest_of_looks_at = [&](kernfs_node& dir) {
    auto fastest = clock::duration::max();
    for (int round = 0; round < 20; ++round) {
      const auto start = clock::now();
      for (int i = 0; i < 10; ++i) (void)root_.stat(dir);
      fastest = std::min(fastest, clock::now() - start);
    }
    return fastest;
  };
  EXPECT_EQ(stat_of(dir_ + "/many").st_nlink, 2u + most);
  EXPECT_LT(fastest_of_looks_at(*many), 50 * fastest_of_looks_at(*one));
}

TEST_F(TreeOps, ALinkLeadsWhereItPoints) {
  char target[256] = {};
  ASSERT_GT(readlink((dir_ + "/bus/links/to_dev").c_str(), target, sizeof target), 0);
  EXPECT_STREQ(target, "../dev");
  EXPECT_EQ(read_file(dir_ + "/bus/links/to_dev/plain").data, "first\n");
}

TEST_F(TreeOps, ANameThatWasMissedIsFoundOnceItIsAdded) {
  EXPECT_EQ(read_file(file("born/plain")), failed(ENOENT));
  grow("add born");
  EXPECT_EQ(read_file(file("born/plain")).data, "first\n");
}

TEST_F(TreeOps, ARemovedNameIsGoneWhenTheWriteThatRemovedItReturns) {
  for (int i = 0; i < 200; ++i) {
    grow("add born");
    ASSERT_EQ(read_file(file("born/plain")).data, "first\n");
    grow("remove born");
    ASSERT_EQ(read_file(file("born/plain")), failed(ENOENT)) << "round " << i;
    ASSERT_EQ(access(file("born").c_str(), F_OK), -1) << "round " << i;
  }
}

TEST_F(TreeOps, LinkCountsFollowAtOnceWhenDirectoriesComeAndGo) {
  const nlink_t before = stat_of(dir_ + "/bus/dev").st_nlink;
  for (int i = 0; i < 50; ++i) {
    grow("add born");
    ASSERT_EQ(stat_of(dir_ + "/bus/dev").st_nlink, before + 1) << "round " << i;
    grow("remove born");
    ASSERT_EQ(stat_of(dir_ + "/bus/dev").st_nlink, before) << "round " << i;
  }
}

TEST_F(TreeOps, AChangeThatNoRequestMadeIsSeenToo) {
  const nlink_t before = stat_of(dir_ + "/bus/dev").st_nlink;
  EXPECT_EQ(read_file(file("born/plain")), failed(ENOENT));
  ASSERT_TRUE(root_.create_dir(*device_.dir, "born"));
  EXPECT_TRUE(
      eventually([&] { return stat_of(dir_ + "/bus/dev").st_nlink == before + 1; }));
  EXPECT_EQ(access(file("born").c_str(), F_OK), 0);
  root_.remove_by_name(*device_.dir, "born");
  EXPECT_TRUE(eventually([&] { return access(file("born").c_str(), F_OK) != 0; }));
}

TEST_F(TreeOps, OpenFilesOfARemovedNodeAreDeadButCanBeLookedAt) {
  grow("add born");
  const owned_fd fd = open_file("born/plain", O_RDWR);
  EXPECT_EQ(read_fd(fd.get()).data, "first\n");
  grow("remove born");
  lseek(fd.get(), 0, SEEK_SET);
  EXPECT_EQ(read_fd(fd.get()), failed(ENODEV));
  EXPECT_EQ(write_fd(fd.get(), "x"), failed(ENODEV));
  struct stat seen{};
  EXPECT_EQ(fstat(fd.get(), &seen), 0);
  EXPECT_EQ(seen.st_size, 4096);
  EXPECT_EQ(seen.st_nlink, 1u);
  const std::string self = "/proc/self/fd/" + std::to_string(fd.get());
  EXPECT_EQ(read_file(self), failed(ENODEV));
}

TEST_F(TreeOps, WhatWasFetchedBeforeTheRemovalCanStillBeRead) {
  grow("add born");
  device_.set_value("0123456789");
  const owned_fd fd = open_file("born/plain", O_RDONLY);
  char first[4];
  ASSERT_EQ(read(fd.get(), first, sizeof first), 4);
  grow("remove born");
  EXPECT_EQ(read_fd(fd.get()).data, "456789");
}

TEST_F(TreeOps, ANameThatComesBackIsAnotherFile) {
  grow("add born");
  const owned_fd old = open_file("born/plain", O_RDWR);
  const ino_t before = stat_of(file("born/plain")).st_ino;
  grow("remove born");
  grow("add born");
  EXPECT_NE(stat_of(file("born/plain")).st_ino, before);
  EXPECT_EQ(write_file(file("born/plain"), "new"), returned(3));
  EXPECT_EQ(write_fd(old.get(), "old"), failed(ENODEV));
  EXPECT_EQ(read_fd(old.get()), failed(ENODEV));
}

// Beside a writer that stays, every other one is told to look its name up again,
// directories included. What it hears just before a removal must not outlive it.
TEST_F(TreeOps, ANameThatComesBackIsFoundBesideClientsThatLookItUp) {
  std::atomic<bool> stop = false;
  std::atomic<int> writes = 0;
  grow("add born");
  std::vector<std::future<outcome>> writers;
  for (int i = 0; i < 4; ++i)
    writers.push_back(start([&] {
      for (; !stop; ++writes) (void)write_file(file("born/plain"), "x");
      return returned(0);
    }));
  ino_t seen = 0;
  ino_t there = 0;
  for (int i = 0; i < 500 && seen == there; ++i) {
    const owned_fd stays = open_file("born/plain", O_WRONLY);
    const int before = writes;
    EXPECT_TRUE(eventually([&] { return writes >= before + 8; }));
    // Files first, as a device goes: who opens one now looks at the directory again.
    root_.remove_by_name(**root_.lookup(*device_.dir, "born"), "plain");
    grow("remove born");
    grow("add born");
    seen = stat_of(file("born")).st_ino;
    there = (*root_.lookup(*device_.dir, "born"))->ino();
  }
  stop = true;
  for (auto& writer : writers) writer.get();
  EXPECT_EQ(seen, there);
}

TEST_F(TreeOps, AnOldDirectoryListsEmptyAndHasNoNames) {
  grow("add born");
  DIR* dir = opendir(file("born").c_str());
  ASSERT_NE(dir, nullptr);
  EXPECT_EQ(names_in(dir), std::vector<std::string>{"plain"});
  grow("remove born");
  EXPECT_EQ(names_in(dir), std::vector<std::string>{});
  EXPECT_EQ(error_of(openat(dirfd(dir), "plain", O_RDONLY)), ENOENT);
  grow("add born");
  EXPECT_EQ(error_of(openat(dirfd(dir), "plain", O_RDONLY)), ENOENT);
  closedir(dir);
}

TEST_F(TreeOps, RemovalWaitsForAStoreInFlightAndOthersGoOn) {
  auto parked = start_write("slow", "park");
  wait_parked(1);
  auto removal = start([&] {
    root_.remove_by_name(*device_.dir, "slow");
    return outcome{};
  });
  ASSERT_TRUE(eventually([&] { return access(file("slow").c_str(), F_OK) != 0; }));
  EXPECT_EQ(removal.wait_for(std::chrono::seconds{0}), std::future_status::timeout);
  EXPECT_EQ(read_file(file("plain")).data, "first\n");
  device_.here.open();
  EXPECT_EQ(parked.get(), returned(4));
  removal.get();
}

TEST_F(TreeOps, AWaiterForARestartWhoseFileIsRemovedGetsEnodev) {
  auto waiter = start_write("restarting", "online");
  ASSERT_TRUE(eventually([&] { return device_.restarts >= 1; }));
  root_.remove_by_name(*device_.dir, "restarting");
  EXPECT_EQ(waiter.get(), failed(ENODEV));
}

TEST_F(TreeOps, TheTreeCannotBeChangedByItsUsers) {
  const std::string old = file("plain"), fresh = file("fresh"), top = dir_ + "/bus/links";
  EXPECT_EQ(error_of(mkdir(fresh.c_str(), 0755)), EPERM);
  EXPECT_EQ(error_of(mkdir(old.c_str(), 0755)), EEXIST);
  EXPECT_EQ(error_of(rmdir(top.c_str())), EPERM);
  EXPECT_EQ(error_of(rmdir(old.c_str())), ENOTDIR);
  EXPECT_EQ(error_of(unlink(old.c_str())), EPERM);
  EXPECT_EQ(error_of(unlink(top.c_str())), EISDIR);
  EXPECT_EQ(error_of(rename(old.c_str(), fresh.c_str())), EPERM);
  EXPECT_EQ(error_of(rename(old.c_str(), "/tmp/memhp-elsewhere")), EXDEV);
  EXPECT_EQ(error_of(symlink("x", fresh.c_str())), EPERM);
  EXPECT_EQ(error_of(link(old.c_str(), fresh.c_str())), EPERM);
  EXPECT_EQ(error_of(mkfifo(fresh.c_str(), 0644)), EPERM);
  EXPECT_EQ(error_of(mknod(fresh.c_str(), S_IFREG | 0644, 0)), EACCES);
  EXPECT_EQ(error_of(open(fresh.c_str(), O_CREAT | O_WRONLY, 0644)), EACCES);
  EXPECT_EQ(error_of(open(old.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0644)), EEXIST);
  EXPECT_EQ(error_of(open(top.c_str(), O_TMPFILE | O_WRONLY, 0644)), EOPNOTSUPP);
  EXPECT_EQ(error_of(open((old + "/x").c_str(), O_RDONLY)), ENOTDIR);
}

TEST_F(TreeOps, ModesOwnersAndTimesStayAsTheyAreSet) {
  ASSERT_EQ(chmod(file("plain").c_str(), 0600), 0);
  EXPECT_EQ(stat_of(file("plain")).st_mode & 07777, 0600u);
  const timespec times[2] = {{.tv_sec = 1000, .tv_nsec = 0},
                             {.tv_sec = 2000, .tv_nsec = 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, file("plain").c_str(), times, 0), 0);
  EXPECT_EQ(stat_of(file("plain")).st_atime, 1000);
  EXPECT_EQ(stat_of(file("plain")).st_mtime, 2000);
  if (geteuid() != 0) return;
  ASSERT_EQ(chown(file("plain").c_str(), 12, 34), 0);
  EXPECT_EQ(stat_of(file("plain")).st_uid, 12u);
  EXPECT_EQ(stat_of(file("plain")).st_gid, 34u);
  ASSERT_EQ(chown(file("plain").c_str(), 0, 0), 0);
  EXPECT_EQ(stat_of(file("plain")).st_uid, 0u);
}

TEST_F(TreeOps, AModeWithoutWriteBitsBindsRootToo) {
  EXPECT_EQ(write_file(file("shown"), "x"), failed(EACCES));
  EXPECT_EQ(read_file(file("hidden")), failed(EACCES));
  ASSERT_EQ(chmod(file("plain").c_str(), 0444), 0);
  EXPECT_EQ(write_file(file("plain"), "x"), failed(EACCES));
  ASSERT_EQ(chmod(file("shown").c_str(), 0666), 0);
  EXPECT_EQ(write_file(file("shown"), "x"), failed(EIO));
}

TEST_F(TreeOps, TruncationIsAcceptedAndHasNoEffect) {
  EXPECT_EQ(truncate(file("plain").c_str(), 0), 0);
  EXPECT_EQ(stat_of(file("plain")).st_size, 4096);
  EXPECT_EQ(echo(file("plain"), "x"), returned(1));
  EXPECT_EQ(stat_of(file("plain")).st_size, 4096);
  const owned_fd fd = open_file("plain", O_RDWR);
  EXPECT_EQ(ftruncate(fd.get(), 100), 0);
  EXPECT_EQ(stat_of(file("plain")).st_size, 4096);
}

TEST_F(TreeOps, ExtendedAttributesAreThoseOfSysfs) {
  const std::string path = file("plain");
  char value[16];
  EXPECT_EQ(error_of(setxattr(path.c_str(), "user.x", "1", 1, 0)), EOPNOTSUPP);
  const auto asked_for = [&](const char* name) {
    return error_of(static_cast<int>(getxattr(path.c_str(), name, value, sizeof value)));
  };
  for (const char* unknown : {"system.posix_acl_access", "system.x", "foo.bar", "foo"})
    EXPECT_EQ(asked_for(unknown), EOPNOTSUPP) << unknown;
  EXPECT_EQ(asked_for("user.x"), ENODATA);
  EXPECT_EQ(asked_for("trusted.x"), ENODATA);
  EXPECT_EQ(asked_for("security.x"), ENODATA);
  EXPECT_EQ(asked_for("security.selinux"), EOPNOTSUPP);  // ls then asks only once
  if (geteuid() != 0) return;
  ASSERT_EQ(setxattr(path.c_str(), "trusted.x", "one", 3, 0), 0);
  EXPECT_EQ(getxattr(path.c_str(), "trusted.x", value, sizeof value), 3);
  EXPECT_EQ(getxattr(path.c_str(), "trusted.x", nullptr, 0), 3);
  EXPECT_EQ(error_of(static_cast<int>(getxattr(path.c_str(), "trusted.x", value, 2))),
            ERANGE);
  EXPECT_EQ(error_of(setxattr(path.c_str(), "trusted.x", "1", 1, XATTR_CREATE)), EEXIST);
  EXPECT_EQ(listxattr(path.c_str(), value, sizeof value), 10);
  EXPECT_EQ(removexattr(path.c_str(), "trusted.x"), 0);
  EXPECT_EQ(error_of(removexattr(path.c_str(), "trusted.x")), ENODATA);
}

TEST_F(TreeOps, ADirectoryCannotBeSynced) {
  const owned_fd dir{open(dir_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  EXPECT_EQ(error_of(fsync(dir.get())), EINVAL);
  EXPECT_EQ(error_of(fdatasync(dir.get())), EINVAL);
}

TEST_F(TreeOps, TheFileSystemIsEmptyAsSysfsIs) {
  struct statvfs seen{};
  ASSERT_EQ(statvfs(dir_.c_str(), &seen), 0);
  EXPECT_EQ(seen.f_bsize, 4096u);
  EXPECT_EQ(seen.f_blocks, 0u);
  EXPECT_EQ(seen.f_namemax, 255u);
}

}  // namespace
}  // namespace memhp::test
