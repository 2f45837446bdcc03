// CMD of `memhp run`: started, signals passed both ways, stopped and continued with the
// shell that started memhp.
//
// CMD stays in memhp's process group. So a terminal sends its signals to CMD itself,
// pipelines such as `memhp run -- lsmem | less` stay one job, and memhp never has to
// touch the terminal.
//
// Thread safety: none; a process has one of these, used by its only thread.
#pragma once

#include <sys/signalfd.h>
#include <sys/types.h>

#include <csignal>
#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "blocks/owned_fd.h"

namespace memhp {

// Blocks every signal that can wait and receives them through a descriptor instead.
class signal_source {
 public:
  signal_source();
  signal_source(const signal_source&) = delete;
  signal_source& operator=(const signal_source&) = delete;

  int fd() const { return fd_.get(); }
  // The next signal that is there, si_signo 0 if none is. Never waits.
  signalfd_siginfo next() const;
  // What a child wants before it runs a program: mask and dispositions as inherited.
  void restore_in_child() const;

 private:
  sigset_t inherited_mask_{};
  struct sigaction inherited_child_{};  // disposition of SIGCHLD
  owned_fd fd_;
};

// Exit statuses of `memhp run` itself; others are CMD's.
inline constexpr int exit_run_failed = 125;
inline constexpr int exit_not_executable = 126;
inline constexpr int exit_not_found = 127;
// What a shell makes of a death by signal.
inline constexpr int exit_by_signal = 128;

// Lets go of standard input and output, so that whoever is at the other end of them sees
// the end of the command that has them too.
void release_standard_streams();

// Runs `command` and returns its exit status. `child_ended(pid)` is told every other
// child that ended and returns false if CMD must not go on without it; then
// exit_run_failed is returned, with CMD still running.
int run_in_foreground(const std::vector<std::string>& command,
                      const signal_source& signals,
                      const std::function<bool(pid_t)>& child_ended);

}  // namespace memhp
