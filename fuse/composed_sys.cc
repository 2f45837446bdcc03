#include "fuse/composed_sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <utility>

#include "blocks/owned_fd.h"

namespace memhp {
namespace {

constexpr const char* debugfs_dir = "/kernel/debug";  // below sys

std::unexpected<std::string> because(std::string_view what, std::string_view path) {
  return std::unexpected{fmt::format("{} {}: {}", what, path, strerror(errno))};
}

bool is_directory(const std::string& path) {
  struct stat st{};
  return ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

// An unattached tmpfs whose top looks like `like`; < 0 on failure.
int new_tmpfs(const struct stat& like) {
  const owned_fd context{fsopen("tmpfs", FSOPEN_CLOEXEC)};
  if (!context) return -1;
  const std::string mode = fmt::format("{:o}", like.st_mode & 07777);
  if (fsconfig(context.get(), FSCONFIG_SET_STRING, "mode", mode.c_str(), 0) != 0 ||
      fsconfig(context.get(), FSCONFIG_SET_STRING, "source", "memhp", 0) != 0 ||
      fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return -1;
  return fsmount(context.get(), FSMOUNT_CLOEXEC, 0);
}

// Lays the sysfs tree over sys, level by level, and remembers which levels are ours to
// create directories in.
class sys_composer {
 public:
  explicit sys_composer(std::string sys) : sys_{std::move(sys)} {}

  std::expected<void, std::string> place(const tree_part& part) {
    const std::string target = fmt::format("{}/{}", sys_, part.path);
    struct stat st{};
    if (fstat(part.mount.get(), &st) != 0) return because("cannot look at", part.path);
    if (!S_ISDIR(st.st_mode)) {
      if (auto made = make_file(target); !made) return made;
    } else if (!is_directory(target)) {
      if (auto made = make_directory(target); !made) return made;
    }
    if (move_mount(part.mount.get(), "", AT_FDCWD, target.c_str(),
                   MOVE_MOUNT_F_EMPTY_PATH) != 0)
      return because("cannot mount the machine at", target);
    return {};
  }

  // Debugfs is root's alone, also where the host has none that could be copied.
  void close_debugfs() const {
    const std::string debugfs = sys_ + debugfs_dir;
    if (ours_.contains(debugfs)) (void)chmod(debugfs.c_str(), 0700);
  }

 private:
  // An empty file where there is none, to be mounted over.
  std::expected<void, std::string> make_file(const std::string& path) {
    struct stat st{};
    if (stat(path.c_str(), &st) == 0) return {};
    if (auto ready = make_room(path); !ready) return ready;
    if (mknod(path.c_str(), S_IFREG | 0644, 0) != 0)
      return because("cannot create", path);
    return {};
  }

  // Creates `path` in a composed level, which is made first if need be.
  std::expected<void, std::string> make_directory(const std::string& path) {
    if (auto ready = make_room(path); !ready) return ready;
    if (mkdir(path.c_str(), 0755) != 0) return because("cannot create", path);
    ours_.insert(path);
    return {};
  }

  // Something can be created at `path` afterwards.
  std::expected<void, std::string> make_room(const std::string& path) {
    const std::string parent = path.substr(0, path.rfind('/'));
    if (path.size() <= sys_.size()) {
      return std::unexpected{
          fmt::format("no directory {}: create it and mount sysfs there", sys_)};
    }
    if (!is_directory(parent)) {
      if (auto made = make_directory(parent); !made) return made;
    } else if (!ours_.contains(parent)) {
      if (auto composed = compose(parent); !composed) return composed;
    }
    return {};
  }

  // Replaces directory `level` by a tmpfs that shows what the host has in it.
  std::expected<void, std::string> compose(const std::string& level) {
    const owned_fd host{open(level.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    struct stat st{};
    if (!host || fstat(host.get(), &st) != 0) return because("cannot open", level);
    const std::vector<std::string> names = entries(level);
    const owned_fd top{new_tmpfs(st)};
    if (!top) return because("no tmpfs for", level);
    if (move_mount(top.get(), "", AT_FDCWD, level.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
      return because("cannot mount a tmpfs at", level);
    for (const std::string& name : names)
      if (!show(host.get(), top.get(), name))
        return because("cannot show in place", fmt::format("{}/{}", level, name));
    ours_.insert(level);
    return {};
  }

  // A directory that may not be read (debugfs for an ordinary user) has nothing to show.
  static std::vector<std::string> entries(const std::string& path) {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> dir{opendir(path.c_str()), closedir};
    if (!dir) return names;
    while (const dirent* entry = readdir(dir.get())) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    return names;
  }

  // Binds entry `name` of directory `host` into `top`, with everything mounted below
  // it; a link is repeated, for it means the same from the same place.
  static bool show(int host, int top, const std::string& name) {
    const char* entry = name.c_str();
    struct stat st{};
    if (fstatat(host, entry, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0)
      return errno == ENOENT;  // gone since it was listed
    if (S_ISLNK(st.st_mode)) {
      char target[PATH_MAX] = {};
      return readlinkat(host, entry, target, sizeof target - 1) >= 0 &&
             symlinkat(target, top, entry) == 0;
    }
    const bool made = S_ISDIR(st.st_mode) ? mkdirat(top, entry, 0755) == 0
                                          : mknodat(top, entry, S_IFREG | 0644, 0) == 0;
    if (!made) return false;
    const owned_fd clone{
        open_tree(host, entry, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)};
    return clone && move_mount(clone.get(), "", top, entry, MOVE_MOUNT_F_EMPTY_PATH) == 0;
  }

  const std::string sys_;
  std::set<std::string> ours_;  // directories in composed levels
};

}  // namespace

std::expected<std::vector<tree_part>, std::string> take_parts(
    const std::string& mounted_at, const std::vector<std::string_view>& parts,
    const std::vector<std::string_view>& if_there) {
  std::vector<tree_part> taken;
  const auto take = [&](std::string_view part) {
    const std::string path = fmt::format("{}/{}", mounted_at, part);
    owned_fd clone{
        open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)};
    if (!clone) return false;
    taken.push_back({.path = std::string{part}, .mount = std::move(clone)});
    return true;
  };
  for (const std::string_view part : parts)
    if (!take(part)) return because("no such part of the machine:", part);
  for (const std::string_view part : if_there) (void)take(part);
  return taken;
}

std::expected<void, std::string> place_parts(const std::vector<tree_part>& parts,
                                             const std::string& sys) {
  sys_composer composer{sys};
  for (const tree_part& part : parts)
    if (auto placed = composer.place(part); !placed) return placed;
  composer.close_debugfs();
  return {};
}

void ensure_debugfs(const std::string& sys) {
  const std::string place = sys + debugfs_dir;
  struct statfs fs{};
  if (statfs(place.c_str(), &fs) == 0 && fs.f_type == DEBUGFS_MAGIC) return;
  // Allowed only to the host's root. Without it nothing but the mount(8) listing
  // differs, so a failure is no error.
  (void)mount("debugfs", place.c_str(), "debugfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
              "mode=0700");
}

}  // namespace memhp
