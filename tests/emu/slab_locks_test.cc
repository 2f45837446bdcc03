// The order of locks that each field of lock_rules gives the slab allocator: shown by
// what goes on while the test holds a lock, and by what is held when the tree changes.
#include "tests/emu/slab_fixture.h"

namespace memhp {
namespace {

constexpr cache_shape plain{.object_size = 256};
constexpr cache_shape debugged{.object_size = 256, .flags = slab_store_user};

template <class Change>
machine_config with_rules(Change change) {
  machine_config config = two_nodes();
  change(config.rules);
  return config;
}

template <class Lock>
bool is_free(Lock& lock) {
  if (!lock.try_lock()) return false;
  lock.unlock();
  return true;
}

// --- debug_key: seed 003 ---------------------------------------------------------------

TEST(DebugKey, IsEnabledByTheFirstCacheThatIsDebugged) {
  slab_machine m;
  (void)m.create("plain", plain);
  EXPECT_FALSE(m.slab().slub_debug_enabled.enabled());
  (void)m.create("debugged", debugged);
  EXPECT_TRUE(m.slab().slub_debug_enabled.enabled());
}

TEST(DebugKey, IsLeftAloneBefore1f0723a4) {
  slab_machine m{
      with_rules([](auto& rules) { rules.debug_key = debug_key_enabled::never; })};
  (void)m.create("debugged", debugged);
  EXPECT_FALSE(m.slab().slub_debug_enabled.enabled());
}

TEST(DebugKey, IsEnabledBeforeSlabMutex) {
  slab_machine m;
  std::future<void> created;
  {
    guard hold{m.k().locks.slab_mutex};
    created = std::async(std::launch::async, [&] { (void)m.create("box", debugged); });
    EXPECT_TRUE(eventually([&] { return m.slab().slub_debug_enabled.enabled(); }));
  }
  created.get();
}

// Both halves of the deadlock at once: the creator has slab_mutex and waits for the CPU
// that goes down; what that CPU's callback would wait for next is slab_mutex.
TEST(DebugKey, IsWaitedForUnderSlabMutexInTheEraOfTheBug) {
  slab_machine m{with_rules(
      [](auto& rules) { rules.debug_key = debug_key_enabled::in_cache_open; })};
  std::future<void> created;
  {
    guard cpus{m.k().locks.cpu_hotplug_lock};
    created = std::async(std::launch::async, [&] { (void)m.create("box", debugged); });
    EXPECT_TRUE(eventually([&] { return !is_free(m.k().locks.slab_mutex); }));
    EXPECT_EQ(created.wait_for(std::chrono::seconds{0}), std::future_status::timeout);
    EXPECT_FALSE(m.slab().slub_debug_enabled.enabled());
    EXPECT_FALSE(is_free(m.k().locks.slab_mutex));
  }
  created.get();
  EXPECT_TRUE(m.slab().slub_debug_enabled.enabled());
}

// The same moment with the fix: a CPU is on its way down, before its slab callback, when
// the creator comes; both get through.
TEST(DebugKey, LetsACpuGoDownMeanwhile) {
  slab_machine m;
  std::future<void> created;
  const cpuhp_step creator{.state = cpuhp_state::ap_online_dyn,
                           .name = "creator",
                           .startup = nullptr,
                           .teardown = [&](unsigned) {
                             created = std::async(std::launch::async, [&] {
                               (void)m.create("box", debugged);
                             });
                             return result<>{};
                           }};
  m.k().cpus.cpuhp_setup_state(creator);
  EXPECT_EQ(error_of(remove_cpu(m.k(), 1)), 0);
  created.get();
  m.k().cpus.cpuhp_remove_state(creator);
}

// --- cache_create ----------------------------------------------------------------------

TEST(CacheCreate, TakesSlabMutexAlone) {
  slab_machine m;
  guard cpus{m.k().locks.cpu_hotplug_lock};
  guard mem{m.k().locks.mem_hotplug_lock};
  std::async(std::launch::async, [&] { (void)m.create("box", plain); }).get();
}

TEST(CacheCreate, TookBothHotplugLocksUntil511) {
  slab_machine m{with_rules([](auto& rules) {
    rules.slab.create = cache_create_locks::cpu_mem_slab;
    rules.debug_key = debug_key_enabled::never;
  })};
  unsigned seen = 0;
  m.on_uevent = [&](const std::string&) {
    m.k().locks.slab_mutex.assert_held();
    m.k().locks.cpu_hotplug_lock.assert_held_read();
    m.k().locks.mem_hotplug_lock.assert_held_read();
    ++seen;
  };
  (void)m.create("box", plain);
  EXPECT_EQ(seen, 1U);
  std::future<void> created;
  {
    guard mem{m.k().locks.mem_hotplug_lock};
    created = std::async(std::launch::async, [&] { (void)m.create("late", plain); });
    EXPECT_EQ(created.wait_for(std::chrono::milliseconds{10}),
              std::future_status::timeout);
    EXPECT_TRUE(is_free(m.k().locks.slab_mutex));  // it waits outside of it
  }
  created.get();
}

// --- cache_destroy and cache_files: seed 004 -------------------------------------------

// What is held by the thread that takes a cache's files away.
class removal_watch final : public kernfs_observer {
 public:
  explicit removal_watch(slab_machine& m) : m_{m} { m_->sysfs().set_observer(this); }
  ~removal_watch() override { m_->sysfs().set_observer(nullptr); }
  void node_added(kernfs_node&) override {}
  void node_removed(kernfs_node& node) override {
    if (node.name() != "min_partial") return;
    ++removed;
    under_slab_mutex = m_.k().locks.slab_mutex.held_by_me();
  }

