#include "emu/explore/race_check.h"

#include <gtest/gtest.h>

namespace memhp {
namespace {

using access = execution::access;

// Tasks 1 and 2, a lock between them and a cell.
struct two_tasks {
  vector_clock one, two;
  object_clock lock;
  cell_history cell;
  two_tasks() {
    one.tick(1);
    two.tick(2);
  }
};

TEST(RaceCheck, ReadsNeedNoOrder) {
  two_tasks t;
  EXPECT_FALSE(t.cell.access(1, t.one, access::read));
  EXPECT_FALSE(t.cell.access(2, t.two, access::read));
}

TEST(RaceCheck, AWriteMustBeOrderedAfterReadsAndWrites) {
  two_tasks t;
  EXPECT_FALSE(t.cell.access(1, t.one, access::read));
  EXPECT_EQ(t.cell.access(2, t.two, access::write), 1U);
  two_tasks u;
  EXPECT_FALSE(u.cell.access(1, u.one, access::write));
  EXPECT_EQ(u.cell.access(2, u.two, access::read), 1U);
}

TEST(RaceCheck, ALockOrdersWhatCameBeforeItsRelease) {
  two_tasks t;
  EXPECT_FALSE(t.cell.access(1, t.one, access::write));
  pass_on(lock_op::unlock, 1, t.one, t.lock);
  pass_on(lock_op::lock, 2, t.two, t.lock);
  EXPECT_FALSE(t.cell.access(2, t.two, access::write));
  // What the first does after its release is not.
  EXPECT_EQ(t.cell.access(1, t.one, access::write), 2U);
}

TEST(RaceCheck, ReadersOfALockAreNotOrderedAmongThemselves) {
  two_tasks t;
  EXPECT_FALSE(t.cell.access(1, t.one, access::write));
  pass_on(lock_op::read_unlock, 1, t.one, t.lock);
  pass_on(lock_op::read_lock, 2, t.two, t.lock);
  EXPECT_EQ(t.cell.access(2, t.two, access::read), 1U);
  pass_on(lock_op::read_unlock, 2, t.two, t.lock);
  pass_on(lock_op::write_lock, 2, t.two, t.lock);
  EXPECT_FALSE(t.cell.access(2, t.two, access::write));
}

TEST(RaceCheck, AnnouncingAWriterOrdersNothing) {
  two_tasks t;
  EXPECT_FALSE(t.cell.access(1, t.one, access::write));
  pass_on(lock_op::read_unlock, 1, t.one, t.lock);
  pass_on(lock_op::announce_write, 2, t.two, t.lock);
  EXPECT_EQ(t.cell.access(2, t.two, access::read), 1U);
}

}  // namespace
}  // namespace memhp
