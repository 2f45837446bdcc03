// The process that holds the machine and answers its tree. Its parent, which owns the
// descriptor of /dev/fuse, stays small and outlives it.
//
// The two are tied by a lifeline, a socket pair: each sees the end of the other there,
// however it came.
//
// Thread safety: none; the parent has one thread, and the worker starts its own.
#pragma once

#include <spdlog/logger.h>
#include <sys/types.h>

#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "blocks/owned_fd.h"
#include "cli/machine_options.h"
#include "emu/stats_segment.h"
#include "fuse/session.h"

namespace memhp {

struct worker_plan {
  machine_setup setup;
  int fuse_fd = -1;
  stats_segment* segment = nullptr;
  std::shared_ptr<spdlog::logger> log;
  session_options session;
  // Called first in the worker, while it has one thread.
  std::function<void()> enter;
  // Called in the worker with the tree of the booted machine, before it is served.
  std::function<void(kernfs_root&)> furnish;
  // Called in the worker when its parent is gone, before it ends itself.
  std::function<void()> parent_died;
};

class worker_process {
 public:
  // Starts the worker and waits until the machine has booted and the tree is served.
  // The error is one line. `signal_fd` (of a signal_source) lets a signal that asks
  // this process to end break the wait off.
  static std::expected<worker_process, std::string> start(const worker_plan& plan,
                                                          int signal_fd);
  worker_process(worker_process&&) = default;
  worker_process& operator=(worker_process&&) = default;

  pid_t pid() const { return pid_; }
  // Readable (end of file) once the worker has ended.
  int lifeline() const { return lifeline_.get(); }

  // Asks the worker to end, waits, and kills it if it does not.
  void stop();

 private:
  worker_process(pid_t pid, owned_fd lifeline)
      : pid_{pid}, lifeline_{std::move(lifeline)} {}

  pid_t pid_;
  owned_fd lifeline_;
};

}  // namespace memhp
