#include "emu/slab_sysfs.h"

#include "tests/emu/slab_fixture.h"

namespace memhp {
namespace {

using testing::ElementsAre;
using testing::Not;

TEST(SlabFiles, ShowWhatTheCacheIs) {
  slab_machine m;
  (void)m.create("box", {.object_size = 100,
                         .flags = slab_hwcache_align | slab_poison | slab_store_user,
                         .constructor = true});
  EXPECT_EQ(m.cache_file("box", "object_size"), "100");
  EXPECT_EQ(m.cache_file("box", "slab_size"), "192");
  EXPECT_EQ(m.cache_file("box", "align"), "64");
  EXPECT_EQ(m.cache_file("box", "objs_per_slab"), std::to_string(page_size / 192));
  EXPECT_EQ(m.cache_file("box", "order"), "0");
  EXPECT_EQ(m.cache_file("box", "poison"), "1");
  EXPECT_EQ(m.cache_file("box", "store_user"), "1");
  EXPECT_EQ(m.cache_file("box", "red_zone"), "0");
  EXPECT_EQ(m.cache_file("box", "hwcache_align"), "1");
  EXPECT_EQ(m.cache_file("box", "ctor"), "ctor");
  EXPECT_EQ(m.cache_file("box", "cpu_partial"), "0");
  EXPECT_EQ(m.cache_file("box", "shrink"), "");
}

TEST(SlabFiles, CountByNodeAndByCpu) {
  slab_machine m;
  const cache_ref cache = m.create("box", {.object_size = 256});
  EXPECT_EQ(m.cache_file("box", "objects"), "0");
  for (int i = 0; i < 3; ++i) (void)m.alloc(cache, 0);
  (void)m.alloc(cache, 1);
  const unsigned each = cache->layout.objects;
  EXPECT_EQ(m.cache_file("box", "objects"), "4 N0=3 N1=1");
  EXPECT_EQ(m.cache_file("box", "total_objects"),
            fmt::format("{} N0={} N1={}", 2 * each, each, each));
  EXPECT_EQ(m.cache_file("box", "slabs"), "2 N0=1 N1=1");
  EXPECT_EQ(m.cache_file("box", "cpu_slabs"), "2 N0=1 N1=1");
  EXPECT_EQ(m.cache_file("box", "partial"), "0");
  EXPECT_EQ(m.put("box", "cpu_partial", "0"), 0);  // flushes, too
  EXPECT_EQ(m.cache_file("box", "cpu_slabs"), "0");
  EXPECT_EQ(m.cache_file("box", "partial"), "2 N0=1 N1=1");
  EXPECT_EQ(m.cache_file("box", "objects_partial"), "4 N0=3 N1=1");
  EXPECT_EQ(m.cache_file("box", "slabs_cpu_partial"), "0(0)");
}

TEST(SlabFiles, ShowTheSlabsThatACpuKeeps) {
  slab_machine m;
  const cache_ref cache = m.create("box", {.object_size = 256});
  const unsigned each = cache->layout.objects;
  std::vector<phys_addr> objects;
  for (unsigned i = 0; i < 3 * each; ++i) objects.push_back(m.alloc(cache, 0));
  // The three are full and nobody's: an object that is freed puts one on the list.
  cache->flush_cpu_slab(0);
  for (unsigned i = 0; i < 3; ++i) EXPECT_EQ(error_of(cache->free(objects[i * each])), 0);
  EXPECT_EQ(m.cache_file("box", "partial"), "3 N0=3");
  (void)m.alloc(cache, 0);  // takes one, keeps the others
  EXPECT_EQ(m.cache_file("box", "slabs_cpu_partial"),
            fmt::format("{0}(2) C0={0}(2)", 2 * each / 2));
  EXPECT_EQ(m.cache_file("box", "cpu_slabs"), "3 N0=3");
}

TEST(SlabFiles, TakeTheirTunables) {
  slab_machine m;
  (void)m.create("box", {.object_size = 256});
  (void)m.create("checked", {.object_size = 256, .flags = slab_red_zone});
  EXPECT_EQ(m.put("box", "min_partial", "17\n"), 0);
  EXPECT_EQ(m.cache_file("box", "min_partial"), "17");
  EXPECT_EQ(m.put("box", "min_partial", "x"), EINVAL);
  EXPECT_EQ(m.put("box", "cpu_partial", "30"), 0);
  EXPECT_EQ(m.cache_file("box", "cpu_partial"), "30");
  EXPECT_EQ(m.put("box", "cpu_partial", "0x100000000"), ERANGE);
  EXPECT_EQ(m.put("checked", "cpu_partial", "1"), EINVAL);
  EXPECT_EQ(m.put("checked", "cpu_partial", "0"), 0);
  EXPECT_EQ(m.put("box", "remote_node_defrag_ratio", "40"), 0);
  EXPECT_EQ(m.cache_file("box", "remote_node_defrag_ratio"), "40");
  EXPECT_EQ(m.put("box", "remote_node_defrag_ratio", "101"), ERANGE);
  EXPECT_EQ(m.put("box", "shrink", "0"), EINVAL);
  EXPECT_EQ(m.put("box", "shrink", "1"), 0);
  EXPECT_EQ(m.put("box", "validate", "1"), EINVAL);  // not debugged
  EXPECT_EQ(m.put("checked", "validate", "1"), 0);
  EXPECT_EQ(m.put("box", "order", "1"), EACCES);
}

TEST(SlabFiles, OfAChildFollowItsRoot) {
  slab_machine m;
  const cache_ref root = m.create("box", {.object_size = 256});
  EXPECT_EQ(m.put("box", "min_partial", "8"), 0);
  ASSERT_TRUE(m.slab().memcg_create_kmem_cache(root, 7));
  const std::string child = "box/cgroup/box(7:memcg7)";
  EXPECT_EQ(m.cache_file(child, "min_partial"), "8");
  EXPECT_EQ(m.put("box", "min_partial", "9"), 0);
  EXPECT_EQ(m.cache_file(child, "min_partial"), "9");
  EXPECT_EQ(m.put(child, "min_partial", "5"), 0);
  EXPECT_EQ(m.cache_file("box", "min_partial"), "9");
  EXPECT_EQ(error_of(m.slab().memcg_create_kmem_cache(root, 7)), EEXIST);
  EXPECT_EQ(error_of(m.slab().kmem_cache_destroy(root)), 0);
  EXPECT_EQ(error_of(m.slab().memcg_create_kmem_cache(root, 8)), ENOENT);
  m->flush_workqueues();
  EXPECT_FALSE(m.exists("kernel/slab/box"));
}

TEST(SlabFiles, OfAChildStayAloneWhereStoresReachOneCacheOnly) {
  machine_config config = two_nodes();
  config.rules.cache_store = cache_store_reach::own_cache_only;
  slab_machine m{config};
  const cache_ref root = m.create("box", {.object_size = 256});
  ASSERT_TRUE(m.slab().memcg_create_kmem_cache(root, 7));
  EXPECT_EQ(m.put("box", "min_partial", "9"), 0);
  EXPECT_EQ(m.cache_file("box/cgroup/box(7:memcg7)", "min_partial"), "5");
}

TEST(SlabFiles, AreAnnouncedAndRemoved) {
  slab_machine m;
  m.new_uevents();
  const cache_ref cache = m.create("box", {.object_size = 64});
  EXPECT_EQ(error_of(m.slab().kmem_cache_destroy(cache)), 0);
  m->flush_workqueues();
  EXPECT_THAT(m.new_uevents(),
              ElementsAre("add@/kernel/slab/box", "remove@/kernel/slab/box"));
  EXPECT_FALSE(m.exists("kernel/slab/box"));
  EXPECT_TRUE(m.exists("kernel/slab"));
}

// The flaw of removal by a work item.
TEST(SlabFiles, KeepTheNameTakenUntilTheWorkHasRun) {
  slab_machine m;
  const cache_ref cache = m.create("box", {.object_size = 64});
  EXPECT_EQ(error_of(m.slab().kmem_cache_destroy(cache)), 0);
  EXPECT_TRUE(m.exists("kernel/slab/box"));
  EXPECT_EQ(error_of(m.slab().kmem_cache_create("box", {.object_size = 64})), EEXIST);
  EXPECT_THAT(m.log.back(), testing::HasSubstr("duplicate filename '/kernel/slab/box'"));
  m->flush_workqueues();
  EXPECT_TRUE(m.slab().kmem_cache_create("box", {.object_size = 64}));
}

TEST(SlabFiles, FreeTheNameAtOnceInTheOtherEras) {
  for (const auto removal : {cache_files_removal::under_slab_mutex,
                             cache_files_removal::deleted_under_slab_mutex,
                             cache_files_removal::after_locks}) {
    machine_config config = two_nodes();
    config.rules.cache_files = removal;
    slab_machine m{config};
    for (int i = 0; i < 3; ++i) {
      const cache_ref cache = m.create("box", {.object_size = 64});
      EXPECT_EQ(error_of(m.slab().kmem_cache_destroy(cache)), 0);
      EXPECT_FALSE(m.exists("kernel/slab/box"));
    }
    m->flush_workqueues();
    EXPECT_THAT(m.uevents, testing::Contains("remove@/kernel/slab/box").Times(3));
  }
}

}  // namespace
}  // namespace memhp
