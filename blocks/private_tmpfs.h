// A file in a tmpfs of its own, mounted with huge=always and without a size limit.
//
// It is how a process gets shareable transparent huge pages whatever the host's
// transparent_hugepage/shmem_enabled says, and without a hugetlb pool. The tmpfs is
// never attached anywhere: no mount, no name and no process is left; the file alone
// keeps it alive.
//
// Thread safety: may be called by any thread. Without CAP_SYS_ADMIN it forks a child
// for a few milliseconds, which gets the right to mount from a user namespace.
#pragma once

#include <expected>
#include <string>

#include "blocks/owned_fd.h"

namespace memhp {

// The error is half a line that says what is missing. Needs Linux 5.2 (fsopen(2)).
std::expected<owned_fd, std::string> open_private_tmpfs_file();

}  // namespace memhp
