#include "fuse/mount_tree.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>
#include <vector>

#include "blocks/owned_fd.h"
#include "blocks/pidfd.h"

namespace memhp {
namespace {

constexpr const char* device = "/dev/fuse";
constexpr const char* filesystem_type = "fuse.memhp";  // subtype memhp
constexpr const char* fusermount = "fusermount3";
constexpr int stale_probe_ms = 2000;

// "dir" as mountinfo spells it: absolute, no links, no trailing slash.
std::string real_path(const std::string& dir) {
  char* resolved = realpath(dir.c_str(), nullptr);
  if (resolved == nullptr) {
    // A dead tree's root cannot be looked at; its parent can.
    const auto slash = dir.find_last_of('/');
    if (errno != ENOTCONN || slash == std::string::npos) return dir;
    return real_path(slash == 0 ? "/" : dir.substr(0, slash)) + dir.substr(slash);
  }
  std::string path{resolved};
  std::free(resolved);
  return path;
}

// mountinfo writes blanks, tabs, newlines and backslashes as \ooo.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 3 >= text.size()) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(std::stoi(std::string{text.substr(i + 1, 3)}, nullptr, 8));
    i += 3;
  }
  return out;
}

// Type of the file system mounted last on `path`, empty if none.
std::string mounted_type(const std::string& path) {
  std::ifstream mounts{"/proc/self/mountinfo"};
  std::string type;
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields{line};
    std::string skipped, point, field;
    fields >> skipped >> skipped >> skipped >> skipped >> point;
    if (unescape(point) != path) continue;
    while (fields >> field && field != "-") {
    }
    fields >> type;
  }
  return type;
}

// Whether a FUSE mount has lost its server. Asked by a child, because a server that
// does not answer would hold the asker.
bool server_is_dead(const std::string& path) {
  const pid_t child = fork();
  if (child < 0) return false;
  if (child == 0) {
    struct statfs answer{};
    // ECONNABORTED: it died while it was asked.
    _exit(statfs(path.c_str(), &answer) != 0 &&
                  (errno == ENOTCONN || errno == ECONNABORTED)
              ? 1
              : 0);
  }
  const owned_fd handle{pidfd_open(child, 0)};
  pollfd ended{.fd = handle.get(), .events = POLLIN};
  if (poll(&ended, 1, stale_probe_ms) == 0) kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

std::string device_missing(int why) {
  if (why == ENOENT || why == ENODEV || why == ENXIO)
    return fmt::format(
        "no {}: load the module (modprobe fuse), or start the container with "
        "--device {}",
        device, device);
  if (why == EACCES)
    return fmt::format("{} is closed to uid {}: run as root, or let root chmod 0666 {}",
                       device, geteuid(), device);
  if (why == EPERM)
    return fmt::format("{} is forbidden here: start the container with --device {}",
                       device, device);
  return fmt::format("cannot open {}: {}", device, strerror(why));
}

std::expected<void, std::string> check_mountpoint(const std::string& dir) {
  struct stat found{};
  if (stat(dir.c_str(), &found) != 0) {
    if (errno == ENOTCONN)
      return std::unexpected{fmt::format(
          "a tree whose server died is still mounted on {}: umount -l {}", dir, dir)};
    if (errno == ENOENT)
      return std::unexpected{
          fmt::format("no directory {}: make it first (mkdir -p {})", dir, dir)};
    return std::unexpected{fmt::format("cannot mount on {}: {}", dir, strerror(errno))};
  }
  if (!S_ISDIR(found.st_mode))
    return std::unexpected{fmt::format("{} is not a directory: name one", dir)};
  if (mounted_type(real_path(dir)) == filesystem_type)
    return std::unexpected{fmt::format(
        "an emulated machine is already mounted on {}: choose another directory, or "
        "end that one first",
        dir)};
  return {};
}

// fusermount3 grants allow_other only if the administrator has said so.
bool user_allow_other() {
  std::ifstream conf{"/etc/fuse.conf"};
  for (std::string line; std::getline(conf, line);) {
    std::istringstream words{line};
    if (std::string word; words >> word && word == "user_allow_other") return true;
  }
  return false;
}

bool in_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream dirs{path != nullptr ? path : "/usr/bin:/bin"};
  for (std::string dir; std::getline(dirs, dir, ':');)
    if (access(dir.append("/").append(program).c_str(), X_OK) == 0) return true;
  return false;
}

// Sends what is written to standard error into memory while it lives, so that a helper
// program's complaint can become part of our one line.
class captured_stderr {
 public:
  captured_stderr()
      : saved_{fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)},
        into_{memfd_create("memhp-stderr", MFD_CLOEXEC)} {
    if (saved_ && into_) dup2(into_.get(), STDERR_FILENO);
  }
  ~captured_stderr() { restore(); }
  captured_stderr(const captured_stderr&) = delete;
  captured_stderr& operator=(const captured_stderr&) = delete;

  // The first line that was written.
  std::string line() {
    restore();
    std::array<char, 512> text{};
    const ssize_t size = pread(into_.get(), text.data(), text.size() - 1, 0);
    const std::string_view all{text.data(),
                               static_cast<std::size_t>(size > 0 ? size : 0)};
    return std::string{all.substr(0, all.find('\n'))};
  }

 private:
  void restore() {
    if (saved_) dup2(saved_.get(), STDERR_FILENO);
    saved_ = owned_fd{};
  }
  owned_fd saved_;
  const owned_fd into_;
};

