#include "emu/kernfs.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/xattr.h>

#include <future>
#include <map>
#include <random>
#include <set>

#include "tests/emu/machine_fixture.h"

namespace memhp {
namespace {

using testing::ElementsAre;

result<std::string> plain_show(kobject&, task&) {
  return "text\n";
}
constexpr attribute plain{.name = "plain", .mode = 0644, .show = plain_show};

struct timespec noon() {
  return {.tv_sec = 43'200, .tv_nsec = 5};
}

class Kernfs : public testing::Test {
 protected:
  std::vector<std::string> list(kernfs_node& dir, std::uint64_t after = 0) {
    std::vector<std::string> names;
    root_.for_each_child(dir, after, [&](kernfs_node& child) {
      names.emplace_back(child.name());
      return true;
    });
    return names;
  }
  kernfs_ref dir(std::string_view path) { return root_.make_path(path); }

  kobject owner_;
  kernfs_root root_{noon};
};

TEST_F(Kernfs, FindsWhatWasCreatedAndNothingElse) {
  const kernfs_ref a = dir("a/b");
  ASSERT_TRUE(root_.create_file(*a, plain, owner_));
  EXPECT_EQ((*root_.find("a/b/plain"))->attr(), &plain);
  EXPECT_EQ(root_.path_of(**root_.find("a/b/plain")), "a/b/plain");
  EXPECT_EQ(error_of(root_.find("a/c")), ENOENT);
  EXPECT_EQ(error_of(root_.find("a/b/plain/x")), ENOTDIR);
  EXPECT_EQ(error_of(root_.create_file(*a, plain, owner_)), EEXIST);
  EXPECT_EQ(error_of(root_.create_dir(*a, "plain")), EEXIST);
  EXPECT_EQ(dir("a/b"), a);
}

TEST_F(Kernfs, HidesTheSizesOfAllFilesThatComeBelowADirectory) {
  const kernfs_ref debug = dir("debug");
  root_.hide_sizes(*debug);
  for (const auto& [path, size] : {std::pair{"debug/a/b", 0U}, {"other", 4096U}}) {
    ASSERT_TRUE(root_.create_file(*dir(path), plain, owner_));
    EXPECT_EQ(root_.stat(**root_.find(std::string{path} + "/plain")).size, size);
  }
}

// Recorded: the attributes and blocks of a machine with eight of them.
TEST_F(Kernfs, ListsChildrenInTheKernelsOrder) {
  const std::vector<std::string> recorded = {"memory3",
                                             "uevent",
                                             "hard_offline_page",
                                             "memory1",
                                             "auto_online_blocks",
                                             "block_size_bytes",
                                             "power",
                                             "memory6",
                                             "soft_offline_page",
                                             "memory4",
                                             "memory2",
                                             "memory0",
                                             "memory7",
                                             "memory5"};
  std::vector<std::string> names = recorded;
  std::ranges::sort(names);
  for (const std::string& name : names) ASSERT_TRUE(root_.create_dir(*dir("d"), name));
  EXPECT_EQ(list(*dir("d")), recorded);
}

// Against std::map.
TEST_F(Kernfs, GoesOnListingAfterAnyCookie) {
  std::mt19937 random{1};
  const kernfs_ref top = dir("d");
  std::map<std::uint64_t, std::string> by_cookie;
  std::map<std::string, std::uint64_t> by_name;
  std::set<std::uint64_t> seen_inos;
  for (int step = 0; step < 4'000; ++step) {
    const std::string name = "n" + std::to_string(random() % 60);
    const bool shrink = step / 500 % 2 == 1;
    if (random() % 4 < (shrink ? 1U : 3U)) {
      const auto made = root_.create_dir(*top, name);
      ASSERT_EQ(made.has_value(), !by_name.contains(name));
      if (made) {
        EXPECT_TRUE(seen_inos.insert((*made)->ino()).second) << "inode number used twice";
        by_name[name] = (*made)->readdir_cookie();
        by_cookie[(*made)->readdir_cookie()] = name;
      }
    } else {
      root_.remove_by_name(*top, name);
      if (by_name.contains(name)) by_cookie.erase(by_name[name]);
      by_name.erase(name);
    }
    const auto found = root_.lookup(*top, name);
    ASSERT_EQ(found.has_value(), by_name.contains(name));
    ASSERT_EQ(root_.stat(*top).nlink, 2 + by_name.size());
    if (step % 50 != 0) continue;
    const std::uint64_t after = std::uint64_t{random() & 0x7fffffff} << 32;
    std::vector<std::string> expected;
    for (auto i = by_cookie.upper_bound(after); i != by_cookie.end(); ++i)
      expected.push_back(i->second);
    ASSERT_EQ(list(*top, after), expected);
  }
}

TEST_F(Kernfs, LinksAreRelative) {
  const kernfs_ref from = dir("devices/system/memory/memory1");
  const kernfs_ref to = dir("devices/system/node/node0");
  const auto link = root_.create_link(*from, "node0", *to);
  EXPECT_EQ(root_.readlink(**link), "../../node/node0");
  EXPECT_EQ(root_.readlink(**root_.create_link(*from, "up", *from->parent())),
            "../../memory");
  EXPECT_EQ(root_.readlink(**root_.create_link(*dir("bus/m"), "d", *to)),
            "../../devices/system/node/node0");
  EXPECT_EQ(root_.stat(**link).mode, static_cast<mode_t>(S_IFLNK | 0777));
}

TEST_F(Kernfs, ShowsAPageForAFileAndTheTimeOfTheFirstLook) {
  const auto file = root_.create_file(*dir("d"), plain, owner_);
  const kernfs_stat seen = root_.stat(**file);
  EXPECT_EQ(seen.size, 4096U);
  EXPECT_EQ(seen.mode, static_cast<mode_t>(S_IFREG | 0644));
  EXPECT_EQ(seen.mtime.tv_sec, 43'200);
  EXPECT_EQ(seen.mtime.tv_nsec, 5);
  EXPECT_EQ(root_.stat(*dir("d")).size, 0U);
}

TEST_F(Kernfs, KeepsWhatIsSetOnANode) {
  const auto file = *root_.create_file(*dir("d"), plain, owner_);
  const mode_t mode = 0400;
  const uid_t uid = 1000;
  const struct timespec when{.tv_sec = 7};
  root_.setattr(*file, {.mode = &mode, .uid = &uid, .mtime = &when});
  const kernfs_stat now = root_.stat(*file);
  EXPECT_EQ(now.mode, static_cast<mode_t>(S_IFREG | 0400));
  EXPECT_EQ(now.uid, 1000U);
  EXPECT_EQ(now.gid, 0U);
  EXPECT_EQ(now.mtime.tv_sec, 7);
  EXPECT_EQ(now.atime.tv_sec, 43'200);
}

TEST_F(Kernfs, StoresTrustedAndSecurityAttributesOnly) {
  kernfs_node& d = *dir("d");
  EXPECT_EQ(error_of(root_.setxattr(d, "trusted.a", "1", 0)), 0);
  EXPECT_EQ(error_of(root_.setxattr(d, "trusted.a", "2", XATTR_CREATE)), EEXIST);
  EXPECT_EQ(error_of(root_.setxattr(d, "security.b", "2", XATTR_REPLACE)), ENODATA);
  EXPECT_EQ(error_of(root_.setxattr(d, "user.c", "3", 0)), EOPNOTSUPP);
  EXPECT_EQ(*root_.getxattr(d, "trusted.a"), "1");
  EXPECT_EQ(error_of(root_.getxattr(d, "user.c")), ENODATA);
  for (const auto* const unknown : {"system.d", "system.", "foo.bar", "foo", "user"})
    EXPECT_EQ(error_of(root_.getxattr(d, unknown)), EOPNOTSUPP) << unknown;
  for (const auto* const prefix : {"user.", "trusted.", "security."}) {
    EXPECT_EQ(error_of(root_.getxattr(d, prefix)), EINVAL) << prefix;
    EXPECT_EQ(error_of(root_.setxattr(d, prefix, "1", 0)), EINVAL) << prefix;
    EXPECT_EQ(error_of(root_.removexattr(d, prefix)), EINVAL) << prefix;
  }
  EXPECT_THAT(root_.listxattr(d), ElementsAre("trusted.a"));
  EXPECT_EQ(error_of(root_.removexattr(d, "trusted.a")), 0);
  EXPECT_EQ(error_of(root_.removexattr(d, "trusted.a")), ENODATA);
}

TEST_F(Kernfs, RemovalWaitsForTheShowInFlightAndNobodyElseGetsIn) {
  const kernfs_ref d = dir("d");
  stopped_file stopped;
  const kernfs_ref file = *root_.create_file(*d, stopped_attr, stopped);
  auto open = *kernfs_open_file::open(*file, O_RDONLY);
  auto late = *kernfs_open_file::open(*file, O_RDONLY);
  auto shown = std::async(std::launch::async, [&] {
    task by;
    return *open->read(0, 100, by);
  });
  stopped.entered.wait();

  std::atomic<bool> removed = false;
  auto remover = std::async(std::launch::async, [&] {
    root_.remove(*d);
    removed = true;
  });
  ASSERT_TRUE(eventually([&] { return !file->active(); }));
  task by;
  EXPECT_EQ(error_of(late->read(0, 100, by)), ENODEV);
  EXPECT_EQ(error_of(kernfs_open_file::open(*file, O_RDONLY)), ENODEV);
  EXPECT_EQ(error_of(root_.lookup(*d, "stopped")), ENOENT);
  EXPECT_EQ(error_of(root_.create_dir(*d, "new")), ENODEV);
  EXPECT_TRUE(still_waits(remover));

  stopped.finish = [&] { return removed ? "too late\n" : "in time\n"; };
  stopped.go_on.count_down();
  EXPECT_EQ(shown.get(), "in time\n");
  remover.wait();
  EXPECT_EQ(error_of(root_.find("d")), ENOENT);
  EXPECT_EQ(file->name(), "stopped");  // the memory stays as long as somebody looks
}

TEST_F(Kernfs, TwoRemoversOfOneNodeBothReturnWhenItIsGone) {
  const kernfs_ref d = dir("d");
  stopped_file stopped;
  const kernfs_ref file = *root_.create_file(*d, stopped_attr, stopped);
  ASSERT_TRUE(file->get_active());
  const auto remove = [&] {
    root_.remove(*d);
    return !file->get_active() && !root_.find("d");
  };
  auto first = std::async(std::launch::async, remove);
  auto second = std::async(std::launch::async, remove);
  ASSERT_TRUE(eventually([&] { return !file->active(); }));
  EXPECT_TRUE(still_waits(first));
  EXPECT_TRUE(still_waits(second));
  file->put_active();
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(second.get());
}

// Writes down the tree's changes, by path.
class recorder final : public kernfs_observer {
 public:
  std::vector<std::string> seen;
  void node_added(kernfs_node& n) override { seen.push_back("+" + n.root().path_of(n)); }
  void node_removed(kernfs_node& n) override {
    seen.push_back("-" + n.root().path_of(n));
  }
};

TEST_F(Kernfs, TellsTheObserverLeavesBeforeTheirDirectory) {
  recorder seen;
  root_.set_observer(&seen);
  (void)root_.create_file(*dir("d"), plain, owner_);
  root_.remove(*dir("d"));
  root_.set_observer(nullptr);
  EXPECT_THAT(seen.seen, ElementsAre("+d", "+d/plain", "-d/plain", "-d"));
}

// Whoever gets an active reference keeps the node alive; whoever does not has nothing.
TEST_F(Kernfs, RemovalNeverEndsUnderAnActiveReference) {
  for (int round = 0; round < 50; ++round) {
    const kernfs_ref d = dir("d");
    std::atomic<bool> gone = false;
    std::vector<std::jthread> users;
    for (int i = 0; i < 3; ++i)
      users.emplace_back([&] {
        while (d->get_active()) {
          EXPECT_FALSE(gone);
          d->put_active();
        }
      });
    root_.remove(*d);
    gone = true;
  }
}

}  // namespace
}  // namespace memhp
