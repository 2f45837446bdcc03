#include "emu/slab_layout.h"

#include <gtest/gtest.h>

#include "blocks/units.h"

namespace memhp {
namespace {

slab_layout layout_of(cache_shape shape, unsigned cpus = 4) {
  const auto layout = calculate_sizes(shape, cpus);
  EXPECT_TRUE(layout) << shape.object_size;
  return layout.value_or(slab_layout{});
}

TEST(Layout, OfAPlainCacheWastesNothing) {
  const slab_layout l = layout_of({.object_size = 256});
  EXPECT_EQ(l.size, 256U);
  EXPECT_EQ(l.inuse, 256U);
  EXPECT_EQ(l.offset, 128U);
  EXPECT_EQ(l.objects << 8, page_size << l.order);
  EXPECT_EQ(l.min_partial, 5U);
  EXPECT_EQ(l.cpu_partial, 52U);
}

TEST(Layout, RoundsSizesToWordsAndCacheLines) {
  EXPECT_EQ(layout_of({.object_size = 9}).size, 16U);
  EXPECT_EQ(layout_of({.object_size = 100, .flags = slab_hwcache_align}).size, 128U);
  EXPECT_EQ(layout_of({.object_size = 20, .flags = slab_hwcache_align}).size, 32U);
  EXPECT_EQ(layout_of({.object_size = 20, .align = 128}).size, 128U);
}

TEST(Layout, GrowsWithWhatDebuggingKeeps) {
  EXPECT_EQ(layout_of({.object_size = 64, .flags = slab_poison}).size, 72U);
  EXPECT_EQ(layout_of({.object_size = 64, .flags = slab_store_user}).size, 128U);
  EXPECT_EQ(layout_of({.object_size = 64, .flags = slab_red_zone}).size, 88U);
  EXPECT_EQ(layout_of({.object_size = 64, .constructor = true}).size, 72U);
  const slab_layout all = layout_of({.object_size = 64, .flags = slab_debug_flags});
  EXPECT_EQ(all.size, 160U);
  EXPECT_EQ(all.cpu_partial, 0U);
}

TEST(Layout, HoldsAtLeastOneObjectOfEverySizeAndNeverMoreThanFit) {
  for (unsigned size = 8; size <= 2 * MiB; size += 1 + size / 3)
    for (const slab_flags flags : {slab_flags{0}, slab_hwcache_align, slab_debug_flags}) {
      const slab_layout l = layout_of({.object_size = size, .flags = flags});
      EXPECT_GE(l.objects, 1U) << size;
      EXPECT_LE(l.objects * l.size, page_size << l.order) << size;
      EXPECT_GT((l.objects + 1) * l.size, page_size << l.order) << size;
      EXPECT_EQ(l.size % l.align, 0U) << size;
      EXPECT_GE(l.size, size);
    }
}

TEST(Layout, WantsSensibleSizes) {
  const auto refused = [](cache_shape shape) { return !calculate_sizes(shape, 2); };
  EXPECT_TRUE(refused({.object_size = 0}));
  EXPECT_TRUE(refused({.object_size = 7}));
  EXPECT_TRUE(refused({.object_size = 4 * MiB}));
  EXPECT_TRUE(refused({.object_size = 64, .align = 24}));
  EXPECT_TRUE(refused({.object_size = 64, .align = 8192}));
}

TEST(Layout, HasMoreObjectsASlabOnMoreCpus) {
  EXPECT_LT(layout_of({.object_size = 512}, 1).objects,
            layout_of({.object_size = 512}, 64).objects);
}

TEST(CpuPartial, IsCountedInHalfFullSlabs) {
  const slab_layout l = layout_of({.object_size = 256});
  EXPECT_EQ(slabs_for(0, l), 0U);
  EXPECT_EQ(slabs_for(l.objects, l), 2U);
  EXPECT_EQ(slabs_for(1, l), 1U);
}

}  // namespace
}  // namespace memhp