// Starts fusermount3. With `channel`, that is where it sends the descriptor.
std::expected<pid_t, std::string> start_fusermount(std::vector<std::string> arguments,
                                                   int channel) {
  if (!in_path(fusermount))
    return std::unexpected{
        "no fusermount3, which an ordinary user needs to mount: apt install fuse3, or "
        "run as root"};
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::string commfd = fmt::format("_FUSE_COMMFD={}", channel);
  std::vector<char*> environment{commfd.data()};
  for (char** variable = environ; *variable != nullptr; ++variable)
    environment.push_back(*variable);
  environment.push_back(nullptr);
  pid_t child = 0;
  const int why =
      posix_spawnp(&child, fusermount, nullptr, nullptr, argv.data(), environment.data());
  if (why != 0)
    return std::unexpected{fmt::format("cannot run fusermount3: {}", strerror(why))};
  return child;
}

// The descriptor that somebody sends over a socket, -1 if none comes.
int receive_descriptor(int socket) {
  char byte = 0;
  iovec data{.iov_base = &byte, .iov_len = 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
  msghdr message{.msg_iov = &data,
                 .msg_iovlen = 1,
                 .msg_control = space.data(),
                 .msg_controllen = space.size()};
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) <= 0) return -1;
  const cmsghdr* sent = CMSG_FIRSTHDR(&message);
  if (sent == nullptr || sent->cmsg_type != SCM_RIGHTS) return -1;
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(sent), sizeof fd);
  return fd;
}

// By fusermount3, which is set-uid root, mounts for us and sends the descriptor. Not by
// fuse_session_mount(), whose session cannot let go of what it has mounted.
std::expected<int, std::string> mount_as_user(const std::string& dir, bool allow_other) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0)
    return std::unexpected{fmt::format("no socket pair: {}", strerror(errno))};
  const owned_fd ours{ends[0]};
  owned_fd theirs{ends[1]};
  fcntl(ours.get(), F_SETFD, FD_CLOEXEC);
  std::string options = "fsname=memhp,subtype=memhp,default_permissions,noexec";
  if (allow_other && user_allow_other()) options += ",allow_other";

  captured_stderr complaint;
  const auto child =
      start_fusermount({fusermount, "-o", options, "--", dir}, theirs.get());
  theirs = owned_fd{};
  if (!child) return std::unexpected{child.error()};
  const int fd = receive_descriptor(ours.get());
  waitpid(*child, nullptr, 0);
  if (fd >= 0) return fd;
  return std::unexpected{
      fmt::format("cannot mount on {} as uid {}: {}", dir, geteuid(), complaint.line())};
}

std::expected<void, std::string> unmount_as_user(const std::string& dir) {
  captured_stderr complaint;
  const auto child = start_fusermount({fusermount, "-u", "-z", "--", dir}, -1);
  if (!child) return std::unexpected{child.error()};
  int status = 0;
  waitpid(*child, &status, 0);
  if (status == 0) return {};
  return std::unexpected{fmt::format("cannot unmount {}: {}", dir, complaint.line())};
}

}  // namespace

std::expected<int, std::string> mount_tree(const std::string& dir,
                                           const mount_options& options) {
  if (auto usable = check_mountpoint(dir); !usable)
    return std::unexpected{usable.error()};
  owned_fd fd{open(device, O_RDWR | O_CLOEXEC)};
  if (!fd) return std::unexpected{device_missing(errno)};
  const std::string data = fmt::format(
      "fd={},rootmode=40755,user_id={},group_id={},default_permissions{}", fd.get(),
      geteuid(), getegid(), options.allow_other ? ",allow_other" : "");
  constexpr unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RELATIME;
  if (mount("memhp", dir.c_str(), filesystem_type, flags, data.c_str()) == 0)
    return fcntl(fd.get(), F_DUPFD_CLOEXEC, 3);
  if (errno == EPERM && geteuid() != 0) return mount_as_user(dir, options.allow_other);
  if (errno == EPERM)
    return std::unexpected{fmt::format(
        "mounting on {} is forbidden here: start the container with --cap-add SYS_ADMIN "
        "--device {}",
        dir, device)};
  if (errno == ENODEV)
    return std::unexpected{"the kernel has no FUSE: load the module (modprobe fuse)"};
  if (errno == EBUSY)
    return std::unexpected{
        fmt::format("{} is in use as a mount point: choose another directory", dir)};
  return std::unexpected{fmt::format("cannot mount on {}: {}", dir, strerror(errno))};
}

std::expected<void, std::string> unmount_tree(const std::string& dir) {
  const std::string path = real_path(dir);
  if (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return {};
  if (errno == EPERM && geteuid() != 0) return unmount_as_user(path);
  if (errno == EINVAL)
    return std::unexpected{fmt::format("nothing is mounted on {}", dir)};
  return std::unexpected{fmt::format("cannot unmount {}: {}", dir, strerror(errno))};
}

std::optional<mounted_tree> find_mounted_tree(const std::string& dir) {
  const std::string path = real_path(dir);
  const std::string type = mounted_type(path);
  if (type.empty()) return {};
  mounted_tree found{.ours = type == filesystem_type};
  if (found.ours) found.stale = server_is_dead(path);
  return found;
}

}  // namespace memhp
