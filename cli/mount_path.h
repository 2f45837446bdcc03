// The directory behind --mount, in the one spelling that names a machine everywhere.
//
// Thread safety: any thread.
#pragma once

#include <expected>
#include <optional>
#include <string>

#include "fuse/mount_tree.h"

namespace memhp {

// `dir` as an absolute path without links. Never asks a file system mounted there: its
// server may be dead or stuck. The error is one line that says what to write instead.
std::expected<std::string, std::string> canonical_mount(const std::string& dir);

// find_mounted_tree() for a mount that no living daemon answers for: a worker that was
// left alone needs a moment to end, during which its mount does not look stale yet.
std::optional<mounted_tree> find_abandoned_tree(const std::string& mount);

}  // namespace memhp
