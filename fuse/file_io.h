// One read or write of an open file, and how it is answered.
//
// Thread safety: every function may be called by any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "emu/machine_stats.h"
#include "emu/task.h"
#include "fuse/open_files.h"

struct fuse_req;

namespace memhp {

struct io_request {
  fuse_req* req;
  pid_t tid;  // 0: outside our pid namespace
  uid_t uid;
  gid_t gid;
  open_handle_ref handle;
  bool writing;
  std::uint64_t offset;
  std::size_t size = 0;  // to read
  std::string data;      // to write
};

struct io_outcome {
  int error = 0;  // an errno, or restart_no_intr
  std::size_t written = 0;
  std::string data;
};
inline constexpr int restart_error = static_cast<int>(restart_no_intr);

// Runs show or store. The handle's mutex must be held.
io_outcome perform(const io_request& io, task& by);

// Answers and counts. The request is gone afterwards. Not for restart_error.
void reply(fuse_req* req, machine_stats& stats, bool writing, const io_outcome& outcome);
void reply_error(fuse_req* req, machine_stats& stats, int error);

}  // namespace memhp
