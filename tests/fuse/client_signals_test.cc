// Signals of clients whose request waits.
#include "fuse/client_signals.h"

#include <sys/resource.h>

#include <csignal>

#include "tests/fuse/mounted_tree.h"

namespace memhp::test {
namespace {

using usr1 = client_process::on_usr1;

TEST(ClientSignals, NoneIsNeitherPendingNorFatal) {
  const auto found = parse_signals(
      "Name:\tcat\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\n"
      "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:"
      "\t0000000000000000\n");
  EXPECT_EQ(found.pending, 0u);
  EXPECT_FALSE(found.fatal);
}

TEST(ClientSignals, KillIsFatalEvenIfBlockedAndCaughtSignalsAreNot) {
  EXPECT_TRUE(
      parse_signals("\nSigPnd:\t0000000000000100\nSigBlk:\tffffffffffffffff\n").fatal);
  const auto caught =
      parse_signals("\nShdPnd:\t0000000000000200\nSigCgt:\t0000000000000200\n");
  EXPECT_EQ(caught.pending, 0x200u);
  EXPECT_FALSE(caught.fatal);
}

TEST(ClientSignals, ADumpOfCoreIsFatalAndAStopIsNot) {
  EXPECT_TRUE(parse_signals("\nShdPnd:\t0000000000000004\n").fatal);   // SIGQUIT
  EXPECT_FALSE(parse_signals("\nShdPnd:\t0000000000080000\n").fatal);  // SIGTSTP
  EXPECT_FALSE(
      parse_signals("\nShdPnd:\t0000000000000004\nSigIgn:\t0000000000000004\n").fatal);
}

TEST(ClientSignals, AWorkerOfAnIoUringIsInterruptedWithoutASignal) {
  const auto found = parse_signals(
      "Name:\tiou-wrk-7\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\n");
  EXPECT_NE(found.pending, 0u);
  EXPECT_FALSE(found.fatal);
}

TEST(ClientSignals, AClientThatCannotBeLookedAtCountsAsDying) {
  EXPECT_TRUE(signals_of(0).fatal);
}

class SignalledClients : public mounted_tree {
 protected:
  void kill_parked(const std::string& name, std::string_view text, int signal) {
    client_process client{file(name), text};
    ASSERT_TRUE(eventually([&] { return stats_.parked == 1; }));
    client.send(signal);
    client.wait();
    EXPECT_EQ(client.killed_by(), signal);
    EXPECT_TRUE(eventually([&] { return stats_.parked == 0; }));
    EXPECT_EQ(read_file(file("plain")).data, "first\n");  // still serving
  }
};

TEST_F(SignalledClients, DefaultSigintEndsAClientWhoseStoreIsDeafToIt) {
  kill_parked("slow", "park", SIGINT);
}
TEST_F(SignalledClients, SigkillEndsAClientWhoseStoreIsDeafToIt) {
  kill_parked("slow", "park", SIGKILL);
}
TEST_F(SignalledClients, SigtermEndsAnOffliner) {
  kill_parked("offline", "x", SIGTERM);
}
TEST_F(SignalledClients, SigkillEndsAWaiterForARestart) {
  kill_parked("restarting", "x", SIGKILL);
}
TEST_F(SignalledClients, SigintEndsAWaiterForARestart) {
  kill_parked("restarting", "x", SIGINT);
}
TEST_F(SignalledClients, SigquitEndsAWaiterForARestart) {
  rlimit no_core{};
  getrlimit(RLIMIT_CORE, &no_core);
  no_core.rlim_cur = 0;
  setrlimit(RLIMIT_CORE, &no_core);
  kill_parked("restarting", "x", SIGQUIT);
}

TEST_F(SignalledClients, WhatAKilledOfflinerBeganIsUndoneBeforeItIsGone) {
  client_process client{file("offline"), "offline"};
  wait_parked(1);
  client.send(SIGKILL);
  client.wait();
  EXPECT_EQ(device_.undone, 1);
}

TEST_F(SignalledClients, AHandledSignalEndsTheOfflinerWithEintr) {
  client_process client{file("offline"), "offline", usr1::handled};
  wait_parked(1);
  client.send(SIGUSR1);
  client.wait();
  EXPECT_EQ(client.wrote(), (outcome{.value = -1, .error = EINTR}));
  EXPECT_EQ(client.handler_runs(), client_process::handlers_run ? 1 : 0);
  EXPECT_EQ(device_.undone, 1);
}

// The store returned EINTR, not ERESTARTSYS, so SA_RESTART changes nothing.
TEST_F(SignalledClients, AHandledSignalEndsTheOfflinerEvenWithSaRestart) {
  client_process client{file("offline"), "offline", usr1::handled_with_restart};
  wait_parked(1);
  client.send(SIGUSR1);
  client.wait();
  EXPECT_EQ(client.wrote(), (outcome{.value = -1, .error = EINTR}));
}

TEST_F(SignalledClients, AHandledSignalDoesNotEndAWaiterForARestart) {
  client_process client{file("restarting"), "online", usr1::handled};
  ASSERT_TRUE(eventually([&] { return device_.restarts >= 1; }));
  client.send(SIGUSR1);
  const int then = device_.restarts;
  ASSERT_TRUE(eventually([&] { return device_.restarts >= then + 10; }));
  device_.here.open();
  client.wait();
  EXPECT_EQ(client.wrote(), returned(6));
  EXPECT_EQ(client.handler_runs(), client_process::handlers_run ? 1 : 0);
}

// FUSE reports one signal of a request, the first.
TEST_F(SignalledClients, SigkillAfterAHandledSignalEndsAWaiterForARestart) {
  client_process client{file("restarting"), "online", usr1::handled};
  ASSERT_TRUE(eventually([&] { return device_.restarts >= 1; }));
  client.send(SIGUSR1);
  const int then = device_.restarts;
  ASSERT_TRUE(eventually([&] { return device_.restarts >= then + 10; }));
  client.send(SIGKILL);
  client.wait();
  EXPECT_EQ(client.killed_by(), SIGKILL);
}

TEST_F(SignalledClients, SigkillAfterAHandledSignalEndsAClientInADeafStore) {
  client_process client{file("slow"), "park", usr1::handled};
  wait_parked(1);
  client.send(SIGUSR1);
  client.send(SIGKILL);
  client.wait();
  EXPECT_EQ(client.killed_by(), SIGKILL);
}

TEST_F(SignalledClients, AHandledSignalDoesNotTouchADeafStore) {
  client_process client{file("slow"), "park", usr1::handled};
  wait_parked(1);
  client.send(SIGUSR1);
  ASSERT_TRUE(eventually([&] { return signals_of(client.pid()).pending != 0; }));
  EXPECT_EQ(device_.here.inside(), 1);
  device_.here.open();
  client.wait();
  EXPECT_EQ(client.wrote(), returned(4));
  EXPECT_EQ(client.handler_runs(), client_process::handlers_run ? 1 : 0);
}

TEST_F(SignalledClients, ASignalEndsOnlyTheClientThatGotIt) {
  client_process one{file("offline"), "offline"};
  client_process two{file("offline"), "offline"};
  wait_parked(2);
  one.send(SIGINT);
  one.wait();
  EXPECT_EQ(device_.here.inside(), 1);
  device_.here.open();
  two.wait();
  EXPECT_EQ(two.wrote(), returned(7));
}

// Who takes a request out of the table answers it; both at once must not happen.
TEST_F(SignalledClients, SignalsThatRaceWithTheAnswerEndEveryClientOnce) {
  std::vector<std::unique_ptr<client_process>> clients;
  for (int i = 0; i < 60; ++i)
    clients.push_back(
        std::make_unique<client_process>(file("offline"), "offline", usr1::handled));
  wait_parked(60);
  std::thread opener{[this] { device_.here.open(); }};
  for (const auto& client : clients) client->send(SIGUSR1);
  opener.join();
  for (const auto& client : clients) {
    client->wait();
    EXPECT_EQ(client->killed_by(), 0);
    EXPECT_TRUE(client->wrote() == returned(7) ||
                client->wrote() == (outcome{.value = -1, .error = EINTR}));
  }
  EXPECT_TRUE(eventually([&] { return stats_.parked == 0; }));
}

}  // namespace
}  // namespace memhp::test
