// A file descriptor that is closed with its owner.
#pragma once

#include <unistd.h>

#include <utility>

namespace memhp {

class owned_fd {
 public:
  owned_fd() = default;
  explicit owned_fd(int fd) : fd_{fd} {}
  owned_fd(owned_fd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  owned_fd& operator=(owned_fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  owned_fd(const owned_fd&) = delete;
  owned_fd& operator=(const owned_fd&) = delete;
  ~owned_fd() {
    if (fd_ >= 0) close(fd_);
  }

  // -1 when nothing is owned.
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace memhp
