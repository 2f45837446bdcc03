#include "fuse/composed_sys.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "fuse/namespaces.h"
#include "tests/fuse/child_process.h"

namespace memhp {
namespace {

namespace fs = std::filesystem;

void put(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream{path} << text;
}

std::string text_of(const fs::path& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

// A host's /sys and a machine's tree, both file systems of their own in a namespace of
// their own.
struct worlds {
  std::string sys = "/tmp/sys";
  std::string tree = "/tmp/tree";

  worlds() {
    EXPECT_TRUE(enter_private_namespaces());
    EXPECT_EQ(mount("scratch", "/tmp", "tmpfs", 0, nullptr), 0);
    for (const std::string& dir : {sys, tree}) {
      fs::create_directory(dir);
      EXPECT_EQ(mount("test", dir.c_str(), "tmpfs", 0, nullptr), 0);
    }
    put(sys + "/devices/system/memory/whose", "host");
    put(sys + "/devices/system/other", "host other");
    put(sys + "/module/loop/parameters/max", "8");
    put(sys + "/module/plain", "a file");
    fs::create_symlink("loop", sys + "/module/alias");
    EXPECT_EQ(
        mount("below", (sys + "/module/loop/parameters").c_str(), "tmpfs", 0, nullptr),
        0);
    put(sys + "/module/loop/parameters/below", "mounted below");
    put(tree + "/devices/system/memory/whose", "machine");
    put(tree + "/module/memory_hotplug/whose", "machine module");
    put(tree + "/kernel/debug/memhp/help", "machine debug");
  }

  void place() const {
    auto parts = take_parts(
        tree, {"devices/system/memory", "module/memory_hotplug", "kernel/debug/memhp"});
    ASSERT_TRUE(parts) << parts.error();
    ASSERT_EQ(umount2(tree.c_str(), MNT_DETACH), 0);
    const auto placed = place_parts(*parts, sys);
    ASSERT_TRUE(placed) << placed.error();
  }
};

// As the user who runs the tests, and as an ordinary one.
void for_each_user(const std::function<void()>& body) {
  EXPECT_TRUE(passes_in_child(body));
  EXPECT_TRUE(passes_in_child([&] {
    become_ordinary_user();
    body();
  }));
}

TEST(ComposedSys, ExistingDirectoryIsCovered) {
  if (*no_user_namespace() != '\0') GTEST_SKIP() << no_user_namespace();
  for_each_user([] {
    const worlds both;
    both.place();
    EXPECT_EQ(text_of(both.sys + "/devices/system/memory/whose"), "machine");
    EXPECT_EQ(text_of(both.sys + "/devices/system/other"), "host other");
  });
}

TEST(ComposedSys, MissingDirectoryAppearsBesideWhatTheHostHas) {
  if (*no_user_namespace() != '\0') GTEST_SKIP() << no_user_namespace();
  for_each_user([] {
    const worlds both;
    both.place();
    EXPECT_EQ(text_of(both.sys + "/module/memory_hotplug/whose"), "machine module");
    EXPECT_EQ(text_of(both.sys + "/module/plain"), "a file");
    EXPECT_EQ(fs::read_symlink(both.sys + "/module/alias"), "loop");
    EXPECT_EQ(text_of(both.sys + "/module/alias/parameters/below"), "mounted below");
    EXPECT_EQ(text_of(both.sys + "/kernel/debug/memhp/help"), "machine debug");
  });
}

TEST(ComposedSys, DebugfsIsItsOwnersAlone) {
  if (*no_user_namespace() != '\0') GTEST_SKIP() << no_user_namespace();
  for (const bool host_has_it : {false, true})
    for_each_user([host_has_it] {
      const worlds both;
      if (host_has_it) fs::create_directories(both.sys + "/kernel/debug/other");
      both.place();
      struct stat st{};
      ASSERT_EQ(stat((both.sys + "/kernel/debug").c_str(), &st), 0);
      EXPECT_EQ(st.st_mode & 07777, 0700U);
      ASSERT_EQ(stat((both.sys + "/kernel").c_str(), &st), 0);
      EXPECT_EQ(st.st_mode & 07777, 0755U);
    });
}

TEST(ComposedSys, NothingIsCreatedInTheHostsOwnFileSystem) {
  if (*no_user_namespace() != '\0') GTEST_SKIP() << no_user_namespace();
  for_each_user([] {
    const worlds both;
    const int host = open(both.sys.c_str(), O_PATH | O_DIRECTORY);
    both.place();
    struct stat st{};
    EXPECT_EQ(fstatat(host, "kernel", &st, 0), -1);
    // Through the descriptor the host's directory is reached below what covers it.
    EXPECT_EQ(fstatat(host, "devices/system/other", &st, 0), 0);
  });
}

TEST(ComposedSys, PartThatTheTreeLacksIsAnError) {
  if (*no_user_namespace() != '\0') GTEST_SKIP() << no_user_namespace();
  EXPECT_TRUE(passes_in_child([] {
    const worlds both;
    const auto parts = take_parts(both.tree, {"bus/memory"});
    ASSERT_FALSE(parts);
    EXPECT_NE(parts.error().find("bus/memory"), std::string::npos);
  }));
}

TEST(ComposedSys, AbsentSysIsAnError) {
  if (geteuid() != 0 && *no_user_namespace() != '\0') GTEST_SKIP() << no_user_namespace();
  EXPECT_TRUE(passes_in_child([] {
    const worlds both;
    const auto parts = take_parts(both.tree, {"devices/system/memory"});
    ASSERT_TRUE(parts);
    const auto placed = place_parts(*parts, "/tmp/absent");
    ASSERT_FALSE(placed);
    EXPECT_NE(placed.error().find("/tmp/absent"), std::string::npos);
  }));
}

}  // namespace
}  // namespace memhp
