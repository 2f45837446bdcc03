// The files that clients have open, by file handle: a plain number, never reused.
//
// Thread safety: open_files is for the receiver alone. An open_handle is shared with
// the workers; its mutex serializes reads and writes of one open file, as of->mutex
// does in fs/kernfs/file.c.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>

#include "emu/kernfs.h"
#include "fuse/node_table.h"
#include "locks/tracked.h"

namespace memhp {

struct open_handle {
  // Constant after construction.
  const node_id node;
  const std::unique_ptr<kernfs_open_file> file;

  static constexpr lock_class_key mutex_key{.name = "&of->mutex"};
  tracked_mutex mutex{mutex_key};  // guards *file
  // of->event: a read has generated content, so poll() has nothing new to report.
  std::atomic<bool> has_read = false;
};
using open_handle_ref = std::shared_ptr<open_handle>;

class open_files {
 public:
  std::uint64_t add(node_id node, std::unique_ptr<kernfs_open_file> file) {
    const std::uint64_t handle = next_++;
    files_.emplace(handle, new open_handle{.node = node, .file = std::move(file)});
    return handle;
  }
  // Null if there is no such handle.
  open_handle_ref find(std::uint64_t handle) const {
    const auto hit = files_.find(handle);
    return hit == files_.end() ? open_handle_ref{} : hit->second;
  }
  open_handle_ref remove(std::uint64_t handle) {
    const auto gone = files_.extract(handle);
    return gone ? std::move(gone.mapped()) : open_handle_ref{};
  }

 private:
  std::uint64_t next_ = 1;
  std::unordered_map<std::uint64_t, open_handle_ref> files_;
};

}  // namespace memhp
