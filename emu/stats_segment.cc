#include "emu/stats_segment.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/interprocess/shared_memory_object.hpp>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string_view>
#include <utility>

namespace memhp {
namespace {

namespace ipc = boost::interprocess;

constexpr std::string_view name_prefix = "memhp.";
constexpr int create_attempts = 16;  // rounds against others at the same mount

// What mapped_region wants to see of something that can be mapped.
struct mappable_fd {
  int fd;
  bool writable;
  ipc::mapping_handle_t get_mapping_handle() const {
    return ipc::ipcdetail::mapping_handle_from_file_handle(fd);
  }
  ipc::mode_t get_mode() const { return writable ? ipc::read_write : ipc::read_only; }
};

// One name per user and mount: a path may be longer than a name in /dev/shm, so it goes
// in as its FNV-1a hash. The segment holds the path itself, which readers compare.
std::string segment_name(uid_t uid, std::string_view mount) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : mount)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return fmt::format("{}{}.{:016x}", name_prefix, uid, hash);
}

// A descriptor of a shared memory object that outlives the object, < 0 with errno set
// if it cannot be had.
template <class... Args>
int shared_memory_fd(Args&&... args) {
  try {
    const ipc::shared_memory_object object{std::forward<Args>(args)...};
    return fcntl(object.get_mapping_handle().handle, F_DUPFD_CLOEXEC, 0);
  } catch (const ipc::interprocess_exception& e) {
    errno = e.get_native_error();
    return -1;
  }
}

struct flock whole_file(short type) {
  return {.l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0, .l_pid = 0};
}

// The process that holds the lock of `fd`, 0 if none does.
pid_t lock_holder(int fd) {
  struct flock lock = whole_file(F_WRLCK);
  if (fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return 0;
  return lock.l_pid;
}

bool lock(int fd) {
  struct flock lock = whole_file(F_WRLCK);
  return fcntl(fd, F_SETLK, &lock) == 0;
}

// Whether `name` still means the object behind `fd`.
bool still_named(const std::string& name, int fd) {
  const int named = shared_memory_fd(ipc::open_only, name.c_str(), ipc::read_only);
  if (named < 0) return false;
  struct stat a{};
  struct stat b{};
  // Closing `named` would drop the caller's record lock if both are the same object, so
  // the comparison comes first and the lock is renewed by the caller.
  const bool same = fstat(named, &a) == 0 && fstat(fd, &b) == 0 && a.st_ino == b.st_ino;
  close(named);
  return same;
}

// Takes the lock of the object that `name` means for good; false if somebody else has
// taken the lock or the name meanwhile.
bool become_keeper(const std::string& name, int fd) {
  return lock(fd) && still_named(name, fd) && lock(fd);
}

std::unexpected<std::string> no_segment(std::string_view what) {
  return std::unexpected{
      fmt::format("no shared memory for the figures: {} ({})", what, strerror(errno))};
}

}  // namespace

stats_mapping::stats_mapping(owned_fd fd, bool writable)
    : fd_{std::move(fd)},
      region_{mappable_fd{fd_.get(), writable},
              writable ? ipc::read_write : ipc::read_only, 0,
              sizeof(stats_segment_content)} {}

stats_segment::stats_segment(owned_fd fd, std::string name)
    : stats_mapping{std::move(fd), true}, name_{std::move(name)} {}

// Gives the empty object behind `fd` its content.
std::expected<stats_segment, std::string> stats_segment::prepared(owned_fd fd,
                                                                  std::string name) {
  if (ftruncate(fd.get(), sizeof(stats_segment_content)) != 0)
    return no_segment("cannot make it large enough");
  try {
    stats_segment segment{std::move(fd), std::move(name)};
    new (segment.region_.get_address()) stats_segment_content;
    return segment;
  } catch (const ipc::interprocess_exception& e) {
    errno = e.get_native_error();
    return no_segment("cannot map it");
  }
}

