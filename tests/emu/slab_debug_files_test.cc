#include "emu/slab_debug_files.h"

#include "tests/emu/slab_fixture.h"

namespace memhp {
namespace {

TEST(CacheCommands, CreateFillAndDestroy) {
  slab_machine m;
  EXPECT_EQ(
      m.debug("kmem_cache_create", "box size=256 align=64 debug=FZ reclaim_account\n"),
      0);
  EXPECT_EQ(m.cache_file("box", "sanity_checks"), "1");
  EXPECT_EQ(m.cache_file("box", "red_zone"), "1");
  EXPECT_EQ(m.cache_file("box", "poison"), "0");
  EXPECT_EQ(m.cache_file("box", "reclaim_account"), "1");
  EXPECT_EQ(m.debug("kmem_cache_alloc", "box"), 0);
  EXPECT_EQ(m.debug("kmem_cache_alloc", "box 40 node=1"), 0);
  EXPECT_EQ(m.debug("kmem_cache_alloc", "box 2 cpu=1"), 0);
  EXPECT_EQ(m.cache_file("box", "objects"), "43 N0=1 N1=42");
  EXPECT_EQ(m.set(4, "offline"), EBUSY);
  EXPECT_EQ(m.debug("kmem_cache_destroy", "box"), EBUSY);
  EXPECT_EQ(m.debug("kmem_cache_free", "box 42"), 0);
  EXPECT_EQ(m.debug("kmem_cache_alloc", "box"), 0);  // refused to go, so it still serves
  EXPECT_EQ(m.debug("kmem_cache_free", "box 2"), 0);
  EXPECT_EQ(m.debug("kmem_cache_free", "box"), EINVAL);
  EXPECT_EQ(m.debug("kmem_cache_destroy", "box\n"), 0);
  EXPECT_EQ(m.debug("kmem_cache_destroy", "box"), ENOENT);
  EXPECT_EQ(m.debug("kmem_cache_alloc", "box"), ENOENT);
  EXPECT_EQ(m.debug("kmem_cache_create", "box size=256"), EEXIST);
  m->flush_workqueues();
  EXPECT_EQ(m.debug("kmem_cache_create", "box size=256"), 0);
  EXPECT_EQ(m.set(4, "offline"), 0);
}

TEST(CacheCommands, WantTheirWords) {
  slab_machine m;
  for (const auto bad : {"\n", "box", "box size=x", "box size=2", "box size=64 align=3",
                         "box size=64 debug=Q", "box size=64 red", "box size=64 x=1",
                         "box size=0x100000000", "a/b size=64"})
    EXPECT_EQ(m.debug("kmem_cache_create", bad), EINVAL) << bad;
  EXPECT_EQ(m.debug("kmem_cache_create", "box size=64"), 0);
  for (const auto bad : {"\n", "box x", "box 1 2", "box 1 cpu=9", "box cpu=x",
                         "box node=9", "box 1 socket=1"})
    EXPECT_EQ(m.debug("kmem_cache_alloc", bad), EINVAL) << bad;
  EXPECT_EQ(m.debug("kmem_cache_free", "other"), ENOENT);
  EXPECT_EQ(m.debug("kmem_cache_memcg", "box"), EINVAL);
  EXPECT_EQ(m.debug("kmem_cache_memcg", "other 1"), ENOENT);
  EXPECT_EQ(m.debug("kmem_cache_memcg", "box 3"), 0);
  EXPECT_TRUE(m.exists("kernel/slab/box/cgroup/box(3:memcg3)/objects"));
}

TEST(Torture, RunsWithBothThreadsAtOnce) {
  slab_machine m;
  const std::string count = std::to_string(rounds / 10);
  auto onoff =
      std::async(std::launch::async, [&] { return m.debug("torture_onoff", count); });
  EXPECT_EQ(m.debug("torture_stats", count), 0);
  EXPECT_EQ(onoff.get(), 0);
  EXPECT_EQ(m.k().cpus.num_online_cpus(), 4U);
  EXPECT_TRUE(m.slab().names().empty());
  EXPECT_EQ(m.slab_pages(), 0U);
  m->flush_workqueues();
  EXPECT_TRUE(m.children("kernel/slab").empty());
}

TEST(Torture, EndsWithASignal) {
  slab_machine m;
  task by;
  by.signal();
  for (const auto file :
       {"kernel/debug/memhp/torture_onoff", "kernel/debug/memhp/torture_stats"})
    EXPECT_EQ(error_of(m->write(file, "1000000000", by)), EINTR);
  EXPECT_EQ(m.debug("torture_stats", "x"), EINVAL);
}

TEST(Torture, NeedsACpuThatCanGo) {
  machine_config config = two_nodes();
  config.cpus = 1;
  test_machine m{config};
  EXPECT_EQ(m.debug("torture_onoff", "1"), ENODEV);
}

}  // namespace
}  // namespace memhp