  unsigned removed = 0;
  bool under_slab_mutex = false;

 private:
  slab_machine& m_;
};

struct removal_case {
  cache_files_removal removal;
  bool at_once;
  bool under_slab_mutex;
};

class CacheFilesByEra : public testing::TestWithParam<removal_case> {};

TEST_P(CacheFilesByEra, GoWhereTheEraSays) {
  slab_machine m{with_rules([](auto& rules) { rules.cache_files = GetParam().removal; })};
  const cache_ref cache = m.create("box", plain);
  removal_watch watch{m};
  EXPECT_EQ(error_of(m.slab().kmem_cache_destroy(cache)), 0);
  EXPECT_EQ(watch.removed, GetParam().at_once ? 1U : 0U);
  m->flush_workqueues();
  EXPECT_EQ(watch.removed, 1U);
  EXPECT_EQ(watch.under_slab_mutex, GetParam().under_slab_mutex);
  EXPECT_THAT(m.uevents, testing::Contains("remove@/kernel/slab/box").Times(1));
}

INSTANTIATE_TEST_SUITE_P(
    Eras, CacheFilesByEra,
    testing::Values(removal_case{cache_files_removal::under_slab_mutex, true, true},
                    removal_case{cache_files_removal::by_work_item, false, false},
                    removal_case{cache_files_removal::deleted_under_slab_mutex, true,
                                 true},
                    removal_case{cache_files_removal::after_locks, true, false}));

// Seed 004's moment with its fix: a writer is inside the cache's file and waits for
// slab_mutex, which the destroyer gives back without waiting for the writer.
TEST(CacheFilesRemoval, LetAWriterFinishThatWaitsForSlabMutex) {
  slab_machine m;
  const cache_ref cache = m.create("box", plain);
  auto node = m->sysfs().find("kernel/slab/box/min_partial");
  ASSERT_TRUE(node);
  std::future<int> wrote;
  {
    guard hold{m.k().locks.slab_mutex};
    wrote =
        std::async(std::launch::async, [&] { return m.put("box", "min_partial", "7"); });
    EXPECT_TRUE(eventually([&] { return cache->min_partial == 7; }));
    EXPECT_EQ(wrote.wait_for(std::chrono::seconds{0}), std::future_status::timeout);
  }
  EXPECT_EQ(error_of(m.slab().kmem_cache_destroy(cache)), 0);
  m->flush_workqueues();
  EXPECT_EQ(wrote.get(), 0);
  EXPECT_EQ(m.put("box", "min_partial", "8"), ENOENT);
}

// And without: both halves of the deadlock, held apart by the test. The writer's active
// reference is what a removal under slab_mutex would wait for.
TEST(CacheFilesRemoval, AreInUseByWhoWaitsForSlabMutex) {
  slab_machine m{with_rules(
      [](auto& rules) { rules.cache_files = cache_files_removal::under_slab_mutex; })};
  const cache_ref cache = m.create("box", plain);
  std::future<int> wrote;
  std::future<void> drained;
  {
    guard hold{m.k().locks.slab_mutex};
    wrote =
        std::async(std::launch::async, [&] { return m.put("box", "min_partial", "7"); });
    EXPECT_TRUE(eventually([&] { return cache->min_partial == 7; }));
    auto dir = m->sysfs().find("kernel/slab/box");
    ASSERT_TRUE(dir);
    drained = std::async(std::launch::async, [&] { m->sysfs().remove(**dir); });
    EXPECT_TRUE(eventually([&] { return !(*dir)->active(); }));
    EXPECT_EQ(drained.wait_for(std::chrono::milliseconds{10}),
              std::future_status::timeout);
  }
  drained.get();
  EXPECT_EQ(wrote.get(), 0);
}

TEST(CacheStore, NeedsSlabMutexOnlyWhereItReachesChildren) {
  slab_machine m{with_rules(
      [](auto& rules) { rules.cache_store = cache_store_reach::own_cache_only; })};
  (void)m.create("box", plain);
  guard hold{m.k().locks.slab_mutex};
  EXPECT_EQ(
      std::async(std::launch::async, [&] { return m.put("box", "min_partial", "7"); })
          .get(),
      0);
}

TEST(CacheDestroy, HoldsWhatTheEraSays) {
  for (const auto locks :
       {cache_destroy_locks::cpu_mem_slab, cache_destroy_locks::cpu_slab}) {
    slab_machine m{with_rules([&](auto& rules) {
      rules.slab.destroy = locks;
      rules.cache_files = cache_files_removal::under_slab_mutex;
    })};
    const cache_ref cache = m.create("box", plain);
    unsigned seen = 0;
    m.on_uevent = [&](const std::string&) {
      m.k().locks.slab_mutex.assert_held();
      m.k().locks.cpu_hotplug_lock.assert_held_read();
      if (locks == cache_destroy_locks::cpu_mem_slab)
        m.k().locks.mem_hotplug_lock.assert_held_read();
      ++seen;
    };
    EXPECT_EQ(error_of(m.slab().kmem_cache_destroy(cache)), 0);
    EXPECT_EQ(seen, 1U);
  }
}

TEST(CacheDestroy, TookSlabMutexAloneFrom512To514) {
  slab_machine m{with_rules(
      [](auto& rules) { rules.slab.destroy = cache_destroy_locks::slab_only; })};
  const cache_ref cache = m.create("box", plain);
  guard cpus{m.k().locks.cpu_hotplug_lock};
  EXPECT_EQ(std::async(std::launch::async,
                       [&] { return error_of(m.slab().kmem_cache_destroy(cache)); })
                .get(),
            0);
}

// --- cache_flush -----------------------------------------------------------------------

TEST(CacheFlush, KeepsCpusWhereTheyAreOnlyWhereItWaitsForWork) {
  for (const auto way : {cache_flush_way::by_interrupt, cache_flush_way::by_work}) {
    slab_machine m{with_rules([&](auto& rules) {
      rules.slab.flush = way;
      rules.cache_store = cache_store_reach::own_cache_only;
    })};
    const cache_ref cache = m.create("box", plain);
    (void)m.alloc(cache, 0);
    std::future<int> shrunk;
    {
      guard cpus{m.k().locks.cpu_hotplug_lock};
      shrunk =
          std::async(std::launch::async, [&] { return m.put("box", "shrink", "1"); });
      if (way == cache_flush_way::by_interrupt) {
        EXPECT_EQ(shrunk.get(), 0);
      } else {
        EXPECT_EQ(shrunk.wait_for(std::chrono::milliseconds{10}),
                  std::future_status::timeout);
      }
      EXPECT_EQ(m.cache_file("box", "cpu_slabs"),
                way == cache_flush_way::by_interrupt ? "0" : "1 N0=1");
    }
    if (way == cache_flush_way::by_work) {
      EXPECT_EQ(shrunk.get(), 0);
    }
    EXPECT_EQ(m.cache_file("box", "cpu_slabs"), "0");
  }
}

// --- callbacks -------------------------------------------------------------------------

TEST(SlabCallbacks, TakeSlabMutexInsideTheHotplugLocks) {
  slab_machine m;
  const auto waits_for_slab_mutex = [&](auto change) {
    std::future<int> changed;
    {
      guard hold{m.k().locks.slab_mutex};
      changed = std::async(std::launch::async, change);
      // It has cpu_hotplug_lock to write, or holds mem_hotplug_lock: readers are refused.
      EXPECT_TRUE(eventually([&] {
        for (auto* lock :
             {&m.k().locks.cpu_hotplug_lock, &m.k().locks.mem_hotplug_lock}) {
          if (!lock->try_lock_shared()) return true;
          lock->unlock_shared();
        }
        return false;
      }));
      EXPECT_EQ(changed.wait_for(std::chrono::milliseconds{1}),
                std::future_status::timeout);
    }
    EXPECT_EQ(changed.get(), 0);
  };
  waits_for_slab_mutex([&] { return error_of(remove_cpu(m.k(), 1)); });
  waits_for_slab_mutex([&] { return m.set(5, "offline"); });
  waits_for_slab_mutex([&] { return m.set(5, "online"); });
}

}  // namespace
}  // namespace memhp
