#include "fuse/namespaces.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string_view>
#include <vector>

#include "blocks/pidfd.h"

namespace memhp {
namespace {

// Writes a file of /proc in one write(2), as the id maps want it. False: see errno.
bool write_proc(const char* path, std::string_view text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = write(fd, text.data(), text.size()) == std::ssize(text);
  const int why = errno;
  close(fd);
  errno = why;
  return written;
}

// The number in a one-line file of /proc/sys, or `otherwise` if there is no such file.
long read_sysctl(const char* path, long otherwise) {
  std::ifstream file{path};
  long value = 0;
  return file >> value ? value : otherwise;
}

// Why the kernel refused a user namespace, and what helps.
std::string no_user_namespace(int why) {
  const char* cure = "";
  if (read_sysctl("/proc/sys/user/max_user_namespaces", 1) == 0)
    cure = ", or allow them: sysctl user.max_user_namespaces=1000";
  else if (read_sysctl("/proc/sys/kernel/unprivileged_userns_clone", 1) == 0)
    cure = ", or allow them: sysctl kernel.unprivileged_userns_clone=1";
  else if (read_sysctl("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 0) == 1)
    cure = ", or allow them: sysctl kernel.apparmor_restrict_unprivileged_userns=0";
  return fmt::format("no user namespace for uid {} ({}): run as root{}", getuid(),
                     strerror(why), cure);
}

std::expected<void, std::string> enter_user_namespace() {
  const uid_t uid = geteuid();
  const gid_t gid = getegid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
    return std::unexpected{no_user_namespace(errno)};
  // setgroups must be denied before an ordinary user may map a group.
  if (!write_proc("/proc/self/setgroups", "deny") ||
      !write_proc("/proc/self/uid_map", fmt::format("0 {} 1", uid)) ||
      !write_proc("/proc/self/gid_map", fmt::format("0 {} 1", gid)))
    return std::unexpected{no_user_namespace(errno)};
  return {};
}

// Calls visit(pid) for every process there is.
template <class Visit>
void for_each_process(Visit visit) {
  const std::unique_ptr<DIR, int (*)(DIR*)> proc{opendir("/proc"), closedir};
  if (!proc) return;
  while (const dirent* entry = readdir(proc.get())) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    const auto [end, error] =
        std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error == std::errc{} && end == name.data() + name.size()) visit(pid);
  }
}

// Parent of a process, 0 if it is gone. The name before it may hold blanks and
// brackets, so the search starts behind the last one.
pid_t parent_of(pid_t pid) {
  std::ifstream file{fmt::format("/proc/{}/stat", pid)};
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');
  // ") S 1234 ...": state and parent follow.
  if (name_end == std::string::npos || name_end + 4 > line.size()) return 0;
  return std::atoi(line.c_str() + name_end + 4);
}

// Kills a process that `is_meant` still holds for, and waits for its end if it is not a
// child (children are the caller's to reap). The pidfd keeps the number from being
// given to another process between the check and the signal.
template <class IsMeant>
bool end_process(pid_t pid, IsMeant is_meant) {
  const int pidfd = pidfd_open(pid, 0);
  if (pidfd < 0) return false;
  const bool meant = is_meant(pid);
  if (meant) {
    pidfd_send_signal(pidfd, SIGKILL, nullptr, 0);
    pollfd gone{.fd = pidfd, .events = POLLIN, .revents = 0};
    constexpr int patience_ms = 2000;  // one in uninterruptible sleep may take long
    poll(&gone, 1, patience_ms);
  }
  close(pidfd);
  return meant;
}

}  // namespace

std::expected<void, std::string> enter_private_namespaces() {
  if (unshare(CLONE_NEWNS) != 0) {
    if (errno != EPERM)
      return std::unexpected{fmt::format(
          "no mount namespace ({}): use memhp up, which needs none", strerror(errno))};
    if (auto entered = enter_user_namespace(); !entered) return entered;
  }
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return std::unexpected{
        fmt::format("the mounts cannot be made private ({}): run outside a chroot, "
                    "or use memhp up",
                    strerror(errno))};
  return {};
}

std::optional<namespace_id> mount_namespace_of(pid_t pid) {
  const std::string path =
      pid == 0 ? "/proc/self/ns/mnt" : fmt::format("/proc/{}/ns/mnt", pid);
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) return std::nullopt;
  return namespace_id{.dev = st.st_dev, .ino = st.st_ino};
}

void end_processes_in(const namespace_id& mount_namespace) {
  const auto inside = [&](pid_t pid) {
    return pid != getpid() && mount_namespace_of(pid) == mount_namespace;
  };
  // Once more after a round that found something: it may have forked meanwhile.
  for (bool found = true; found;) {
    found = false;
    for_each_process([&](pid_t pid) {
      if (inside(pid)) found |= end_process(pid, inside);
    });
  }
}

void end_descendants(pid_t spared) {
  const auto is_child = [&](pid_t pid) {
    return pid != spared && parent_of(pid) == getpid();
  };
  // Killing a child hands its own children to the caller, who finds them in the next
  // round.
  for (bool found = true; found;) {
    found = false;
    for_each_process([&](pid_t pid) {
      if (!is_child(pid)) return;
      found |= end_process(pid, is_child);
      waitpid(pid, nullptr, WNOHANG);
    });
  }
}

}  // namespace memhp
