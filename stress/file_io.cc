#include "stress/file_io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace memhp::stress {
namespace {

answer transfer(int fd, const request& what) {
  answer got;
  ssize_t size = 0;
  if (what.what == request::kind::write) {
    size = pwrite(fd, what.text.data(), what.text.size(), 0);
  } else {
    std::array<char, page_bytes> text;
    size = pread(fd, text.data(), text.size(), 0);
    if (size > 0) got.text.assign(text.data(), static_cast<std::size_t>(size));
  }
  got.error = size < 0 ? errno : 0;
  got.size = size < 0 ? 0 : static_cast<std::size_t>(size);
  return got;
}

}  // namespace

answer file_io::carry_out(const request& what) {
  switch (what.what) {
    case request::kind::stat: {
      struct stat st{};
      const bool found =
          fstatat(sys_.root.get(), what.path.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
      return {.error = found ? 0 : errno};
    }
    case request::kind::list: return {.names = sys_.list(what.path)};
    default: return use_file(what);
  }
}

answer file_io::use_file(const request& what) {
  owned_fd own;
  owned_fd& fd = what.kept ? kept_[*what.kept] : own;
  if (!what.kept || what.reopen) {
    const int flags = what.what == request::kind::write ? O_WRONLY : O_RDONLY;
    fd = owned_fd{};
    fd = owned_fd{openat(sys_.root.get(), what.path.c_str(), flags | O_CLOEXEC)};
    if (!fd) return {.error = errno, .opened = false};
  }
  return transfer(fd.get(), what);
}

}  // namespace memhp::stress
