#include "fuse/node_table.h"

#include <gtest/gtest.h>

namespace memhp {
namespace {

struct nothing : kobject {};
constexpr attribute attr{.name = "state", .mode = 0644};

class NodeTable : public ::testing::Test {
 protected:
  NodeTable()
      : file_{*root_.create_file(root_.top(), attr, owner_)}, ino_{file_->ino()} {}

  // An open for writing as the kernel does it: again with a lookup after `retry`.
  node_id open_to_write(pid_t tid) {
    node_id id = known_;
    if (id == 0) id = known_ = nodes_.look_up(*file_, tid);
    if (nodes_.open_to_write(id, tid) == open_answer::accepted) return id;
    id = known_ = nodes_.look_up(*file_, tid);
    EXPECT_EQ(nodes_.open_to_write(id, tid), open_answer::accepted);
    return id;
  }

  kernfs_root root_;
  nothing owner_;
  node_table nodes_{root_.top()};
  kernfs_ref file_;
  std::uint64_t ino_;
  node_id known_ = 0;  // what the kernel's dentry says
};

TEST_F(NodeTable, AFileIsKnownByItsInodeNumber) {
  EXPECT_EQ(nodes_.look_up(*file_, 1), ino_);
  EXPECT_EQ(nodes_.find(ino_), file_);
}

TEST_F(NodeTable, ANodeLivesUntilEveryLookupIsForgotten) {
  nodes_.look_up(*file_, 1);
  nodes_.look_up(*file_, 1);
  nodes_.forget(ino_, 1);
  EXPECT_TRUE(nodes_.known(ino_));
  nodes_.forget(ino_, 1);
  EXPECT_FALSE(nodes_.known(ino_));
  EXPECT_FALSE(nodes_.find(ino_));
}

TEST_F(NodeTable, TheTopIsNeverForgotten) {
  nodes_.forget(root_.top().ino(), 100);
  EXPECT_TRUE(nodes_.find(root_.top().ino()));
}

TEST_F(NodeTable, EveryWriterHasANodeOfItsOwn) {
  const node_id one = open_to_write(1), two = open_to_write(2), three = open_to_write(3);
  EXPECT_EQ(one, ino_);
  EXPECT_NE(two, one);
  EXPECT_NE(three, one);
  EXPECT_NE(three, two);
  EXPECT_EQ(base_ino(two), ino_);
  EXPECT_EQ(base_ino(three), ino_);
}

TEST_F(NodeTable, ASecondTryIsAcceptedEvenOnTheSameNode) {
  EXPECT_EQ(open_to_write(1), ino_);
  EXPECT_EQ(nodes_.open_to_write(ino_, 2), open_answer::retry);
  EXPECT_EQ(nodes_.open_to_write(ino_, 2), open_answer::accepted);
}

TEST_F(NodeTable, AClientWithoutAnIdIsAcceptedAtOnce) {
  EXPECT_EQ(open_to_write(1), ino_);
  EXPECT_EQ(nodes_.open_to_write(ino_, 0), open_answer::accepted);
}

TEST_F(NodeTable, TwoWhoRetryAtOnceGetTwoNodes) {
  open_to_write(1);
  ASSERT_EQ(nodes_.open_to_write(ino_, 2), open_answer::retry);
  ASSERT_EQ(nodes_.open_to_write(ino_, 3), open_answer::retry);
  const node_id two = nodes_.look_up(*file_, 2), three = nodes_.look_up(*file_, 3);
  EXPECT_NE(two, three);
  EXPECT_EQ(nodes_.look_up(*file_, 2), two);  // asked twice, answered the same
  EXPECT_EQ(nodes_.open_to_write(three, 3), open_answer::accepted);
  EXPECT_EQ(nodes_.open_to_write(two, 2), open_answer::accepted);
}

TEST_F(NodeTable, AReservedNodeIsNotGivenToAnotherWriter) {
  open_to_write(1);
  ASSERT_EQ(nodes_.open_to_write(ino_, 2), open_answer::retry);
  const node_id two = nodes_.look_up(*file_, 2);
  EXPECT_EQ(nodes_.open_to_write(two, 3), open_answer::retry);
}

// The kernel forgets the first of its two lookups before it opens.
TEST_F(NodeTable, AReservedNodeIsKeptThoughItsLookupIsForgotten) {
  open_to_write(1);
  ASSERT_EQ(nodes_.open_to_write(ino_, 2), open_answer::retry);
  ASSERT_EQ(nodes_.open_to_write(ino_, 3), open_answer::retry);
  const node_id two = nodes_.look_up(*file_, 2);
  nodes_.forget(two, 1);
  EXPECT_NE(nodes_.look_up(*file_, 3), two);
  EXPECT_EQ(nodes_.look_up(*file_, 2), two);
}

TEST_F(NodeTable, ALookupAvoidsNodesWithWritesInFlight) {
  const node_id one = open_to_write(1);
  nodes_.write_begins(one);
  const node_id beside = nodes_.look_up(*file_, 2);
  EXPECT_NE(beside, one);
  EXPECT_EQ(nodes_.look_up(*file_, 3), beside);  // no more aliases than needed
  nodes_.write_ends(one);
  EXPECT_EQ(nodes_.look_up(*file_, 2), one);
}

TEST_F(NodeTable, AReaderBesideAWriteInFlightIsSentToAnotherNode) {
  const node_id one = open_to_write(1);
  EXPECT_EQ(nodes_.open_to_read(one, 2), open_answer::accepted);
  nodes_.write_begins(one);
  ASSERT_EQ(nodes_.open_to_read(one, 2), open_answer::retry);
  const node_id beside = nodes_.look_up(*file_, 2);
  EXPECT_NE(beside, one);
  EXPECT_EQ(nodes_.open_to_read(beside, 2), open_answer::accepted);
  // A reopen through /proc/self/fd comes back to the same node.
  ASSERT_EQ(nodes_.open_to_read(one, 2), open_answer::retry);
  EXPECT_EQ(nodes_.open_to_read(one, 2), open_answer::accepted);
  EXPECT_EQ(nodes_.open_to_read(one, 0), open_answer::accepted);
}

TEST_F(NodeTable, TheLastWriterBringsTheNameBackToTheBaseNode) {
  const node_id one = open_to_write(1), two = open_to_write(2);
  EXPECT_FALSE(nodes_.release_writer(one));
  EXPECT_TRUE(nodes_.release_writer(two));
  EXPECT_EQ(nodes_.look_up(*file_, 1), ino_);
}

TEST_F(NodeTable, AnUncontendedWriterExpiresNothing) {
  EXPECT_FALSE(nodes_.release_writer(open_to_write(1)));
}

TEST_F(NodeTable, AliasesAreForgottenToo) {
  open_to_write(1);
  const node_id two = open_to_write(2);
  EXPECT_EQ(nodes_.ids_of(ino_).size(), 2u);
  nodes_.release_writer(two);
  nodes_.forget(two, 1);
  EXPECT_EQ(nodes_.ids_of(ino_), std::vector<node_id>{ino_});
}

TEST_F(NodeTable, AnOpenNodeOutlivesItsLastLookup) {
  const node_id one = open_to_write(1);
  nodes_.forget(one, 100);
  EXPECT_TRUE(nodes_.find(one));
  nodes_.release_writer(one);
  EXPECT_FALSE(nodes_.find(one));
}

TEST_F(NodeTable, AGoneFileIsRetriedOnce) {
  nodes_.look_up(*file_, 1);
  EXPECT_EQ(nodes_.open_removed(ino_, 1), open_answer::retry);
  EXPECT_EQ(nodes_.open_removed(ino_, 1), open_answer::accepted);
}

}  // namespace
}  // namespace memhp
