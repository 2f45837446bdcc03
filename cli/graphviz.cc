#include "cli/graphviz.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

namespace memhp {
namespace {

// A file that nobody else sees. dot reads one and writes another: with pipes, each side
// could wait for the other.
class memory_file {
 public:
  explicit memory_file(const char* name) : fd_{memfd_create(name, MFD_CLOEXEC)} {}
  ~memory_file() {
    if (fd_ >= 0) close(fd_);
  }
  memory_file(const memory_file&) = delete;
  memory_file& operator=(const memory_file&) = delete;

  int fd() const { return fd_; }

  // Writes all of it, to be read from the start.
  bool fill(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t done = write(fd_, text.data(), text.size());
      if (done <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(done));
    }
    return lseek(fd_, 0, SEEK_SET) == 0;
  }

  std::string contents() const {
    std::string all;
    std::array<char, 1U << 16> part{};
    off_t at = 0;
    for (ssize_t got = 0; (got = pread(fd_, part.data(), part.size(), at)) > 0; at += got)
      all.append(part.data(), static_cast<std::size_t>(got));
    return all;
  }

 private:
  const int fd_;
};

// Its exit status; the error is an errno.
std::expected<int, int> run_dot(const memory_file& from, const memory_file& to) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, from.fd(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, to.fd(), STDOUT_FILENO);
  std::array<char, 4> name{"dot"};
  std::array<char, 6> format{"-Tsvg"};
  const std::array<char*, 3> argv{name.data(), format.data(), nullptr};
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, "dot", &files, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) return std::unexpected{error};
  int status = 0;
  while (waitpid(pid, &status, 0) != pid)
    if (errno != EINTR) return std::unexpected{errno};
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

std::expected<std::string, std::string> draw_svg(const std::string& graph) {
  const memory_file from{"graph"};
  const memory_file to{"picture"};
  if (from.fd() < 0 || to.fd() < 0 || !from.fill(graph))
    return std::unexpected{fmt::format("no memory for a picture: {}", strerror(errno))};
  const auto status = run_dot(from, to);
  if (!status && status.error() == ENOENT)
    return std::unexpected{
        "there is no program dot, which draws: install the package graphviz, or write "
        "--dot for what it draws from"};
  if (!status) return std::unexpected{fmt::format("dot: {}", strerror(status.error()))};
  if (*status != 0)
    return std::unexpected{fmt::format("dot failed, with exit status {}", *status)};
  return to.contents();
}

}  // namespace memhp
