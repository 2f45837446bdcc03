// Reading and writing /dev/fuse for libfuse.
//
// Done by hand for two things: to read without sleeping, and to add to the answer to
// INIT what libfuse 3.14 cannot negotiate.
#pragma once

#include <cstdint>

struct fuse_session;

namespace memhp {

// The first request and its answer, in which kernel and server agree on what they do.
struct init_exchange {
  std::uint64_t unique = 0;   // of the request
  std::uint32_t offered = 0;  // flags of the kernel
  bool answered = false;
};

// Gives `session`, whose userdata is a served_tree, its own copy of the descriptor, and
// makes that nonblocking. False on failure, see errno.
bool attach_device(fuse_session* session, int fd);

}  // namespace memhp
