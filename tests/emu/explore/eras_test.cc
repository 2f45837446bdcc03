// What old kernels' locking lets happen, in hundreds of orders each: two writers of the
// home-made lock, and zone counters that change without a lock.
#include "emu/eras.h"

#include <optional>

#include "emu/homemade_hotplug_lock.h"
#include "tests/emu/explore/fibers.h"
#include "tests/emu/machine_fixture.h"

namespace memhp {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr unsigned seeds = 100;
#else
constexpr unsigned seeds = 600;
#endif

constexpr lock_class_key map_key{.name = "mem_hotplug.lock", .wait_type = 0};
constexpr lock_class_key inside_key{.name = "mem_hotplug.lock"};
constexpr lock_class_key one_writer_key{.name = "memory_add_remove_lock"};

// Two writers, of which the first reads what it has to write.
outcome two_writers(bool one_at_a_time, const std::string* schedule, unsigned seed) {
  static stack_pool stacks;
  fiber_scheduler run{stacks};
  std::optional<homemade_hotplug_lock> lock;
  std::optional<tracked_mutex> add_remove;
  run.outside([&] {
    lock.emplace(map_key, inside_key);
    add_remove.emplace(one_writer_key);
  });
  const auto write = [&](bool reads) NO_THREAD_SAFETY_ANALYSIS {
    if (one_at_a_time) add_remove->lock();
    lock->lock();
    if (reads) {
      lock->lock_shared();
      lock->unlock_shared();
    }
    lock->unlock();
    if (one_at_a_time) add_remove->unlock();
  };
  run.add_task("first", [&] { write(true); });
  run.add_task("second", [&] { write(false); });
  outcome end = schedule != nullptr ? run.replay(*schedule) : run.random_walk(seed);
  run.outside([&] {
    lock.reset();
    add_remove.reset();
  });
  return end;
}

TEST(EraPaths, TheFirstOfTwoWritersWaitsForItself) {
  SKIP_WITHOUT_FIBERS();
  std::optional<outcome> stuck;
  for (unsigned seed = 0; seed < seeds && !stuck; ++seed)
    if (outcome end = two_writers(false, nullptr, seed);
        end.how == outcome::end::deadlock)
      stuck = end;
  ASSERT_TRUE(stuck);
  // Its own mutex, which it looks for because its name was overwritten.
  EXPECT_THAT(stuck->what, testing::HasSubstr("held by first"));
  ASSERT_FALSE(stuck->stuck.empty());
  EXPECT_EQ(stuck->stuck.front().name, "first");
  EXPECT_THAT(stuck->stuck.front().waits_for,
              testing::HasSubstr("lock of mem_hotplug.lock, held by first"));
  const outcome again = two_writers(false, &stuck->schedule, 0);
  EXPECT_EQ(again.how, outcome::end::deadlock);
  EXPECT_EQ(again.digest, stuck->digest);
}

TEST(EraPaths, MemoryAddRemoveLockKeepsTheWritersApart) {
  SKIP_WITHOUT_FIBERS();
  for (unsigned seed = 0; seed < seeds; ++seed) {
    const outcome end = two_writers(true, nullptr, seed);
    ASSERT_EQ(end.how, outcome::end::finished) << end.what << "\n" << end.schedule;
  }
}

// --- seed 001: an add against the onlining of what it adds
// -------------------------------

// udev brings a block online as soon as its event comes.
outcome online_when_told(std::string_view era, std::string_view file,
                         std::string_view text, unsigned seed) {
  static stack_pool stacks;
  fiber_scheduler run{stacks};
  std::optional<test_machine> m;
  run.outside([&] {
    machine_config config;
    config.rules = *find_era(era);
    m.emplace(config);
  });
  m->on_uevent = [&](const std::string& event) {
    if (event == "add@/devices/system/memory/memory48")
      run.add_task("udev", [&] { (void)m->write(test_machine::block(48, file), text); });
  };
  run.add_task("probe", [&] { EXPECT_EQ(m->probe(48), 0); });
  outcome end = run.random_walk(seed);
  run.outside([&] { m.reset(); });
  return end;
}

// The first order in which they wait for each other, if there is one.
std::optional<outcome> hang(std::string_view era, std::string_view file,
                            std::string_view text) {
  for (unsigned seed = 0; seed < seeds; ++seed) {
    outcome end = online_when_told(era, file, text, seed);
    if (end.how == outcome::end::finished) continue;
    EXPECT_EQ(end.how, outcome::end::deadlock) << end.what;
    return end;
  }
  return std::nullopt;
}

TEST(EraPaths, AnAddAndTheOnliningOfItsBlockHangInV319) {
  SKIP_WITHOUT_FIBERS();
  for (const auto& [file, text] : {std::pair{"state", "online"}, {"online", "1"}}) {
    const auto stuck = hang("v3.19", file, text);
    ASSERT_TRUE(stuck) << file;
    EXPECT_THAT(stuck->what,
                testing::AllOf(testing::HasSubstr("mem_hotplug.lock, held by probe"),
                               testing::HasSubstr("&dev->mutex, held by udev")));
  }
}

TEST(EraPaths, TheyGetThroughSinceSeed001) {
  SKIP_WITHOUT_FIBERS();
  for (const auto* era : {"30467e0b3be8", "v4.11", "v4.19", "8df1d0e4a265", "v4.20",
                          "f1037ec0cc8a", "today", "patched"})
    for (const auto& [file, text] : {std::pair{"state", "online"}, {"online", "1"}}) {
      const auto stuck = hang(era, file, text);
      EXPECT_FALSE(stuck) << era << ": " << stuck->what;
    }
}

// --- seed 002: who changes present_pages without mem_hotplug_lock
// ------------------------

struct counted {
  outcome how;
  std::uint64_t present = 0;   // of zone Normal
  std::uint64_t expected = 0;  // of the blocks that are online in it
};

// Holds who brings memory online until the other is there, too: both then change the
// zone. Where a lock keeps them apart they would wait for ever.
class meeting {
 public:
  explicit meeting(kernel& k) : k_{k} { k_.memory_chain.add(notifier_); }
  ~meeting() { k_.memory_chain.remove(notifier_); }
  meeting(const meeting&) = delete;
  meeting& operator=(const meeting&) = delete;

