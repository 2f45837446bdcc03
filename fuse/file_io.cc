#include "fuse/file_io.h"

#include <fuse_lowlevel.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace memhp {

io_outcome perform(const io_request& io, task& by) {
  kernfs_open_file& file = *io.handle->file;
  io_outcome outcome;
  if (io.writing) {
    const auto written = file.write(io.data, by);
    if (written)
      outcome.written = *written;
    else
      outcome.error = static_cast<int>(written.error());
    return outcome;
  }
  if (file.read_calls_show(io.offset))
    io.handle->has_read.store(true, std::memory_order_relaxed);
  auto text = file.read(io.offset, io.size, by);
  if (text)
    outcome.data = std::move(*text);
  else
    outcome.error = static_cast<int>(text.error());
  return outcome;
}

void reply(fuse_req* req, machine_stats& stats, bool writing, const io_outcome& outcome) {
  if (outcome.error != 0)
    reply_error(req, stats, outcome.error);
  else if (writing)
    fuse_reply_write(req, outcome.written);
  else
    fuse_reply_buf(req, outcome.data.data(), outcome.data.size());
}

void reply_error(fuse_req* req, machine_stats& stats, int error) {
  // The kernel takes an errno of 512 and above for a broken server and leaves the
  // client waiting for ever.
  if (error < 0 || error >= 512) error = EIO;
  if (error != 0)
    stats.errors[std::min<std::size_t>(error, machine_stats::max_errno - 1)].fetch_add(
        1, std::memory_order_relaxed);
  fuse_reply_err(req, error);
}

}  // namespace memhp
