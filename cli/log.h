// Where a machine's lines go: what the emulated kernel prints, what went wrong, and what
// the daemon did.
//
// Thread safety: the loggers are for any thread, and for a process and its children.
#pragma once

#include <spdlog/logger.h>

#include <expected>
#include <memory>
#include <string>

namespace memhp {

// Where a daemon logs unless it is told: /var/log/memhp for root, otherwise
// $XDG_STATE_HOME/memhp or ~/.local/state/memhp; the file is named after the mount
// (/mnt/hp: mnt-hp.log).
std::string default_log_path(const std::string& mount);

// Appends to `path`, whose directory is created. The error is one line.
std::expected<std::shared_ptr<spdlog::logger>, std::string> log_to_file(
    const std::string& path);
std::shared_ptr<spdlog::logger> log_to_stderr();
std::shared_ptr<spdlog::logger> log_to_nowhere();

}  // namespace memhp