 private:
  result<> arrive(memory_event event) {
    if (event != memory_event::going_online) return {};
    if (++arrived_ == 2) both_.complete_all();
    both_.wait();
    return {};
  }

  kernel& k_;
  int arrived_ = 0;
  static constexpr lock_class_key both_key{.name = "both"};
  tracked_completion both_{both_key};
  const memory_notifier notifier_{
      .name = "meeting",
      .call = [this](memory_event event, const memory_notify&) { return arrive(event); }};
};

// A block goes online through one of its files while `probe` adds and onlines another of
// the same zone.
counted online_while_probing(std::string_view era, std::string_view file,
                             std::string_view text, bool meet, unsigned seed) {
  static stack_pool stacks;
  fiber_scheduler run{stacks};
  std::optional<test_machine> m;
  std::optional<meeting> both;
  counted seen;
  run.outside([&] {
    machine_config config;
    config.rules = *find_era(era);
    config.dimms = {{.size = block_size, .node = 0}};
    m.emplace(config);
    EXPECT_EQ(m->write(std::string{memory_dir} + "/auto_online_blocks", "online"), 0);
    if (meet) both.emplace(m->k());
  });
  run.add_task("online",
               [&] { EXPECT_EQ(m->write(test_machine::block(32, file), text), 0); });
  run.add_task("probe", [&] { EXPECT_EQ(m->probe(48), 0); });
  seen.how = run.random_walk(seed);
  run.outside([&] {
    seen.present = m->zone_of(0, zone_type::normal).pages().present;
    seen.expected = 2 * block_pages;
    both.reset();
    m.reset();
  });
  return seen;
}

// In how many orders an update was lost.
unsigned lost_updates(std::string_view era, std::string_view file, std::string_view text,
                      bool meet = false) {
  unsigned lost = 0;
  for (unsigned seed = 0; seed < seeds; ++seed) {
    const counted seen = online_while_probing(era, file, text, meet, seed);
    if (seen.how.how != outcome::end::finished) {
      ADD_FAILURE() << era << ": " << seen.how.what << "\n" << seen.how.schedule;
      return lost;
    }
    if (seen.present == seen.expected) continue;
    EXPECT_EQ(seen.present, block_pages) << seen.how.schedule;
    ++lost;
  }
  return lost;
}

TEST(EraPaths, OnlineLosesPresentPagesWhereItHasNoMemHotplugLock) {
  SKIP_WITHOUT_FIBERS();
  for (const auto* era : {"v4.1", "v4.12", "v4.13", "v4.19"})
    EXPECT_GT(lost_updates(era, "online", "1", true), 0U) << era;
}

TEST(EraPaths, StateLosesNothingThere) {
  SKIP_WITHOUT_FIBERS();
  for (const auto* era : {"v4.1", "v4.19"})
    EXPECT_EQ(lost_updates(era, "state", "online"), 0U) << era;
}

TEST(EraPaths, NothingIsLostSinceSeed002) {
  SKIP_WITHOUT_FIBERS();
  for (const auto* era : {"381eab4a6ee8", "v4.20", "today", "patched"})
    EXPECT_EQ(lost_updates(era, "online", "1"), 0U) << era;
}

}  // namespace
}  // namespace memhp
