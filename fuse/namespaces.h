// The private world of `memhp run`: a mount namespace of its own, a user namespace
// where the caller may not have one without, and the means to end what runs in it.
//
// Thread safety: none of these functions may run beside another thread of the process
// that enters namespaces or forks; the kernel refuses a user namespace to a process
// with threads.
#pragma once

#include <sys/types.h>

#include <expected>
#include <optional>
#include <string>

namespace memhp {

// Moves the calling process into a mount namespace from which nothing propagates to
// the outside. A process without CAP_SYS_ADMIN first gets a user namespace in which its
// user and group are root; no other id is mapped there. The error is one line that says
// what is missing and how to get on without it.
std::expected<void, std::string> enter_private_namespaces();

// Which namespace a process is in; equal for two processes in the same one.
struct namespace_id {
  dev_t dev = 0;
  ino_t ino = 0;
  friend bool operator==(const namespace_id&, const namespace_id&) = default;
};

// The mount namespace of `pid`, of the caller if 0. Empty if there is no such process
// or it may not be looked at.
std::optional<namespace_id> mount_namespace_of(pid_t pid = 0);

// Ends every process in that mount namespace but the caller (SIGKILL), again and again
// until none is left, and waits for their end.
void end_processes_in(const namespace_id& mount_namespace);

// Ends every descendant of the caller but `spared` and its children, and reaps the
// caller's. The caller must be a child subreaper (PR_SET_CHILD_SUBREAPER), so that
// nobody leaves its family by forking twice.
void end_descendants(pid_t spared);

}  // namespace memhp
