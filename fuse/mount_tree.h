// Mounting the tree: who opens /dev/fuse, who may mount, and what to say if it fails.
//
// The descriptor that mount_tree() returns is the mount's life: the kernel ends the
// file system when its last copy is closed. A small parent process keeps it and hands
// its number to the worker that serves it (tree_session), so that the mount outlives a
// worker.
//
// Thread safety: mount_tree() may fork a helper program; call it before threads start.
#pragma once

#include <expected>
#include <optional>
#include <string>

namespace memhp {

struct mount_options {
  // Lets other users in, where the mounting user may: root, root of a user namespace,
  // an ordinary user if /etc/fuse.conf has user_allow_other.
  bool allow_other = true;
};

// Mounts an empty FUSE tree over the existing directory `dir` and returns its /dev/fuse
// descriptor (close on exec, not yet served: accesses wait). With CAP_SYS_ADMIN over
// the mount namespace, as real root or as root of a user namespace, by mount(2); a
// process in a user namespace must have entered it before it calls this. Without, by
// fusermount3. The error is one line that says what is missing and how to get on.
std::expected<int, std::string> mount_tree(const std::string& dir,
                                           const mount_options& options = {});

// Takes the tree away from `dir`, also while it is in use (lazily) and when its server
// is dead.
std::expected<void, std::string> unmount_tree(const std::string& dir);

// What is mounted on exactly this path, as seen by this process.
struct mounted_tree {
  bool ours = false;   // a tree that mount_tree() made
  bool stale = false;  // nobody serves it any more
};
// Empty if `dir` is not a mount point. Never touches the mounted file system itself
// unless it is ours.
std::optional<mounted_tree> find_mounted_tree(const std::string& dir);

}  // namespace memhp
