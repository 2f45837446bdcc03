// What can be done with an open file, as sysfs has it.
#include <poll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "tests/fuse/mounted_tree.h"

namespace memhp::test {
namespace {

class FileOps : public mounted_tree {};

TEST_F(FileOps, WhatIsWrittenIsReadBack) {
  EXPECT_EQ(write_file(file("plain"), "second\n"), returned(7));
  EXPECT_EQ(read_file(file("plain")).data, "second\n");
}

TEST_F(FileOps, EveryWriteIsOneCommandWhateverItsOffset) {
  const owned_fd fd = open_file("plain", O_WRONLY);
  EXPECT_EQ(write_fd(fd.get(), "one"), returned(3));
  EXPECT_EQ(write_fd(fd.get(), "two"), returned(3));
  EXPECT_EQ(device_.value(), "two");
  EXPECT_EQ(pwrite(fd.get(), "three", 5, 100'000), 5);
  EXPECT_EQ(device_.value(), "three");
  EXPECT_EQ(device_.stores, 3);
}

TEST_F(FileOps, ALongWriteIsCutToAPage) {
  for (const std::size_t size : {4097u, 6000u, 70'000u, 300'000u}) {
    const int before = device_.stores;
    EXPECT_EQ(write_file(file("plain"), std::string(size, 'x')), returned(4096));
    EXPECT_EQ(device_.stores, before + 1);
    EXPECT_EQ(device_.value().size(), 4096u);
  }
  EXPECT_EQ(write_file(file("slow"), std::string(6000, 'x')), returned(4096));
}

TEST_F(FileOps, ContentIsGeneratedAtOffsetZeroAndKept) {
  device_.set_value("online\n");
  const owned_fd fd = open_file("plain", O_RDONLY);
  char part[2];
  ASSERT_EQ(read(fd.get(), part, 2), 2);
  device_.set_value("offline\n");
  EXPECT_EQ(read_fd(fd.get()).data, "line\n");
  EXPECT_EQ(read_fd(fd.get()), returned(0));
  lseek(fd.get(), 0, SEEK_SET);
  EXPECT_EQ(read_fd(fd.get()).data, "offline\n");
  char text[16];
  device_.set_value("x");
  EXPECT_EQ(pread(fd.get(), text, sizeof text, 0), 1);
}

TEST_F(FileOps, EveryOpenFileHasItsOwnContent) {
  const owned_fd one = open_file("plain", O_RDONLY);
  const owned_fd two = open_file("plain", O_RDONLY);
  EXPECT_EQ(read_fd(one.get()).data, "first\n");
  device_.set_value("next\n");
  EXPECT_EQ(read_fd(two.get()).data, "next\n");
}

TEST_F(FileOps, AReadAfterAWriteGoesOnWhereTheWriteEnded) {
  const owned_fd fd = open_file("plain", O_RDWR);
  ASSERT_EQ(write_fd(fd.get(), "0123"), returned(4));
  EXPECT_EQ(read_fd(fd.get()), returned(0));
}

TEST_F(FileOps, ErrorsOfShowAndStoreReachTheCaller) {
  EXPECT_EQ(read_file(file("broken")), failed(EIO));
  EXPECT_EQ(write_file(file("broken"), "x"), failed(EIO));
}

TEST_F(FileOps, ODirectIsRefused) {
  const int fd = open(file("plain").c_str(), O_RDONLY | O_DIRECT);
  EXPECT_EQ(fd < 0 ? errno : 0, EINVAL);
}

TEST_F(FileOps, HarmlessOpenFlagsAreAccepted) {
  for (const int flag : {O_APPEND, O_NONBLOCK, O_SYNC, O_NOATIME, O_TRUNC})
    EXPECT_TRUE(open_file("plain", O_RDWR | flag));
}

TEST_F(FileOps, FallocateAndUnknownIoctlsAreRefused) {
  const owned_fd fd = open_file("plain", O_RDWR);
  EXPECT_EQ(fallocate(fd.get(), 0, 0, 10) < 0 ? errno : 0, EOPNOTSUPP);
  EXPECT_EQ(ioctl(fd.get(), TIOCGWINSZ, nullptr) < 0 ? errno : 0, ENOTTY);
}

TEST_F(FileOps, FionreadSaysWhatIsLeftOfAPage) {
  const owned_fd fd = open_file("plain", O_RDONLY);
  int left = -1;
  ASSERT_EQ(ioctl(fd.get(), FIONREAD, &left), 0);
  EXPECT_EQ(left, 4096);
  read_fd(fd.get());
  ASSERT_EQ(ioctl(fd.get(), FIONREAD, &left), 0);
  EXPECT_EQ(left, 4096 - 6);
}

TEST_F(FileOps, SeekingCountsFromAPage) {
  const owned_fd fd = open_file("plain", O_RDONLY);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_END), 4096);
  EXPECT_EQ(lseek(fd.get(), 10, SEEK_SET), 10);
  EXPECT_EQ(lseek(fd.get(), -20, SEEK_CUR) < 0 ? errno : 0, EINVAL);
}

TEST_F(FileOps, LocksAndFsyncWork) {
  const owned_fd fd = open_file("plain", O_RDWR);
  EXPECT_EQ(flock(fd.get(), LOCK_EX), 0);
  EXPECT_EQ(fsync(fd.get()), 0);
  EXPECT_EQ(fdatasync(fd.get()), 0);
}

TEST_F(FileOps, ASharedMappingIsRefused) {
  const owned_fd fd = open_file("plain", O_RDWR);
  EXPECT_EQ(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd.get(), 0), MAP_FAILED);
  EXPECT_EQ(errno, ENODEV);
}

TEST_F(FileOps, VectorsAndSendfileWork) {
  const owned_fd fd = open_file("plain", O_RDWR);
  iovec parts[2] = {{.iov_base = const_cast<char*>("on"), .iov_len = 2},
                    {.iov_base = const_cast<char*>("line"), .iov_len = 4}};
  EXPECT_EQ(writev(fd.get(), parts, 2), 6);
  EXPECT_EQ(device_.value(), "online");
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const owned_fd from{ends[0]}, to{ends[1]};
  lseek(fd.get(), 0, SEEK_SET);
  EXPECT_EQ(sendfile(to.get(), fd.get(), nullptr, 100), 6);
}

short polled(int fd) {
  pollfd asked{.fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLERR};
  EXPECT_GE(poll(&asked, 1, 0), 0);
  return asked.revents;
}

TEST_F(FileOps, PollReportsNewsUntilTheFirstRead) {
  const owned_fd fd = open_file("plain", O_RDWR);
  EXPECT_EQ(polled(fd.get()), POLLIN | POLLOUT | POLLPRI | POLLERR);
  read_fd(fd.get());
  EXPECT_EQ(polled(fd.get()), POLLIN | POLLOUT);
  write_file(file("plain"), "changed");
  EXPECT_EQ(polled(fd.get()), POLLIN | POLLOUT);
  root_.remove_by_name(*device_.dir, "plain");
  EXPECT_EQ(polled(fd.get()), POLLIN | POLLOUT | POLLPRI | POLLERR);
}

}  // namespace
}  // namespace memhp::test
