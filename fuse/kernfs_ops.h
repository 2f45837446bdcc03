// The file system operations: what each system call on the tree means for kernfs.
//
// Every operation runs on the receiver and never sleeps; reads and writes that might
// are parked. Errors are sysfs's.
//
// Thread safety: for the receiver alone.
#pragma once

#include <fuse_lowlevel.h>
#include <sys/types.h>

#include <functional>
#include <utility>

#include "emu/kernfs.h"
#include "emu/machine_stats.h"
#include "fuse/device_io.h"
#include "fuse/node_table.h"
#include "fuse/notifier.h"
#include "fuse/open_files.h"
#include "fuse/parked_requests.h"

namespace memhp {

// What the operations work on; the userdata of the libfuse session.
struct served_tree {
  served_tree(kernfs_root& tree, machine_stats& figures, uid_t uid, gid_t gid,
              std::function<void()> wake_receiver)
      : root{tree},
        stats{figures},
        owner_uid{uid},
        owner_gid{gid},
        nodes{tree.top()},
        parked{nodes, tell_kernel, figures, std::move(wake_receiver)} {}

  kernfs_root& root;
  machine_stats& stats;
  // Shown instead of uid 0 and gid 0 of the machine.
  const uid_t owner_uid;
  const gid_t owner_gid;
  node_table nodes;
  open_files files;
  notifier tell_kernel;
  parked_requests parked;
  init_exchange init;
  bool opendir_needed = true;  // the kernel wants an answer to OPENDIR
};

// Adds the operations on names, attributes and directories (tree_ops.cc) and on open
// files (file_ops.cc).
void add_tree_ops(fuse_lowlevel_ops& ops);
void add_file_ops(fuse_lowlevel_ops& ops);

// For both: counts one operation and returns what it works on.
served_tree& begin_op(fuse_req_t req, stats_op op);
// Attributes as the client sees them under this id.
struct stat client_stat(served_tree& tree, kernfs_node& node);

// Attributes and names stay valid until the kernel is told otherwise.
inline constexpr double for_ever = 1e9;  // seconds

}  // namespace memhp
