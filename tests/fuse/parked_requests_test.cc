// Writers and readers that sleep, and what goes on beside them.
#include "fuse/parked_requests.h"

#include <sys/inotify.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "tests/fuse/mounted_tree.h"

namespace memhp::test {
namespace {

class ParkedRequests : public mounted_tree {};

TEST_F(ParkedRequests, AnotherFileIsReadWhileAWriterIsParked) {
  auto parked = start_write("slow", "park");
  wait_parked(1);
  EXPECT_EQ(read_file(file("plain")).data, "first\n");
  device_.here.open();
  EXPECT_EQ(parked.get(), returned(4));
}

TEST_F(ParkedRequests, TheSameFileIsReadWhileAWriterIsParked) {
  auto parked = start_write("slow", "park");
  wait_parked(1);
  EXPECT_EQ(read_file(file("slow")).data, "first\n");
}

// The kernel takes the inode lock for it, which it holds for the writer. grep does it; at
// once, because its name is looked up again soon.
TEST_F(ParkedRequests, HolesOfTheSameFileAreLookedForAsSoonAsAWriterIsParked) {
  auto parked = start_write("slow", "park");
  while (device_.here.inside() != 1) std::this_thread::yield();
  const owned_fd reader = open_file("slow", O_RDONLY);
  auto looked = start([&reader] {
    const off_t at = lseek(reader.get(), 0, SEEK_DATA);
    return outcome{.value = at, .error = at < 0 ? errno : 0};
  });
  EXPECT_TRUE(eventually([&] {
    return looked.wait_for(std::chrono::seconds{0}) == std::future_status::ready;
  }));
  EXPECT_EQ(device_.here.inside(), 1);
  device_.here.open();
  looked.wait();
}

TEST_F(ParkedRequests, ASecondWriterOfTheSameFileGetsThrough) {
  auto parked = start_write("slow", "park");
  wait_parked(1);
  EXPECT_EQ(write_file(file("slow"), "second"), returned(6));
  device_.here.open();
  EXPECT_EQ(parked.get(), returned(4));
}

TEST_F(ParkedRequests, ASecondParkedWriterDoesNotHideTheThird) {
  auto one = start_write("slow", "park1");
  auto two = start_write("slow", "park2");
  wait_parked(2);
  EXPECT_EQ(write_file(file("slow"), "third"), returned(5));
}

TEST_F(ParkedRequests, EchoBesideAParkedWriterGetsThrough) {
  auto parked = start_write("slow", "park");
  wait_parked(1);
  EXPECT_EQ(echo(file("slow"), "echo"), returned(4));
  EXPECT_EQ(device_.stores, 1);
}

TEST_F(ParkedRequests, EchoBesideAParkedEchoGetsThrough) {
  auto parked = start_write("slow", "park", O_WRONLY | O_CREAT | O_TRUNC);
  wait_parked(1);
  EXPECT_EQ(echo(file("slow"), "echo"), returned(4));
}

TEST_F(ParkedRequests, AppendBesideAParkedWriterGetsThrough) {
  auto parked = start_write("slow", "park");
  wait_parked(1);
  EXPECT_EQ(write_file(file("slow"), "more", O_WRONLY | O_APPEND), returned(4));
}

TEST_F(ParkedRequests, AppendBesideAParkedAppendGetsThrough) {
  auto parked = start_write("slow", "park", O_WRONLY | O_APPEND);
  wait_parked(1);
  EXPECT_EQ(write_file(file("slow"), "more", O_WRONLY | O_APPEND), returned(4));
}

TEST_F(ParkedRequests, FortyEchoesCanBeParkedInAChain) {
  std::vector<std::future<outcome>> parked;
  for (int i = 1; i <= 40; ++i) {
    parked.push_back(start_write("slow", "park", O_WRONLY | O_CREAT | O_TRUNC));
    wait_parked(i);
  }
  EXPECT_EQ(echo(file("slow"), "echo"), returned(4));
  device_.here.open();
  for (auto& writer : parked) EXPECT_EQ(writer.get(), returned(4));
}

TEST_F(ParkedRequests, ChmodBesideAParkedWriterGetsThroughAndIsSeenByAll) {
  const owned_fd before = open_file("slow", O_RDONLY);
  auto parked = start_write("slow", "park");
  wait_parked(1);
  wait_name_expired("slow");
  EXPECT_EQ(chmod(file("slow").c_str(), 0600), 0);
  struct stat seen{};
  ASSERT_EQ(stat(file("slow").c_str(), &seen), 0);
  EXPECT_EQ(seen.st_mode & 07777, 0600u);
  // The older descriptor belongs to another node of the same file.
  EXPECT_TRUE(eventually([&] {
    fstat(before.get(), &seen);
    return (seen.st_mode & 07777) == 0600u;
  }));
}

TEST_F(ParkedRequests, TruncateBesideAParkedWriterGetsThrough) {
  auto parked = start_write("slow", "park");
  wait_parked(1);
  wait_name_expired("slow");
  EXPECT_EQ(truncate(file("slow").c_str(), 0), 0);
}

TEST_F(ParkedRequests, AliasesShowOneInodeNumber) {
  struct stat before{}, beside{};
  ASSERT_EQ(stat(file("slow").c_str(), &before), 0);
  auto parked = start_write("slow", "park");
  wait_parked(1);
  const owned_fd alias = open_file("slow", O_WRONLY);
  ASSERT_EQ(fstat(alias.get(), &beside), 0);
  EXPECT_EQ(before.st_ino, beside.st_ino);
}

TEST_F(ParkedRequests, EightRacingOpenersNeverHangAndNeverFail) {
  auto parked = start_write("slow", "park");
  wait_parked(1);
  std::vector<std::thread> openers;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 8; ++i)
    openers.emplace_back([&] {
      for (int round = 0; round < 40; ++round)
        if (echo(file("slow"), "echo") != returned(4)) ++wrong;
    });
  for (auto& opener : openers) opener.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(ParkedRequests, RacingOpenersWhoParkThemselvesNeverHang) {
  std::vector<std::future<outcome>> parked;
  for (int i = 0; i < 32; ++i)
    parked.push_back(start_write("slow", "park", O_WRONLY | O_CREAT | O_TRUNC));
  wait_parked(32);
  device_.here.open();
  for (auto& writer : parked) EXPECT_EQ(writer.get(), returned(4));
}

TEST_F(ParkedRequests, AReopenThroughProcSharesTheNode) {
  const owned_fd first = open_file("slow", O_WRONLY);
  const std::string self = "/proc/self/fd/" + std::to_string(first.get());
  EXPECT_EQ(write_file(self, "again"), returned(5));
}

TEST_F(ParkedRequests, OneThreadOpensTheSameFileManyTimes) {
  std::vector<owned_fd> open_files;
  for (int i = 0; i < 10; ++i) open_files.push_back(open_file("slow", O_RDWR));
  for (const owned_fd& fd : open_files) EXPECT_EQ(write_fd(fd.get(), "x"), returned(1));
}

// of->mutex: the same in the kernel.
TEST_F(ParkedRequests, OneOpenFileDoesOneThingAtATime) {
  const owned_fd shared = open_file("slow", O_RDWR);
  auto first = start([&] { return write_fd(shared.get(), "park"); });
  wait_parked(1);
  // Not write(): that would wait for the file position, in the kernel.
  auto second = start([&] { return returned(pwrite(shared.get(), "second", 6, 0)); });
  ASSERT_TRUE(eventually([&] { return stats_.parked == 2; }));
  EXPECT_EQ(device_.stores, 0);
  EXPECT_EQ(read_file(file("plain")).data, "first\n");
  device_.here.open();
  EXPECT_EQ(first.get(), returned(4));
  EXPECT_EQ(second.get(), returned(6));
}

TEST_F(ParkedRequests, TwoHundredWritersAreAnsweredLate) {
  std::vector<std::future<outcome>> parked;
  for (int i = 0; i < 200; ++i) parked.push_back(start_write("slow", "park"));
  wait_parked(200);
  EXPECT_EQ(stats_.parked, 200u);
  EXPECT_EQ(read_file(file("plain")).data, "first\n");
  device_.here.open();
  for (auto& writer : parked) EXPECT_EQ(writer.get(), returned(4));
  EXPECT_TRUE(eventually([&] { return stats_.parked == 0; }));
}

TEST_F(ParkedRequests, ReadersThatSleepDoNotHoldUpOthers) {
  std::vector<std::future<outcome>> readers;
  for (int i = 0; i < 40; ++i) readers.push_back(start_read("slow_read"));
  std::vector<std::future<outcome>> writers;
  for (int i = 0; i < 40; ++i) writers.push_back(start_write("slow", "park"));
  wait_parked(80);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(read_file(file("plain")).data, "first\n");
  device_.here.open();
  for (auto& reader : readers) EXPECT_GT(reader.get().value, 0);
}

TEST_F(ParkedRequests, TheRestOfWhatWasReadNeedsNoThread) {
  device_.set_value("0123456789");
  const owned_fd fd = open_file("slow_read", O_RDONLY);
  char first[4];
  auto reading = start([&] { return returned(read(fd.get(), first, sizeof first)); });
  wait_parked(1);
  device_.here.open();
  ASSERT_EQ(reading.get(), returned(4));
  EXPECT_EQ(read_fd(fd.get()).data, "456789");
}

TEST_F(ParkedRequests, ARestartedWriteSucceedsOnceItMay) {
  auto waiter = start_write("restarting", "online");
  ASSERT_TRUE(eventually([&] { return device_.restarts >= 3; }));
  EXPECT_GE(stats_.restarts, 2u);
  device_.here.open();
  EXPECT_EQ(waiter.get(), returned(6));
}

// Threads of this process that the pool has started.
int workers() {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/task"}) {
    std::ifstream comm{entry.path() / "comm"};
    std::string name;
    if (std::getline(comm, name) && name == "memhp-worker") ++count;
  }
  return count;
}

TEST_F(ParkedRequests, WaitingForARestartHoldsNoThread) {
  std::vector<std::future<outcome>> waiters;
  for (int i = 0; i < 150; ++i) waiters.push_back(start_write("restarting", "online"));
  ASSERT_TRUE(eventually([&] { return stats_.parked == 150; }));
  ASSERT_TRUE(eventually([&] { return device_.restarts >= 1500; }));
  EXPECT_LT(workers(), 150);
  device_.here.open();
  for (auto& waiter : waiters) EXPECT_EQ(waiter.get(), returned(6));
}

TEST_F(ParkedRequests, NobodyWhoWaitsForARestartStarves) {
  std::vector<std::future<outcome>> waiters;
  for (int i = 0; i < 100; ++i)
    waiters.push_back(start_write("restarting", "online", O_WRONLY | O_TRUNC));
  ASSERT_TRUE(eventually([&] { return stats_.parked == 100; }));
  EXPECT_EQ(read_file(file("restarting")).data, "first\n");
  device_.here.open();
  for (auto& waiter : waiters) EXPECT_EQ(waiter.get(), returned(6));
}

// A watch belongs to a node. Writers come through others only while they must.
TEST_F(ParkedRequests, AWatchOfTheFileSeesWritersAgainOnceItIsIdle) {
  const owned_fd watcher{inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
  ASSERT_GE(inotify_add_watch(watcher.get(), file("slow").c_str(), IN_MODIFY), 0);
  auto parked = start_write("slow", "park");
  wait_parked(1);
  EXPECT_EQ(echo(file("slow"), "echo"), returned(4));
  device_.here.open();
  parked.wait();
  std::array<char, 4096> events;
  while (read(watcher.get(), events.data(), events.size()) > 0) {
  }
  EXPECT_TRUE(eventually([&] {
    write_file(file("slow"), "later");
    return read(watcher.get(), events.data(), events.size()) > 0;
  }));
}

}  // namespace
}  // namespace memhp::test