std::expected<stats_segment, std::string> stats_segment::create(
    const std::string& mount) {
  const std::string name = segment_name(geteuid(), mount);
  if (mount.size() >= sizeof(machine_stats::mount))
    return std::unexpected{fmt::format("the mount's path is too long: use one below {}",
                                       sizeof(machine_stats::mount))};
  for (int attempt = 0; attempt < create_attempts; ++attempt) {
    owned_fd fd{shared_memory_fd(ipc::create_only, name.c_str(), ipc::read_write,
                                 ipc::permissions{0600})};
    const bool created = bool{fd};
    if (!created && errno != EEXIST) return no_segment("cannot create it");
    if (!created)
      fd = owned_fd{shared_memory_fd(ipc::open_only, name.c_str(), ipc::read_write)};
    if (!fd) {
      if (errno == ENOENT) continue;
      return no_segment(fmt::format("remove /dev/shm/{}, it is not ours", name));
    }
    if (const pid_t keeper = lock_holder(fd.get()); keeper != 0)
      return std::unexpected{
          fmt::format("{} already has a machine (process {}): stop it with memhp down "
                      "--mount {}, or use another directory",
                      mount, keeper, mount)};
    if (!become_keeper(name, fd.get())) continue;
    if (created) {
      auto segment = prepared(std::move(fd), name);
      if (segment) mount.copy(segment->stats().mount, mount.size());
      return segment;
    }
    // A dead machine's. Readers may still have it mapped: leave it as it is to them.
    ipc::shared_memory_object::remove(name.c_str());
  }
  return std::unexpected{
      fmt::format("others are starting a machine at {} too: try again", mount)};
}

std::expected<stats_segment, std::string> stats_segment::create_private() {
  owned_fd fd{memfd_create("memhp-stats", MFD_CLOEXEC)};
  if (!fd) return no_segment("cannot create it");
  if (fchmod(fd.get(), 0600) != 0 || !lock(fd.get())) return no_segment("cannot lock it");
  return prepared(std::move(fd), {});
}

stats_segment_content& stats_segment::content() {
  return *static_cast<stats_segment_content*>(region_.get_address());
}

std::string stats_segment::path() const {
  return fmt::format("/proc/{}/fd/{}", getpid(), fd_.get());
}

void stats_segment::remove() {
  if (!name_.empty()) ipc::shared_memory_object::remove(name_.c_str());
}

stats_view::stats_view(owned_fd fd, std::string name)
    : stats_mapping{std::move(fd), false}, name_{std::move(name)} {}

// A view of `fd` if a segment of this program is behind it.
std::expected<stats_view, std::string> stats_view::checked(owned_fd fd,
                                                           std::string name) {
  struct stat st{};
  if (fstat(fd.get(), &st) != 0 || st.st_size < off_t{sizeof(stats_segment_content)})
    return std::unexpected{"the figures are incomplete: try again"};
  if (st.st_uid != geteuid() && geteuid() != 0)
    return std::unexpected{"the figures belong to another user: ask as that user"};
  try {
    stats_view view{std::move(fd), std::move(name)};
    if (view.stats().magic == machine_stats::magic_value) return view;
    return std::unexpected{"the figures are of another version of memhp: use that one"};
  } catch (const ipc::interprocess_exception& e) {
    return std::unexpected{fmt::format("the figures cannot be mapped: {}", e.what())};
  }
}

std::vector<stats_view> stats_view::all() {
  std::vector<stats_view> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir{opendir("/dev/shm"), closedir};
  if (!dir) return found;
  while (const dirent* entry = readdir(dir.get())) {
    if (!std::string_view{entry->d_name}.starts_with(name_prefix)) continue;
    owned_fd fd{shared_memory_fd(ipc::open_only, entry->d_name, ipc::read_only)};
    if (!fd) continue;  // another user's, or gone
    if (auto view = checked(std::move(fd), entry->d_name))
      found.push_back(std::move(*view));
  }
  return found;
}

std::expected<stats_view, std::string> stats_view::of_mount(const std::string& mount) {
  // The caller's own first: root may look at a mount that a user has used before.
  const std::string own = segment_name(geteuid(), mount);
  owned_fd fd{shared_memory_fd(ipc::open_only, own.c_str(), ipc::read_only)};
  if (fd) return checked(std::move(fd), own);
  std::optional<stats_view> found;
  for (stats_view& view : all())
    if (view.stats().mount == mount && (!found || found->keeper() == 0))
      found.emplace(std::move(view));
  if (found) return std::move(*found);
  return std::unexpected{
      fmt::format("no machine at {}: start one with memhp up --mount {}", mount, mount)};
}

std::expected<stats_view, std::string> stats_view::of_file(const std::string& path) {
  owned_fd fd{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd)
    return std::unexpected{
        fmt::format("no machine behind {}: it ended with its memhp run", path)};
  return checked(std::move(fd), {});
}

const stats_segment_content& stats_view::content() const {
  return *static_cast<const stats_segment_content*>(region_.get_address());
}

pid_t stats_view::keeper() const {
  return lock_holder(fd_.get());
}

void stats_view::remove() {
  if (!name_.empty()) ipc::shared_memory_object::remove(name_.c_str());
}

}  // namespace memhp
