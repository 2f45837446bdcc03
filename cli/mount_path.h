// The directory behind --mount, in the one spelling that names a machine everywhere.
//
// Thread safety: any thread.
#pragma once

#include <expected>
#include <string>

namespace memhp {

// `dir` as an absolute path without links. Never asks a file system mounted there: its
// server may be dead or stuck. The error is one line that says what to write instead.
std::expected<std::string, std::string> canonical_mount(const std::string& dir);

}  // namespace memhp
