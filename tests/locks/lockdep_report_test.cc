#include "locks/lockdep_report.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#ifndef MEMHP_GOLDEN_DIR
#error "where the expected reports are"
#endif

namespace memhp {
namespace {

using enum read_kind;

constexpr std::uint8_t written = lock_class::used_to_write | lock_class::held_to_write;
constexpr std::uint8_t was_read = lock_class::used_to_read | lock_class::held_to_read;
constexpr std::uint8_t drained = lock_class::used_to_write;  // waited for, never held

std::string golden(const std::string& name) {
  std::ifstream file{std::string{MEMHP_GOLDEN_DIR} + "/" + name};
  EXPECT_TRUE(file) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

const void* at(std::uintptr_t address) {
  return reinterpret_cast<const void*>(address);  // NOLINT: only printed
}

reported_lock lock_of(std::string name, std::uint8_t usage, std::uint8_t wait_type,
                      std::uintptr_t address, std::string where, read_kind read = write) {
  return {.class_name = std::move(name),
          .usage = usage,
          .wait_type = wait_type,
          .instance = at(address),
          .read = read,
          .at = std::move(where)};
}

// Removing memory waits for its sysfs files under mem_hotplug_lock (5.5).
TEST(LockdepReport, OfARemovalAgainstAnOnlineReadsAsTheKernels) {
  const auto mem = lock_of("mem_hotplug_lock.rw_sem", written | was_read, 0,
                           0xffffffffa76a5450, "percpu_down_write+0x20/0xe0");
  const auto cpu = lock_of("cpu_hotplug_lock.rw_sem", written | was_read, 0, 0, "");
  const auto kn = lock_of("kn->count#241", drained | was_read, 0, 0xffff99c7f0003510,
                          "kernfs_remove_by_name_ns+0x41/0x80");
  const lockdep_report report{
      .task = "lt-daxctl",
      .pid = 6459,
      .wanted = kn,
      .held = mem,
      .chain = {{mem, {"get_online_mems+0x3e/0xb0", "kmem_cache_create+0x12/0x20"}},
                {cpu, {"cpus_read_lock+0x3e/0xb0", "online_pages+0x37/0x300"}},
                {kn, {"kernfs_remove_by_name_ns+0x41/0x80"}}},
      .held_locks = {mem},
      .stack = {"kernfs_remove_by_name_ns+0x41/0x80"}};
  EXPECT_EQ(to_text(report, style_5_5), golden("removal_5_5.txt"));
}

// Creating a cache enables a static key under slab_mutex (5.12).
TEST(LockdepReport, OfACacheAgainstACpuGoingDownReadsAsTheKernels) {
  const auto slab = lock_of("slab_mutex", written, 3, 0xffffffff96173c28,
                            "kmem_cache_create_usercopy+0x2d/0x250");
  const auto cpu = lock_of("cpu_hotplug_lock", written | was_read, 0, 0xffffffff96063cd0,
                           "static_key_enable+0x9/0x20", read);
  const lockdep_report report{
      .task = "rcu_torture_sta",
      .pid = 109,
      .wanted = cpu,
      .held = slab,
      .chain = {{slab, {"slub_cpu_dead+0x15/0xf0", "_cpu_down+0xdf/0x2a0"}},
                {cpu, {"cpus_read_lock+0x21/0xa0", "static_key_enable+0x9/0x20"}}},
      .held_locks = {slab},
      .stack = {"static_key_enable+0x9/0x20"}};
  EXPECT_EQ(to_text(report, style_5_12), golden("cache_create_5_12.txt"));
}

// Destroying a cache waits for its sysfs files under slab_mutex (4.10).
TEST(LockdepReport, OfACacheAgainstItsFilesReadsAsTheKernels) {
  const auto cpu = lock_of("cpu_hotplug.dep_map", written | was_read, 0, 0,
                           "get_online_cpus+0x37/0x80", recursive_read);
  const auto slab = lock_of("slab_mutex", written, 3, 0, "kmem_cache_destroy+0x41/0x2d0");
  const auto kn =
      lock_of("s_active#120", drained | was_read, 0, 0, "kernfs_remove+0x23/0x40");
  const lockdep_report report{
      .task = "rmmod",
      .pid = 1211,
      .wanted = kn,
      .held = slab,
      .chain = {{slab, {"slab_attr_store+0x75/0xd0"}}, {kn, {"kernfs_remove+0x23/0x40"}}},
      .held_locks = {cpu, slab},
      .stack = {"kernfs_remove+0x23/0x40"}};
  EXPECT_EQ(to_text(report, style_4_10), golden("cache_destroy_4_10.txt"));
}

TEST(LockdepReport, NamesReadsInTheScenarioSince61) {
  const auto a = lock_of("A", was_read, 3, 1, "f+0x1/0x2", read);
  const auto b = lock_of("B", written, 3, 2, "f+0x3/0x4");
  lockdep_report report{.task = "t", .pid = 1, .wanted = b, .held = a};
  report.chain = {{a, {}}, {b, {}}};
  EXPECT_NE(to_text(report, style_6_1).find("  rlock(A);\n"), std::string::npos);
  EXPECT_EQ(to_text(report, style_5_12).find("rlock("), std::string::npos);
}

TEST(LockdepReport, SaysThatNothingIsHeld) {
  const lockdep_report report{.kind = report_kind::bad_unlock,
                              .task = "t",
                              .pid = 1,
                              .wanted = lock_of("A", written, 3, 1, "f+0x1/0x2")};
  const std::string text = to_text(report);
  EXPECT_NE(text.find("t/1 is trying to release lock (A) at:\nf+0x1/0x2\n"
                      "but there are no more locks to release!\n"),
            std::string::npos);
  EXPECT_NE(text.find("no locks held by t/1.\n"), std::string::npos);
}

TEST(UsageCharacters, AreFourAndWereSix) {
  EXPECT_EQ(usage_characters(0), "{....}");
  EXPECT_EQ(usage_characters(written), "{+.+.}");
  EXPECT_EQ(usage_characters(was_read), "{.+.+}");
  EXPECT_EQ(usage_characters(written | was_read), "{++++}");
  EXPECT_EQ(usage_characters(written, style_4_10), "{+.+.+.}");
  EXPECT_EQ(usage_characters(drained | was_read, style_4_10), "{++++.+}");
}

[[gnu::noinline]] stack_trace take_a_stack() {
  return stack_trace::here();
}

TEST(StackTrace, NamesFunctionsThatAreNotExported) {
  const auto words = take_a_stack().describe();
  ASSERT_GE(words.size(), 2U);
  EXPECT_TRUE(words[0].starts_with("take_a_stack+0x")) << words[0];
  EXPECT_NE(words[1].find("TestBody+0x"), std::string::npos) << words[1];
}

TEST(StackTrace, AnAddressWithoutASymbolIsPrintedAsItIs) {
  EXPECT_EQ(describe_address(at(0x11)), "0x10");
}

}  // namespace
}  // namespace memhp
