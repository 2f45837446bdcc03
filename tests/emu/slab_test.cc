#include "emu/slab.h"

#include <set>

#include "tests/emu/slab_fixture.h"

namespace memhp {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Slab, GivesEveryObjectOnceAndTakesItBackOnce) {
  slab_machine m;
  const cache_ref cache = m.create("box", {.object_size = 256});
  std::set<std::uint64_t> objects;
  for (unsigned i = 0; i < 1000; ++i) {
    const phys_addr object = m.alloc(cache, i % 4);
    EXPECT_TRUE(objects.insert(object.value).second);
    EXPECT_EQ(cache->validate(), 0U);
  }
  std::uint64_t last = 0;
  for (const std::uint64_t object : objects) {
    EXPECT_GE(object - last, last == 0 ? 0 : cache->layout.size);
    last = object;
  }
  for (const std::uint64_t object : objects)
    EXPECT_EQ(error_of(cache->free({object})), 0);
  EXPECT_EQ(error_of(cache->free({last})), EINVAL);
  EXPECT_EQ(error_of(cache->free({1})), EINVAL);
  EXPECT_EQ(cache->validate(), 0U);
  EXPECT_THAT(cache->objects_by_node(), IsEmpty());
  EXPECT_EQ(error_of(m.slab().kmem_cache_destroy(cache)), 0);
  EXPECT_EQ(m.slab_pages(), 0U);
}

TEST(Slab, KeepsItsBlockOnline) {
  slab_machine m;
  const cache_ref cache = m.create("box", {.object_size = 256});
  const phys_addr object = m.alloc(cache, 1);  // CPU 1 is in node 1: memory4
  EXPECT_EQ(m.k().block_of(object).value, 4U);
  EXPECT_EQ(m.set(4, "offline"), EBUSY);
  EXPECT_EQ(m.set(5, "offline"), 0);
  EXPECT_EQ(error_of(cache->free(object)), 0);
  EXPECT_EQ(m.set(4, "offline"), EBUSY);  // the CPU still has the empty slab
  m.slab().kmem_cache_shrink(*cache);
  EXPECT_EQ(m.set(4, "offline"), 0);
  EXPECT_EQ(m.k().block_of(m.alloc(cache, 1)).value, 6U);  // the next that is online
}

TEST(Slab, TakesNothingFromMovableMemory) {
  slab_machine m{with_dimm(2)};
  EXPECT_EQ(m.set(32, "online_movable"), 0);
  const cache_ref cache = m.create("box", {.object_size = 4096});
  EXPECT_LT(m.k().block_of(*cache->alloc(0, 2)).value, 32U);
}

TEST(Slab, FallsBackToTheNextNodeAndEndsWithNotEnoughMemory) {
  machine_config config{.nodes = 2, .memory = 128 * MiB};
  config.cpus = 2;
  slab_machine m{config};
  const cache_ref cache = m.create("box", {.object_size = 1 * MiB});
  std::set<int> nodes;
  for (;;) {
    const auto object = cache->alloc(1);
    if (!object) {
      EXPECT_EQ(object.error(), errc::not_enough_memory);
      break;
    }
    nodes.insert(m.device_of(m.k().block_of(*object).value).block.nid);
  }
  EXPECT_THAT(nodes, ElementsAre(0, 1));
  // All but the first MiB, and the one that the ACPI tables at the end are in.
  EXPECT_EQ(m.slab_pages() * page_size, 254 * MiB);
}

TEST(Slab, CountsAsUsedMemoryOfItsNode) {
  slab_machine m;
  const cache_ref plain = m.create("plain", {.object_size = 4096});
  const cache_ref inodes =
      m.create("inodes", {.object_size = 4096, .flags = slab_reclaim_account});
  (void)m.alloc(plain, 1);
  (void)m.alloc(inodes, 1);
  const std::string meminfo = m.node(1, "meminfo");
  const auto kib = [&](const cache_ref& c) {
    return (page_size << c->layout.order) / 1024;
  };
  EXPECT_THAT(meminfo,
              testing::ContainsRegex(fmt::format("SUnreclaim: +{} kB", kib(plain))));
  EXPECT_THAT(meminfo,
              testing::ContainsRegex(fmt::format("SReclaimable: +{} kB", kib(inodes))));
  EXPECT_THAT(meminfo, testing::ContainsRegex(
                           fmt::format("MemUsed: +{} kB", kib(plain) + kib(inodes))));
}

TEST(CpuSlab, GoesBackToTheNodeWhenItsCpuGoesDown) {
  slab_machine m;
  const cache_ref cache = m.create("box", {.object_size = 256});
  (void)m.alloc(cache, 3);
  EXPECT_THAT(cache->cpu_slabs_by_node(), ElementsAre(testing::Pair(1, 1)));
  EXPECT_EQ(error_of(remove_cpu(m.k(), 3)), 0);
  EXPECT_THAT(cache->cpu_slabs_by_node(), IsEmpty());
  EXPECT_THAT(cache->partial_slabs_by_node(), ElementsAre(testing::Pair(1, 1)));
  EXPECT_EQ(cache->validate(), 0U);
  (void)m.alloc(cache, 3);  // on another CPU
  EXPECT_EQ(cache->validate(), 0U);
}

