#include "blocks/private_tmpfs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

namespace memhp {
namespace {

// Where making the file stopped.
enum class step : int {
  none,
  child,
  namespaces,
  user_map,
  filesystem,
  huge_pages,
  mounting,
  file,
  hand_over,
};

// What the child reports.
struct outcome {
  step failed = step::none;
  int error = 0;  // errno
  int file = -1;
};

std::string_view describe(step failed) {
  switch (failed) {
    case step::none: return "nothing failed";
    case step::child: return "no child process";
    case step::namespaces: return "no user namespaces (unshare)";
    case step::user_map: return "a user namespace cannot be set up (uid_map)";
    case step::filesystem: return "no tmpfs can be made (fsopen)";
    case step::huge_pages: return "tmpfs without huge pages (huge=always)";
    case step::mounting: return "no tmpfs can be mounted (fsmount)";
    case step::file: return "no unnamed file in a tmpfs (O_TMPFILE)";
    case step::hand_over: return "the file was not handed over (SCM_RIGHTS)";
  }
  return "unknown";
}

outcome failed_at(step where) {
  return {.failed = where, .error = errno};
}

// Mounts the tmpfs, detached, and opens a file in it. Needs CAP_SYS_ADMIN in the user
// namespace that owns the mount namespace. System calls alone: it runs in a child of a
// process that may have threads, where a lock of the C library may be held for ever.
outcome make_file() {
  const owned_fd context{fsopen("tmpfs", FSOPEN_CLOEXEC)};
  if (!context) return failed_at(step::filesystem);
  if (fsconfig(context.get(), FSCONFIG_SET_STRING, "huge", "always", 0) != 0) {
    return failed_at(step::huge_pages);
  }
  // Unset, the size is half of the host's memory, and a touch beyond it is a SIGBUS.
  if (fsconfig(context.get(), FSCONFIG_SET_STRING, "size", "0", 0) != 0 ||
      fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return failed_at(step::mounting);
  }
  const owned_fd mount{fsmount(context.get(), FSMOUNT_CLOEXEC,
                               MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)};
  if (!mount) return failed_at(step::mounting);
  const int file = openat(mount.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file < 0) return failed_at(step::file);
  return {.file = file};
}

bool write_file(const char* path, std::string_view text) {
  const owned_fd file{open(path, O_WRONLY | O_CLOEXEC)};
  return file &&
         write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// Maps this process's `id` to 0 in its new user namespace.
bool map_to_root(const char* path, unsigned id) {
  // No fmt: it may allocate.
  std::array<char, 32> line = {'0', ' '};
  char* end = std::to_chars(line.data() + 2, line.data() + 16, id).ptr;
  *end++ = ' ';
  *end++ = '1';
  return write_file(path, {line.data(), end});
}

outcome make_file_in_namespace() {
  const unsigned uid = geteuid();
  const unsigned gid = getegid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return failed_at(step::namespaces);
  // A tmpfs takes no file from a user that its namespace cannot name. Group ids can be
  // mapped without privilege only once setgroups is given up.
  if (!write_file("/proc/self/setgroups", "deny") ||
      !map_to_root("/proc/self/uid_map", uid) ||
      !map_to_root("/proc/self/gid_map", gid)) {
    return failed_at(step::user_map);
  }
  return make_file();
}

// A message of an outcome, with room for one descriptor beside it.
struct message {
  explicit message(outcome& content) : part{&content, sizeof content} {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
  }
  iovec part;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control = {};
  msghdr header = {};
};

void send_outcome(int socket, outcome result) {
  message out{result};
  if (result.file >= 0) {
    cmsghdr* rights = CMSG_FIRSTHDR(&out.header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &result.file, sizeof(int));
  } else {
    out.header.msg_control = nullptr;
    out.header.msg_controllen = 0;
  }
  // A lost message is an end of file for the parent.
  (void)sendmsg(socket, &out.header, MSG_NOSIGNAL);
}

outcome receive_outcome(int socket) {
  outcome result;
  message in{result};
  ssize_t size = 0;
  do {
    size = recvmsg(socket, &in.header, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size == 0) errno = ECONNRESET;
  if (size != sizeof result) return failed_at(step::hand_over);
  // The number in the message is the child's; ours comes beside it.
  result.file = -1;
  const cmsghdr* rights = CMSG_FIRSTHDR(&in.header);
  if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
    std::memcpy(&result.file, CMSG_DATA(rights), sizeof(int));
  }
  if (result.failed == step::none && result.file < 0) {
    errno = EBADF;
    return failed_at(step::hand_over);
  }
  return result;
}

outcome make_file_in_child() {
  std::array<int, 2> sockets = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets.data()) != 0) {
    return failed_at(step::hand_over);
  }
  const owned_fd ours{sockets[0]};
  owned_fd childs{sockets[1]};
  // Without the handlers of fork(): they belong to threads that the child has not.
  const pid_t child = _Fork();
  if (child < 0) return failed_at(step::child);
  if (child == 0) {
    send_outcome(childs.get(), make_file_in_namespace());
    _exit(0);
  }
  childs = owned_fd{};
  const outcome result = receive_outcome(ours.get());
  // ECHILD if the process ignores SIGCHLD: then it is reaped already.
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return result;
}

}  // namespace

std::expected<owned_fd, std::string> open_private_tmpfs_file() {
  outcome made = make_file();
  if (made.failed == step::filesystem && made.error == EPERM) made = make_file_in_child();
  if (made.failed == step::none) return owned_fd{made.file};
  return std::unexpected{
      fmt::format("{}: {}", describe(made.failed), std::strerror(made.error))};
}

}  // namespace memhp
