#include "stress/performer.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace memhp::stress {
namespace {

class Performer : public testing::Test {
 protected:
  Performer() {
    sys.block_size = 128 << 20;
    sys.blocks = {{.id = 1, .state = "online", .zone = "Normal"}};
    sys.has_remove = true;
  }
  tree sys;
};

TEST_F(Performer, AStoreIsOneRequestAndItsAnswerTheOutcome) {
  performer does{sys, 0, state_files::each};
  steps doing = does.perform({.op = operation::offline, .target = 1});
  ASSERT_FALSE(doing.done());
  EXPECT_EQ(doing.wanted().what, request::kind::write);
  EXPECT_EQ(doing.wanted().path, "devices/system/memory/memory1/state");
  EXPECT_EQ(doing.wanted().text, "offline");
  EXPECT_FALSE(doing.wanted().kept);
  doing.go_on({.error = EBUSY});
  ASSERT_TRUE(doing.done());
  EXPECT_EQ(doing.result().error, EBUSY);
}

TEST_F(Performer, AKeptFileIsOpenedOnceAndAgainAfterENODEV) {
  performer does{sys, 0, state_files::kept};
  const auto store = [&](answer given) {
    steps doing = does.perform({.op = operation::online, .target = 1});
    EXPECT_TRUE(doing.wanted().kept.has_value());
    const bool opens = doing.wanted().reopen;
    doing.go_on(std::move(given));
    return opens;
  };
  EXPECT_TRUE(store({.size = 6}));
  EXPECT_FALSE(store({.error = ENODEV}));
  EXPECT_TRUE(store({.error = ENOENT, .opened = false}));
  EXPECT_TRUE(store({.size = 6}));
  EXPECT_FALSE(store({.size = 6}));
}

TEST_F(Performer, AKeptFileInUseIsLeftAlone) {
  performer does{sys, 0, state_files::kept};
  const call what{.op = operation::online, .target = 1};
  steps first = does.perform(what);
  steps second = does.perform(what);
  EXPECT_TRUE(first.wanted().kept.has_value());
  EXPECT_FALSE(second.wanted().kept.has_value());
}

TEST_F(Performer, AShortWriteIsAComplaint) {
  performer does{sys, 0, state_files::each};
  steps doing = does.perform({.op = operation::offline, .target = 1});
  doing.go_on({.size = 3});
  EXPECT_NE(doing.result().complaint, "");
}

TEST_F(Performer, AHeldFileThatAnswersAgainAfterENODEVIsAComplaint) {
  performer does{sys, 0, state_files::each};
  const auto hold = [&](answer given) {
    steps doing = does.perform({.op = operation::hold, .target = 1, .variant = 2});
    doing.go_on(std::move(given));
    return doing.result().complaint;
  };
  EXPECT_EQ(hold({.text = "online\n"}), "");
  EXPECT_EQ(hold({.error = ENODEV}), "");
  EXPECT_NE(hold({.text = "online\n"}), "");
}

TEST_F(Performer, AHeldFileThatAnswersAfterItsNameHasGoneIsAComplaint) {
  performer does{sys, 0, state_files::each};
  const call what{.op = operation::hold, .target = 1, .variant = 1};
  steps first = does.perform(what);
  first.go_on({.text = "online\n"});
  steps second = does.perform(what);
  ASSERT_EQ(second.wanted().what, request::kind::stat);
  second.go_on({.error = ENOENT});
  ASSERT_EQ(second.wanted().what, request::kind::read);
  second.go_on({.text = "online\n"});
  ASSERT_TRUE(second.done());
  EXPECT_EQ(second.result().complaint, "memory1 is gone, but its open file answers");
}

TEST_F(Performer, AListingThatMissesABlockIsAComplaint) {
  performer does{sys, 0, state_files::each};
  steps doing = does.perform({.op = operation::list});
  ASSERT_EQ(doing.wanted().what, request::kind::list);
  doing.go_on({.names = {"memory7", "probe"}});
  ASSERT_EQ(doing.wanted().what, request::kind::stat);
  EXPECT_EQ(doing.wanted().path, "devices/system/memory/memory7");
  doing.go_on({.error = ENOENT});  // it went meanwhile
  doing.go_on({});
  ASSERT_TRUE(doing.done());
  EXPECT_EQ(doing.result().error, 0);
  EXPECT_EQ(doing.result().complaint, "readdir missed memory1");
}

TEST_F(Performer, EjectsOnlyDIMMsThatTheRunPlugged) {
  sys.slots = {"PNP0C80:00"};
  performer does{sys, 0, state_files::each};
  steps doing = does.perform({.op = operation::eject});
  doing.go_on({.names = {"PNP0C80:00", "PNP0C80:01", "PNP0C80:02"}});
  EXPECT_EQ(doing.wanted().path, std::string{dimm_dir} + "/PNP0C80:01/status");
  doing.go_on({.text = "0\n"});
  doing.go_on({.text = "15\n"});
  EXPECT_EQ(doing.wanted().path, std::string{dimm_dir} + "/PNP0C80:02/eject");
  doing.go_on({.size = 1});
  EXPECT_TRUE(doing.result().issued);
}

TEST_F(Performer, WhatWasCalledOffWasNotIssued) {
  performer does{sys, 0, state_files::each};
  steps doing = does.perform({.op = operation::read, .target = 1});
  doing.go_on({.error = ECANCELED, .opened = false});
  EXPECT_FALSE(doing.result().issued);
}

}  // namespace
}  // namespace memhp::stress
