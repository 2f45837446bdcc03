#include "cli/child_run.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "cli/foreground.h"

namespace memhp {
namespace {

constexpr std::array asks_to_end = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

bool is_ignored(int signal) {
  struct sigaction now{};
  sigaction(signal, nullptr, &now);
  return now.sa_handler == SIG_IGN;
}

// Blocks what run_in_child() waits for. What is ignored stays so (nohup), except SIGCHLD,
// which would not come then.
class waited_signals {
 public:
  waited_signals() {
    sigemptyset(&set_);
    for (const int each : asks_to_end)
      if (!is_ignored(each)) sigaddset(&set_, each);
    sigaddset(&set_, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set_, &former_);
    struct sigaction usual{};
    usual.sa_handler = SIG_DFL;
    sigaction(SIGCHLD, &usual, &former_child_);
  }
  ~waited_signals() { restore(); }
  waited_signals(const waited_signals&) = delete;
  waited_signals& operator=(const waited_signals&) = delete;

  void restore() const {
    sigaction(SIGCHLD, &former_child_, nullptr);
    sigprocmask(SIG_SETMASK, &former_, nullptr);
  }
  int wait() const {
    int signal = 0;
    while (sigwait(&set_, &signal) != 0) {
    }
    return signal;
  }

 private:
  sigset_t set_{};
  sigset_t former_{};
  struct sigaction former_child_{};
};

[[noreturn]] void be_the_child(const waited_signals& signals, pid_t parent,
                               const std::function<int()>& body) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(EXIT_FAILURE);
  signals.restore();
  const int status = body();
  (void)std::fflush(nullptr);
  _exit(status);  // threads that hang know no other end
}

}  // namespace

std::expected<int, std::string> run_in_child(const std::function<int()>& body) {
  const waited_signals signals;
  (void)std::fflush(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return std::unexpected{fmt::format("no child: errno {}", errno)};
  if (child == 0) be_the_child(signals, parent, body);
  int status = 0;
  for (int signal = signals.wait();; signal = signals.wait()) {
    if (signal != SIGCHLD) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      return exit_by_signal + signal;
    }
    if (waitpid(child, &status, WNOHANG) == child) break;
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  const int signal = WTERMSIG(status);
  // Of a terminal's Ctrl-C both hear, in any order.
  for (const int each : asks_to_end)
    if (signal == each) return exit_by_signal + signal;
  return std::unexpected{fmt::format("the run was ended by signal {}", signal)};
}

}  // namespace memhp
