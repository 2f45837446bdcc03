// A part of a command in a child, which ends with whatever threads it has.
#pragma once

#include <expected>
#include <functional>
#include <string>

namespace memhp {

// Runs `body` in a child, which has this process's streams, and returns the exit status
// that it returned. SIGINT, SIGTERM, SIGHUP or SIGQUIT, unless ignored, kill the child at
// once; then the status is 128 and the signal's number, what a shell makes of a death by
// signal. The child dies with this process. The error is one line: no child, or one that
// crashed.
//
// Thread safety: for a process with one thread.
std::expected<int, std::string> run_in_child(const std::function<int()>& body);

}  // namespace memhp
