#include "locks/cell.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace memhp {
namespace {

// What the seam asks of an execution, written down; nothing is scheduled.
class recorder final : public execution {
 public:
  recorder() { control_locks(this); }
  ~recorder() override { control_locks(nullptr); }
  std::vector<std::string> said;

  object_id add(lock_kind, std::string_view name) override {
    said.push_back("born " + std::string{name});
    return ++objects_;
  }
  void remove(object_id object) override {
    said.push_back("dies " + std::to_string(object));
  }
  std::uint32_t at(lock_op op, object_id object, std::uint32_t) override {
    said.push_back(std::string{to_string(op)} + " " + std::to_string(object));
    return 1;
  }
  void touch(object_id object, access how) override {
    said.push_back((how == access::read ? "reads " : "writes ") + std::to_string(object));
  }
  bool holds_to_write(object_id) const override { return true; }
  bool is_read(object_id) const override { return true; }
  void before_trying_again() override {}
  [[noreturn]] void fail(std::string_view) override { std::abort(); }

 private:
  object_id objects_ = 0;
};

TEST(Cell, IsPlainDataWithOsThreads) {
  cell<int> c{"c", 3};
  c = c + 1;
  EXPECT_EQ(c.get(), 4);
  atomic_cell<int> a{"a"};
  std::thread{[&] { a = 5; }}.join();
  EXPECT_EQ(a, 5);
  int expected = 5;
  EXPECT_TRUE(a.compare_exchange_strong(expected, 6, std::memory_order_acq_rel));
  EXPECT_FALSE(a.compare_exchange_strong(expected, 7, std::memory_order_acq_rel));
  EXPECT_EQ(expected, 6);
}

TEST(Cell, TellsAnExecutionOfEveryAccess) {
  recorder r;
  {
    cell<int> c{"c", 3};
    c = c + 1;
    atomic_cell<int> a{"a"};
    a = a + 1;
    int expected = 1;
    a.compare_exchange_strong(expected, 2, std::memory_order_acq_rel);
  }
  EXPECT_EQ(r.said,
            (std::vector<std::string>{"born c", "reads 1", "writes 1", "born a", "load 2",
                                      "store 2", "exchange 2", "dies 2", "dies 1"}));
}

TEST(Cell, OfAnExecutionMayOutliveIt) {
  std::optional<cell<int>> c;
  {
    recorder r;
    c.emplace("c", 3);
  }
  EXPECT_EQ(c->get(), 3);
}

}  // namespace
}  // namespace memhp
