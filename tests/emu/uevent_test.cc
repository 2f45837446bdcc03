#include "emu/uevent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace memhp {
namespace {

using testing::ElementsAre;

constexpr auto uuid = "12345678-1234-1234-1234-123456789abc";

TEST(SyntheticUevent, IsAnActionAlone) {
  for (const auto action :
       {"add", "remove", "change", "move", "online", "offline", "bind", "unbind"}) {
    const auto event = kobject_synth_uevent(action);
    ASSERT_TRUE(event) << action;
    EXPECT_EQ(event->action, action);
    EXPECT_THAT(event->variables, ElementsAre("SYNTH_UUID=0"));
  }
  EXPECT_TRUE(kobject_synth_uevent("add\n"));
}

TEST(SyntheticUevent, MayCarryAUuidAndVariables) {
  const auto event = kobject_synth_uevent(std::string{"add "} + uuid + " A=1 B=2\n");
  ASSERT_TRUE(event);
  EXPECT_THAT(event->variables, ElementsAre(std::string{"SYNTH_UUID="} + uuid,
                                            "SYNTH_ARG_A=1", "SYNTH_ARG_B=2"));
}

TEST(SyntheticUevent, RefusesTheRest) {
  const std::string good = std::string{"add "} + uuid;
  for (const std::string& bad :
       {std::string{"ADD"}, std::string{"ad"}, std::string{"adds"},
        std::string{"garbage"}, std::string{" add"}, std::string{"add\n\n"},
        std::string{"add "}, std::string{"change 0 "}, std::string{"change xx"},
        good + "0", good + " ", good + " A", good + " A=", good + " =1", good + "  A=1",
        good + " A=1 ", good + " A-B=1", good + " A=1=2"})
    EXPECT_FALSE(kobject_synth_uevent(bad)) << '"' << bad << '"';
}

TEST(UeventLog, TellsTheListenerTheWholeMessage) {
  std::string told;
  uevent_log log{[&](const std::string& text) { told = text; }};
  log.send("add", "/devices/x", "memory", {"A=1"});
  EXPECT_EQ(told,
            "add@/devices/x\nACTION=add\nDEVPATH=/devices/x\nSUBSYSTEM=memory\n"
            "A=1\nSEQNUM=1");
}

TEST(UeventLog, KeepsTheLastOnes) {
  uevent_log log{nullptr};
  EXPECT_EQ(log.text(), "");
  for (int i = 1; i <= 1030; ++i) log.send("add", "/devices/x", "memory");
  const std::string text = log.text();
  EXPECT_EQ(std::ranges::count(text, '\n'), 1024);
  EXPECT_NE(text.find("SEQNUM=1030\n"), text.npos);
  EXPECT_TRUE(
      text.starts_with("add@/devices/x ACTION=add DEVPATH=/devices/x "
                       "SUBSYSTEM=memory SEQNUM=7\n"));
}

}  // namespace
}  // namespace memhp
