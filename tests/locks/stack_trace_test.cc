#include "locks/stack_trace.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <thread>

#include "locks/symbol_table.h"

namespace memhp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;

// Neither is inlined, and neither ends in a jump to what it calls.
[[gnu::noinline]] stack_trace captured_here() {
  stack_trace trace = stack_trace::capture();
  asm volatile("" ::: "memory");
  return trace;
}
[[gnu::noinline]] stack_trace captured_one_below() {
  stack_trace trace = captured_here();
  asm volatile("" ::: "memory");
  return trace;
}

TEST(StackTrace, BeginsWithItsTaker) {
  const stack_trace trace = captured_one_below();
  ASSERT_GE(trace.frames().size(), 3U);
  EXPECT_THAT(symbolize(trace.frames()[0]),
              MatchesRegex("captured_here\\+0x[0-9a-f]+/0x[0-9a-f]+"));
  EXPECT_THAT(symbolize(trace.frames()[1]),
              MatchesRegex("captured_one_below\\+0x[0-9a-f]+/0x[0-9a-f]+"));
}

TEST(StackTrace, SkipsWhomItIsTold) {
  const stack_trace trace = stack_trace::capture(0);
  const stack_trace shorter = stack_trace::capture(1);
  EXPECT_EQ(trace.frames().size(), shorter.frames().size() + 1);
}

[[gnu::noinline]] stack_trace captured_after(int calls) {
  stack_trace trace = calls == 0 ? stack_trace::capture() : captured_after(calls - 1);
  asm volatile("" ::: "memory");
  return trace;
}

TEST(StackTrace, HasAnEnd) {
  EXPECT_EQ(captured_after(100).frames().size(), stack_trace::max_frames);
}

TEST(StackTrace, GivenNamesStandForThemselves) {
  stack_trace trace;
  trace.add({.name = "online_pages+0x37/0x300"});
  EXPECT_EQ(symbolize(trace.frames()[0]), "online_pages+0x37/0x300");
}

TEST(StackTrace, NamesFunctionsOfLibraries) {
  const auto* inside = reinterpret_cast<const char*>(&std::qsort) + 1;
  EXPECT_THAT(symbolize({.ip = inside}), HasSubstr("qsort"));
}

TEST(StackTrace, AddressesWithoutAFunctionStayAddresses) {
  EXPECT_EQ(symbolize({.ip = reinterpret_cast<const void*>(0x1234)}), "0x1234");
  EXPECT_EQ(symbolize({}), "0x0");
}

TEST(StackTrace, ManyThreadsTakeAndName) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([] {
      EXPECT_THAT(symbolize(captured_here().frames()[0]), HasSubstr("captured_here"));
    });
  for (std::thread& thread : threads) thread.join();
}

TEST(ShortFunctionName, KeepsWhatIdentifies) {
  const std::pair<const char*, const char*> cases[] = {
      {"main", "main"},
      {"memhp::online_pages(memhp::kernel&, unsigned long)", "online_pages"},
      {"memhp::(anonymous namespace)::state_store(memhp::kobject&)", "state_store"},
      {"memhp::kernfs_root::drain(memhp::kernfs_node&) const", "kernfs_root::drain"},
      {"other::table::lock()", "other::table::lock"},
      {"memhp::result<int> memhp::f<int, (void*)0>(int)", "f<int, (void*)0>"},
      {"memhp::f()::{lambda(int)#1}::operator()(int) const", "f"},
      {"bool memhp::operator==(memhp::pfn, memhp::pfn)", "operator=="},
      {"memhp::call::operator()(int)", "call::operator()"},
  };
  for (const auto& [demangled, expected] : cases)
    EXPECT_EQ(short_function_name(demangled), expected) << demangled;
}

TEST(SymbolTable, FindsTheFunctionThatAnAddressIsIn) {
  const symbol_table table{"/proc/self/exe"};
  EXPECT_EQ(table.find(0), nullptr);
  const symbol_table::symbol* last = table.find(UINT64_MAX / 2);
  EXPECT_TRUE(last == nullptr || last->size == 0);
}

TEST(SymbolTable, IsEmptyForWhatIsNoProgram) {
  EXPECT_EQ(symbol_table{"/proc/self/status"}.find(0x1000), nullptr);
  EXPECT_EQ(symbol_table{"/nowhere"}.find(0x1000), nullptr);
}

}  // namespace
}  // namespace memhp
