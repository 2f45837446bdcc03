#include "stress/ring.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "blocks/owned_fd.h"

namespace memhp::stress {
namespace {

class Ring : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = why_no_ring(8, 8); !why.empty()) GTEST_SKIP() << why;
    std::string pattern = testing::TempDir() + "ring.XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir = pattern;
    root = owned_fd{open(dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    std::ofstream{dir + "/file"} << "text\nmore\n";
    auto made = ring::create(8, 8);
    ASSERT_TRUE(made.has_value()) << made.error();
    on.emplace(std::move(*made));
  }
  void TearDown() override {
    std::error_code ignored;
    if (!dir.empty()) std::filesystem::remove_all(dir, ignored);
  }

  answer carry_out(request what, std::size_t kept = 0) {
    chain.what = std::move(what);
    on->start(chain, root.get(), kept);
    while (chain.under_way()) wait();
    return ring::answer_of(chain, complaint);
  }
  void wait() {
    on->wait(
        std::chrono::seconds{10},
        [this](std::size_t number, unsigned part, int result) {
          EXPECT_EQ(number, chain.number);
          chain.results[part] = result;
          ++chain.back;
        },
        [this] { ++events; });
  }
  std::string content() const {
    std::ostringstream text;
    text << std::ifstream{dir + "/file"}.rdbuf();
    return text.str();
  }

  std::string dir;
  owned_fd root;
  std::optional<ring> on;
  ring::chain chain;
  std::string complaint;
  int events = 0;
};

TEST_F(Ring, AChainOpensWritesAndCloses) {
  const answer got =
      carry_out({.what = request::kind::write, .path = "file", .text = "TEXT"});
  EXPECT_EQ(got.error, 0);
  EXPECT_EQ(got.size, 4U);
  EXPECT_EQ(chain.results[2], 0);  // the close
  EXPECT_EQ(content(), "TEXT\nmore\n");
}

TEST_F(Ring, AReadAnswersTheFirstLineAndClosesAlthoughItIsShort) {
  const answer got = carry_out({.what = request::kind::read, .path = "file"});
  EXPECT_EQ(got.text, "text\n");
  EXPECT_EQ(chain.results[2], 0);
  EXPECT_EQ(complaint, "");
}

TEST_F(Ring, AFailedOpenIsTheAnswerOfItsChain) {
  const answer got =
      carry_out({.what = request::kind::write, .path = "nothing", .text = "x"});
  EXPECT_EQ(got.error, ENOENT);
  EXPECT_FALSE(got.opened);
  EXPECT_EQ(chain.results[1], -ECANCELED);
  EXPECT_EQ(chain.results[2], -ECANCELED);
  EXPECT_EQ(complaint, "");
}

TEST_F(Ring, AFailedWriteStillClosesItsFile) {
  std::filesystem::create_symlink("/dev/full", dir + "/full");
  const answer got =
      carry_out({.what = request::kind::write, .path = "full", .text = "x"});
  EXPECT_EQ(got.error, ENOSPC);
  EXPECT_TRUE(got.opened);
  EXPECT_EQ(chain.results[2], 0);
}

TEST_F(Ring, AKeptFileOutlivesItsName) {
  request what{.what = request::kind::read, .path = "file", .kept = 3, .reopen = true};
  EXPECT_EQ(carry_out(what, 3).text, "text\n");
  std::filesystem::remove(dir + "/file");
  what.reopen = false;
  EXPECT_EQ(carry_out(what, 3).text, "text\n");
  what.reopen = true;
  EXPECT_EQ(carry_out(what, 3).error, ENOENT);
}

TEST_F(Ring, StatsByName) {
  EXPECT_EQ(carry_out({.what = request::kind::stat, .path = "file"}).error, 0);
  EXPECT_EQ(chain.status.stx_size, 10U);
  EXPECT_EQ(carry_out({.what = request::kind::stat, .path = "no"}).error, ENOENT);
}

TEST_F(Ring, InterruptsWhatWaits) {
  ASSERT_EQ(mkfifo((dir + "/fifo").c_str(), 0600), 0);
  const owned_fd other{open((dir + "/fifo").c_str(), O_RDWR | O_CLOEXEC)};
  chain.what = {.what = request::kind::read, .path = "fifo"};
  on->start(chain, root.get(), 0);
  while (chain.back == 0) wait();  // it is open, and there is nothing to read
  while (chain.under_way()) {
    if (chain.back == 1) on->interrupt(chain);  // misses a read that has not begun yet
    wait();
  }
  const answer got = ring::answer_of(chain, complaint);
  EXPECT_TRUE(got.error == EINTR || got.error == ECANCELED) << got.error;
  EXPECT_EQ(chain.results[2], 0);
}

TEST_F(Ring, TellsOfAnEventAgainAndAgain) {
  const owned_fd event{eventfd(0, EFD_CLOEXEC)};
  on->watch(event.get());
  for (int i = 1; i <= 3; ++i) {
    ASSERT_EQ(eventfd_write(event.get(), 1), 0);
    while (events < i) wait();
  }
}

// As in a container that filters the system call.
TEST(RingIsMissing, IsSaidInOneLine) {
  for (const int error : {ENOSYS, EPERM}) {
    const pid_t child = fork();
    if (child == 0) {
      std::array<sock_filter, 4> program = {{
          BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      }};
      const sock_fprog filter{.len = program.size(), .filter = program.data()};
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) _exit(2);
      const std::string why = why_no_ring(1, 0);
      _exit(why.starts_with("no io_uring here: ") && !why.contains('\n') ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << error;
  }
}

}  // namespace
}  // namespace memhp::stress
