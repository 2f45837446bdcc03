// While an offline waits for a page that cannot be moved yet.
#include "tests/emu/machine_fixture.h"

namespace memhp {
namespace {

using testing::ElementsAre;

class Offlining : public testing::Test {
 protected:
  Offlining() {
    EXPECT_EQ(m_.set(33, "online_movable"), 0);
    (void)m_.new_uevents();
  }
  test_machine m_{with_dimm(3)};
};

TEST_F(Offlining, ShowsGoingOfflineAndAnswersWhatNeedsNoDeviceLock) {
  parked_offline offline{m_, 33};
  EXPECT_EQ(m_.state(33), "going-offline");
  EXPECT_EQ(m_.zones(33), "Movable Normal");  // as an offline block inside Movable
  EXPECT_EQ(m_.read(test_machine::block(33, "removable")), "1");
  EXPECT_EQ(m_.set(33, "nonsense"), EINVAL);
  EXPECT_EQ(m_.write("devices/system/memory/auto_online_blocks", "online"), 0);
  EXPECT_EQ(m_->stats().blocks[2][3][2], 1U);
  EXPECT_EQ(offline.signal(), EINTR);
}

TEST_F(Offlining, ASignalEndsItAndTheBlockIsOnlineInItsZone) {
  parked_offline offline{m_, 33};
  EXPECT_EQ(offline.signal(), EINTR);
  EXPECT_EQ(m_.state(33), "online");
  EXPECT_EQ(m_.zones(33), "Movable");
  EXPECT_EQ(m_.zone_of(2, zone_type::movable).pages().present, block_pages);
  EXPECT_EQ(m_->stats().blocks[2][3][1], 1U);
  EXPECT_THAT(m_.new_uevents(), ElementsAre());
  EXPECT_EQ(m_.unpin(33), 0);
  EXPECT_EQ(m_.set(33, "offline"), 0);
}

TEST_F(Offlining, LettingThePageGoLetsItFinish) {
  parked_offline offline{m_, 33};
  EXPECT_EQ(offline.unpin(), 0);
  EXPECT_EQ(m_.state(33), "offline");
  EXPECT_THAT(m_.new_uevents(), ElementsAre("offline@/devices/system/memory/memory33"));
}

TEST_F(Offlining, WantsNoSignalPendingEvenWithNothingToWaitFor) {
  task by;
  by.signal();
  EXPECT_EQ(error_of(m_->write(test_machine::block(33, "state"), "offline", by)), EINTR);
  EXPECT_EQ(m_.state(33), "online");
}

TEST_F(Offlining, AReaderOfOnlineWaitsAndSeesTheEnd) {
  parked_offline offline{m_, 33};
  auto online = std::async(std::launch::async,
                           [&] { return m_.read(test_machine::block(33, "online")); });
  auto uevent = std::async(std::launch::async,
                           [&] { return m_.read(test_machine::block(33, "uevent")); });
  EXPECT_TRUE(still_waits(online));
  EXPECT_TRUE(still_waits(uevent));
  EXPECT_EQ(m_.state(33), "going-offline");
  EXPECT_EQ(m_.read(test_machine::block(32, "online")), "0");  // its own device lock
  EXPECT_EQ(offline.unpin(), 0);
  EXPECT_EQ(online.get(), "0");
  EXPECT_EQ(uevent.get(), "");
}

TEST_F(Offlining, WritersOfOtherBlocksAreRestartedUntilItEnds) {
  parked_offline offline{m_, 33};
  auto other = std::async(std::launch::async, [&] { return m_.set(34, "online"); });
  EXPECT_TRUE(still_waits(other));
  EXPECT_EQ(m_.state(34), "offline");
  EXPECT_EQ(offline.signal(), EINTR);
  EXPECT_EQ(other.get(), 0);
}

TEST_F(Offlining, OtherPagesOfTheBlockCannotBeTakenMeanwhile) {
  parked_offline offline{m_, 33};
  EXPECT_EQ(m_.debug("page_pin", "0x108001000"), EBUSY);
  EXPECT_EQ(m_.debug("page_reserve", "0x108001000"), EBUSY);
  EXPECT_EQ(m_.debug("page_pin", "0x100001000"), ENXIO);  // block 32 is offline
  EXPECT_EQ(offline.unpin(), 0);
  EXPECT_EQ(m_.mem_total_kib(2), 0U);
  EXPECT_EQ(m_.k().nodes[2]->used_pages, 0U);
}

TEST(UnmovablePages, AreBusyUntilTheyAreGivenBack) {
  test_machine m{with_dimm(1)};
  EXPECT_EQ(m.set(32, "online_movable"), 0);
  EXPECT_EQ(m.reserve(32), 0);
  EXPECT_EQ(m.set(32, "offline"), EBUSY);
  EXPECT_EQ(m.zones(32), "Movable");
  EXPECT_EQ(m.debug("page_unreserve", "0x100000000"), 0);
  EXPECT_EQ(m.set(32, "offline"), 0);
}

}  // namespace
}  // namespace memhp