TEST(CpuSlab, IsNotKeptWhenTheCacheIsDebugged) {
  slab_machine m;
  const cache_ref cache = m.create("box", {.object_size = 256, .flags = slab_poison});
  (void)m.alloc(cache, 0);
  EXPECT_THAT(cache->cpu_slabs_by_node(), IsEmpty());
  EXPECT_THAT(cache->partial_slabs_by_node(), ElementsAre(testing::Pair(0, 1)));
}

TEST(Partial, EmptySlabsAreKeptUpToMinPartial) {
  slab_machine m;
  const cache_ref cache = m.create("box", {.object_size = 4096, .flags = slab_trace});
  std::vector<phys_addr> objects;
  for (unsigned i = 0; i < 20 * cache->layout.objects; ++i)
    objects.push_back(m.alloc(cache, 0));
  for (const phys_addr object : objects) EXPECT_EQ(error_of(cache->free(object)), 0);
  EXPECT_THAT(cache->slabs_by_node(),
              ElementsAre(testing::Pair(0, cache->min_partial.load())));
  m.slab().kmem_cache_shrink(*cache);
  EXPECT_THAT(cache->slabs_by_node(), IsEmpty());
}

TEST(MemoryCallback, GivesANodeThatGetsItsFirstMemoryAPlaceInEveryCache) {
  slab_machine m{with_dimm(1)};
  const cache_ref before = m.create("before", {.object_size = 256});
  EXPECT_FALSE(before->node(2).present);
  EXPECT_EQ(m.set(32, "online_kernel"), 0);
  EXPECT_TRUE(before->node(2).present);
  EXPECT_TRUE(m.create("after", {.object_size = 256})->node(2).present);
  EXPECT_EQ(m.k().block_of(*before->alloc(0, 2)).value, 32U);
  EXPECT_EQ(m.set(32, "offline"), EBUSY);
}

TEST(MemoryCallback, ForgetsANodeThatLostItsMemory) {
  slab_machine m{with_dimm(1)};
  EXPECT_EQ(m.set(32, "online"), 0);
  EXPECT_EQ(m.set(32, "offline"), 0);
  EXPECT_FALSE(m.create("after", {.object_size = 256})->node(2).present);
}

TEST(Create, WantsANameAndASize) {
  slab_machine m;
  const auto error = [&](std::string_view name, unsigned size) {
    return error_of(m.slab().kmem_cache_create(name, {.object_size = size}));
  };
  EXPECT_EQ(error("", 64), EINVAL);
  EXPECT_EQ(error("a/b", 64), EINVAL);
  EXPECT_EQ(error("..", 64), EINVAL);
  EXPECT_EQ(error("box", 4), EINVAL);
  EXPECT_EQ(error("box", 64), 0);
  EXPECT_EQ(error("box", 64), EEXIST);
}

TEST(Destroy, RefusesWhileObjectsAreLeft) {
  slab_machine m;
  const cache_ref cache = m.create("box", {.object_size = 64});
  const phys_addr object = m.alloc(cache, 0);
  EXPECT_EQ(error_of(m.slab().kmem_cache_destroy(cache)), EBUSY);
  EXPECT_THAT(m.log.back(), testing::HasSubstr("box: Slab cache still has objects"));
  EXPECT_EQ(m.slab().find("box"), cache);
  EXPECT_TRUE(m.exists("kernel/slab/box/objects"));
  EXPECT_EQ(error_of(cache->free(object)), 0);
  EXPECT_EQ(error_of(m.slab().kmem_cache_destroy(cache)), 0);
  EXPECT_EQ(error_of(m.slab().kmem_cache_destroy(cache)), ENOENT);
  EXPECT_THAT(m.slab().names(), IsEmpty());
}

// Memory and CPUs that come and go while every CPU allocates and frees.
TEST(Slab, KeepsItsBooksUnderConcurrency) {
  slab_machine m;
  const cache_ref cache = m.create("box", {.object_size = 512});
  std::vector<std::jthread> threads;
  for (unsigned cpu = 0; cpu < 4; ++cpu)
    threads.emplace_back([&, cpu] {
      std::vector<phys_addr> mine;
      for (unsigned i = 0; i < rounds; ++i) {
        if (i % 3 != 2)
          mine.push_back(m.alloc(cache, cpu));
        else if (auto ok = cache->free(mine[i / 3]); !ok)
          ADD_FAILURE() << "lost an object";
      }
      for (std::size_t i = rounds / 3; i < mine.size(); ++i)
        EXPECT_EQ(error_of(cache->free(mine[i])), 0);
    });
  for (unsigned i = 0; i < rounds / 20; ++i) {
    EXPECT_EQ(error_of(remove_cpu(m.k(), 1 + i % 3)), 0);
    m.slab().kmem_cache_shrink(*cache);
    EXPECT_EQ(error_of(add_cpu(m.k(), 1 + i % 3)), 0);
    (void)m.set(5, i % 2 == 0 ? "offline" : "online");
  }
  threads.clear();
  EXPECT_EQ(cache->validate(), 0U);
  EXPECT_EQ(error_of(m.slab().kmem_cache_destroy(cache)), 0);
  EXPECT_EQ(m.slab_pages(), 0U);
}

}  // namespace
}  // namespace memhp
