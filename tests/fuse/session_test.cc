// Beginning and end of serving.
#include "fuse/session.h"

#include <fcntl.h>
#include <sys/mount.h>

#include "tests/fuse/mounted_tree.h"

namespace memhp::test {
namespace {

class Session : public mounted_tree {};

TEST_F(Session, StopAnswersWhatSleepsAndWhatWaitsForARestart) {
  std::vector<std::future<outcome>> parked;
  for (int i = 0; i < 10; ++i) {
    parked.push_back(start_write("offline", "offline"));
    parked.push_back(start_write("restarting", "online"));
  }
  ASSERT_TRUE(eventually([&] { return stats_.parked == 20; }));
  wait_parked(10);
  // Opens and closes of the clients are served no more, so look at the writes alone.
  stop_session();
  EXPECT_TRUE(ended_);
  EXPECT_EQ(stats_.parked, 0u);
  fd_ = owned_fd{};  // the last copy: what was not read yet ends, too
  for (auto& writer : parked) EXPECT_EQ(writer.get(), failed(EINTR));
}

TEST_F(Session, StopAnswersTheClientOfADeafStoreAndThenWaitsForTheStore) {
  auto parked = start_write("slow", "park");
  wait_parked(1);
  session_->stop();
  ASSERT_TRUE(eventually([&] { return stats_.parked == 0; }));
  EXPECT_EQ(device_.here.inside(), 1);
  EXPECT_TRUE(server_.joinable());
  device_.here.open();
  server_.join();
  EXPECT_TRUE(ended_);
  EXPECT_EQ(device_.stores, 1);
  fd_ = owned_fd{};
  EXPECT_EQ(parked.get(), failed(EINTR));
}

TEST_F(Session, UnmountEndsRun) {
  ASSERT_TRUE(unmount_tree(dir_));
  server_.join();
  EXPECT_TRUE(ended_);
}

TEST_F(Session, AbortWithParkedRequestsEndsRunAndTheClients) {
  auto parked = start_write("offline", "offline");
  wait_parked(1);
  if (geteuid() != 0) GTEST_SKIP() << "only root can force an unmount";
  ASSERT_EQ(umount2(dir_.c_str(), MNT_FORCE | MNT_DETACH), 0) << strerror(errno);
  EXPECT_EQ(parked.get().value, -1);
  server_.join();
  EXPECT_TRUE(ended_);
  EXPECT_EQ(stats_.parked, 0u);
}

TEST_F(Session, ADescriptorThatIsNoFuseDeviceIsAnErrorNotAHang) {
  const owned_fd null{open("/dev/null", O_RDWR | O_CLOEXEC)};
  kernfs_root root;
  machine_stats stats;
  tree_session session{root, stats, null.get()};
  EXPECT_FALSE(session.run());
}

TEST_F(Session, TwoTreesAreServedSideBySide) {
  kernfs_root root;
  machine_stats stats;
  root.make_path("only/here");
  char name[] = "/tmp/memhp-tree-XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  auto mounted = mount_tree(name);
  ASSERT_TRUE(mounted) << mounted.error();
  const owned_fd fd{*mounted};
  tree_session session{root, stats, fd.get(), {.owner_uid = geteuid()}};
  std::thread server{[&] { EXPECT_TRUE(session.run()); }};
  EXPECT_EQ(access((std::string{name} + "/only/here").c_str(), F_OK), 0);
  EXPECT_EQ(access((std::string{name} + "/bus").c_str(), F_OK), -1);
  EXPECT_EQ(access(file("plain").c_str(), F_OK), 0);
  EXPECT_TRUE(unmount_tree(name));
  server.join();
  rmdir(name);
}

TEST_F(Session, OperationsAndErrorsAreCounted) {
  const auto reads = operations(stats_op::read);
  read_file(file("plain"));
  EXPECT_EQ(operations(stats_op::read), reads + 1);
  const auto missing = stats_.errors[ENOENT].load();
  read_file(file("missing"));
  EXPECT_EQ(stats_.errors[ENOENT], missing + 1);
  const auto broken = stats_.errors[EIO].load();
  write_file(file("broken"), "x");
  EXPECT_EQ(stats_.errors[EIO], broken + 1);
}

TEST_F(Session, TheOwnerOfTheTreeIsTheOneThatWasNamed) {
  struct stat seen{};
  ASSERT_EQ(stat(file("plain").c_str(), &seen), 0);
  EXPECT_EQ(seen.st_uid, geteuid());
  EXPECT_EQ(seen.st_gid, getegid());
}

}  // namespace
}  // namespace memhp::test
