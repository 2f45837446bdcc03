#include "blocks/host_memory.h"

#include <gmock/gmock.h>
#include <linux/memfd.h>
#include <numaif.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <csignal>
#include <filesystem>

#include "blocks/units.h"
#include "tests/blocks/memory_fixture.h"

namespace memhp {
namespace {

// A tree of control groups in a directory of its own.
class CgroupRoom : public testing::Test {
 protected:
  CgroupRoom() { std::filesystem::create_directory(root_); }
  ~CgroupRoom() override { std::filesystem::remove_all(root_); }

  void put(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root_ + "/" + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream{file} << text;
  }

  const std::string root_ =
      testing::TempDir() + "memhp-cgroup-" + std::to_string(getpid());
};

TEST_F(CgroupRoom, IsNoneWithoutALimit) {
  put("a/memory.max", "max\n");
  put("a/memory.current", "5000\n");
  EXPECT_EQ(cgroup_room("0::/a\n", root_), std::nullopt);
  EXPECT_EQ(cgroup_room("0::/\n", root_), std::nullopt);
  EXPECT_EQ(cgroup_room("", root_), std::nullopt);
}

TEST_F(CgroupRoom, IsTheLimitLessWhatIsUsed) {
  put("a/memory.max", "10000\n");
  put("a/memory.current", "4000\n");
  EXPECT_EQ(cgroup_room("0::/a\n", root_), 6000U);
}

TEST_F(CgroupRoom, CountsPageCacheAsRoom) {
  put("a/memory.max", "10000\n");
  put("a/memory.current", "4000\n");
  put("a/memory.stat", "anon 3000\nactive_file 500\ninactive_file 1000\n");
  EXPECT_EQ(cgroup_room("0::/a\n", root_), 7000U);
}

TEST_F(CgroupRoom, IsTheLeastOfAllGroupsAbove) {
  put("a/b/memory.max", "10000\n");
  put("a/b/memory.current", "0\n");
  put("a/memory.max", "9000\n");
  put("a/memory.current", "8500\n");
  EXPECT_EQ(cgroup_room("0::/a/b\n", root_), 500U);
}

TEST_F(CgroupRoom, IsZeroBeyondTheLimit) {
  put("memory.max", "1000\n");
  put("memory.current", "2000\n");
  EXPECT_EQ(cgroup_room("0::/\n", root_), 0U);
}

TEST_F(CgroupRoom, ReadsVersionOne) {
  put("memory/a/memory.limit_in_bytes", "10000\n");
  put("memory/a/memory.usage_in_bytes", "4000\n");
  put("memory/a/memory.stat", "cache 9\ntotal_inactive_file 100\n");
  EXPECT_EQ(cgroup_room("9:cpu,memory:/a\n1:cpuset:/a\n0::/\n", root_), 6100U);
  EXPECT_EQ(cgroup_room("9:memoryless:/a\n", root_), std::nullopt);
  put("memory/b/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(cgroup_room("9:memory:/b\n", root_), std::nullopt);
}

TEST(HostMemory, KnowsWhatIsAvailable) {
  const auto bytes = this_host().available_bytes(std::nullopt);
  EXPECT_GT(bytes, 0U);
  EXPECT_LT(bytes, 1024 * TiB);
  const auto nodes = this_host().topology().memory_nodes();
  if (nodes.empty()) GTEST_SKIP() << "the kernel has no NUMA support";
  const auto of_node = this_host().available_bytes(nodes[0]);
  EXPECT_GT(of_node, 0U);
}

TEST(HostMemory, KnowsThePool) {
  const hugetlb_pool pool{4};
  if (!pool.usable()) GTEST_SKIP() << "vm.nr_hugepages cannot be changed here";
  const auto before = this_host().free_huge_pages();
  EXPECT_GE(before, 4U);
  // A mapping reserves: not free any more, though unused.
  void* const at = mmap(nullptr, 4 * MiB, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
  ASSERT_NE(at, MAP_FAILED);
  EXPECT_EQ(this_host().free_huge_pages(), before - 2);
  munmap(at, 4 * MiB);
}

TEST(HostMemory, BindsToANode) {
  const auto nodes = this_host().topology().memory_nodes();
  if (nodes.empty()) GTEST_SKIP() << "the kernel has no NUMA support";
  void* const at =
      mmap(nullptr, MiB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(at, MAP_FAILED);
  for (const auto& [how, expected] : {std::pair{binding::strict, MPOL_BIND},
                                      std::pair{binding::preferred, MPOL_PREFERRED}}) {
    const auto bound =
        this_host().bind(static_cast<std::byte*>(at), MiB, nodes.back(), how);
    if (!bound && bound.error() == errc::operation_not_permitted) {
      munmap(at, MiB);
      GTEST_SKIP() << "mbind is not permitted here";
    }
    ASSERT_TRUE(bound);
    int mode = -1;
    unsigned long mask[16] = {};
    ASSERT_EQ(get_mempolicy(&mode, mask, 1024, at, MPOL_F_ADDR), 0);
    EXPECT_EQ(mode, expected);
    const auto node = static_cast<unsigned>(nodes.back());
    EXPECT_EQ(mask[node / 64], 1UL << (node % 64));
  }
  munmap(at, MiB);
}

// Kernels that interrupt fallocate(2) undo all of it; a timer must not keep it from
// ending. Newer ones end it for fatal signals alone.
TEST(HostMemory, AllocatesUnderATimer) {
  const owned_fd file{memfd_create("test", MFD_CLOEXEC)};
  constexpr auto size = 256 * MiB;
  ASSERT_EQ(ftruncate(file.get(), size), 0);
  static std::atomic<int> ticks;
  struct sigaction tick = {};
  struct sigaction before = {};
  tick.sa_handler = [](int) { ++ticks; };
  sigaction(SIGALRM, &tick, &before);
  const itimerval every = {.it_interval = {0, 4000}, .it_value = {0, 4000}};
  setitimer(ITIMER_REAL, &every, nullptr);
  const auto given = this_host().allocate(file.get(), 0, size);
  const itimerval never = {};
  setitimer(ITIMER_REAL, &never, nullptr);
  sigaction(SIGALRM, &before, nullptr);
  ASSERT_TRUE(given);
  EXPECT_GT(ticks, 0);
  struct stat status = {};
  ASSERT_EQ(fstat(file.get(), &status), 0);
  EXPECT_EQ(status.st_blocks * 512, size);
}

TEST(HostMemory, ReportsAFileThatCannotBeAllocated) {
  const auto given = this_host().allocate(-1, 0, page_size);
  ASSERT_FALSE(given);
  EXPECT_EQ(given.error(), errc::bad_file_descriptor);
}

TEST(HostMemory, ReportsAnAddressThatCannotBePopulated) {
  void* const at =
      mmap(nullptr, page_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(at, MAP_FAILED);
  EXPECT_FALSE(this_host().populate(static_cast<std::byte*>(at), page_size));
  munmap(at, page_size);
}

}  // namespace
}  // namespace memhp
