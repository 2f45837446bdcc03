#include "cli/foreground.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace memhp {
namespace {

// Signals that mean this process itself, now: they cannot wait in a descriptor.
constexpr std::array synchronous_signals = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                                            SIGTRAP, SIGABRT, SIGSYS};

[[noreturn]] void exec_command(const std::vector<std::string>& command,
                               const signal_source& signals, pid_t parent) {
  // CMD must not outlive this process, which may already be gone.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(exit_run_failed);
  signals.restore_in_child();
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (const std::string& argument : command)
    argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execvp(argv.front(), argv.data());
  const int why = errno;
  fmt::print(stderr, "memhp run: cannot run {}: {}\n", command.front(), strerror(why));
  std::fflush(stderr);
  _exit(why == ENOENT ? exit_not_found : exit_not_executable);
}

// Stops this process too, as the shell that waits for it expects of a stopped job. The
// kernel ignores the signal where no shell could continue us (an orphaned group).
void stop_with_command() {
  struct sigaction old{};
  struct sigaction by_default{};
  by_default.sa_handler = SIG_DFL;
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTSTP);
  sigaction(SIGTSTP, &by_default, &old);
  raise(SIGTSTP);
  sigprocmask(SIG_UNBLOCK, &stop, nullptr);  // stops here
  sigprocmask(SIG_BLOCK, &stop, nullptr);
  sigaction(SIGTSTP, &old, nullptr);
}

class foreground_command {
 public:
  foreground_command(pid_t pid, const std::function<bool(pid_t)>& child_ended)
      : pid_{pid}, child_ended_{child_ended} {}

  bool ended() const { return ended_; }
  int status() const { return status_; }

  void take(const signalfd_siginfo& info) {
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGCHLD) return reap();
    // What the terminal sends (si_code SI_KERNEL) has reached CMD already, or the job
    // of CMD's own that has the terminal; but a hangup may reach the session's leader
    // alone, which this process is in a terminal opened for it.
    if (info.ssi_code == SI_KERNEL && signal != SIGHUP) return;
    kill(pid_, signal);
  }

 private:
  void reap() {
    int status = 0;
    // Status of CMD may come with others in one SIGCHLD.
    while (const pid_t child = waitpid(-1, &status, WNOHANG | WUNTRACED)) {
      if (child < 0) return;
      if (WIFSTOPPED(status)) {
        if (child == pid_) stop_with_command();
      } else if (child == pid_) {
        end(WIFEXITED(status) ? WEXITSTATUS(status) : exit_by_signal + WTERMSIG(status));
      } else if (!child_ended_(child)) {
        end(exit_run_failed);
      }
    }
  }

  void end(int status) {
    if (!ended_) status_ = status;
    ended_ = true;
  }

  const pid_t pid_;
  const std::function<bool(pid_t)>& child_ended_;
  bool ended_ = false;
  int status_ = 0;
};

}  // namespace

signal_source::signal_source() {
  // An ignored SIGCHLD would let the kernel reap our children.
  struct sigaction by_default{};
  by_default.sa_handler = SIG_DFL;
  sigaction(SIGCHLD, &by_default, &inherited_child_);
  sigset_t all;
  sigfillset(&all);
  for (const int signal : synchronous_signals) sigdelset(&all, signal);
  sigprocmask(SIG_BLOCK, &all, &inherited_mask_);
  fd_ = owned_fd{signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK)};
}

signalfd_siginfo signal_source::next() const {
  signalfd_siginfo info{};
  if (read(fd_.get(), &info, sizeof info) != sizeof info) info = {};
  return info;
}

void signal_source::restore_in_child() const {
  sigaction(SIGCHLD, &inherited_child_, nullptr);
  sigprocmask(SIG_SETMASK, &inherited_mask_, nullptr);
}

void release_standard_streams() {
  const owned_fd null{open("/dev/null", O_RDWR | O_CLOEXEC)};
  if (null.get() < 0) return;  // a world without /dev/null keeps what it has
  dup2(null.get(), STDIN_FILENO);
  dup2(null.get(), STDOUT_FILENO);
}

int run_in_foreground(const std::vector<std::string>& command,
                      const signal_source& signals,
                      const std::function<bool(pid_t)>& child_ended) {
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) {
    fmt::print(stderr, "memhp run: cannot start a process: {}\n", strerror(errno));
    return exit_run_failed;
  }
  if (pid == 0) exec_command(command, signals, parent);

  release_standard_streams();
  foreground_command running{pid, child_ended};
  while (!running.ended()) {
    pollfd arrived{.fd = signals.fd(), .events = POLLIN, .revents = 0};
    poll(&arrived, 1, -1);
    for (auto info = signals.next(); info.ssi_signo != 0; info = signals.next())
      running.take(info);
  }
  return running.status();
}

}  // namespace memhp
