#include "fuse/device_io.h"

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "fuse/kernfs_ops.h"

namespace memhp {
namespace {

ssize_t receive(int fd, void* buffer, std::size_t size, void* userdata) {
  const ssize_t got = read(fd, buffer, size);
  auto& init = static_cast<served_tree*>(userdata)->init;
  if (got < 0 || init.answered) return got;
  const auto* header = static_cast<const fuse_in_header*>(buffer);
  if (header->opcode == FUSE_INIT) {
    init.unique = header->unique;
    fuse_init_in request{};
    const std::size_t rest = static_cast<std::size_t>(got) - sizeof *header;
    std::memcpy(&request, header + 1, std::min(rest, sizeof request));
    init.offered = request.flags;
  }
  return got;
}

// We have no set-id bits and no capabilities to clear on a write, so we may say that we
// clear them. Unless it is told so, the kernel asks for the attribute
// security.capability before it truncates a file: a round trip in every `echo >`.
void complete_init(init_exchange& init, std::span<iovec> parts) {
  const auto* header = static_cast<const fuse_out_header*>(parts[0].iov_base);
  if (header->unique != init.unique) return;
  init.answered = true;
  if (header->error != 0 || parts.size() < 2) return;
  auto* answer = static_cast<fuse_init_out*>(parts[1].iov_base);
  answer->flags |= init.offered & FUSE_HANDLE_KILLPRIV_V2;
}

// The kernel pins the pages of every part, which costs more than copying a small one.
ssize_t send(int fd, iovec* parts, int count, void* userdata) {
  auto& init = static_cast<served_tree*>(userdata)->init;
  const std::span pieces{parts, static_cast<std::size_t>(count)};
  if (!init.answered) complete_init(init, pieces);
  alignas(64) std::array<char, 512> joined;
  std::size_t size = 0;
  for (const iovec& piece : pieces) size += piece.iov_len;
  if (count == 1 || size > joined.size()) return writev(fd, parts, count);
  char* end = joined.data();
  for (const iovec& piece : pieces)
    end = std::copy_n(static_cast<const char*>(piece.iov_base), piece.iov_len, end);
  return write(fd, joined.data(), size);
}

}  // namespace

bool attach_device(fuse_session* session, int fd) {
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return false;
  const fuse_custom_io io{.writev = send, .read = receive};
  if (fcntl(copy, F_SETFL, fcntl(copy, F_GETFL) | O_NONBLOCK) == 0 &&
      fuse_session_custom_io(session, &io, copy) == 0)
    return true;
  close(copy);
  return false;
}

}  // namespace memhp
