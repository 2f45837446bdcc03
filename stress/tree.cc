#include "stress/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

namespace memhp::stress {
namespace {

constexpr std::uint64_t probe_targets = 16;
constexpr std::string_view block_prefix = "memory";

std::optional<std::uint64_t> id_of(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  std::uint64_t id = 0;
  const char* const end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), id);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return id;
}

void find_cpus(tree& sys) {
  for (const std::string& name : sys.list("devices/system/cpu"))
    if (const auto id = id_of(name, "cpu"))
      if (faccessat(sys.root.get(),
                    fmt::format("devices/system/cpu/{}/online", name).c_str(), F_OK,
                    0) == 0)
        sys.cpus.push_back(static_cast<unsigned>(*id));
}

void find_devices(tree& sys) {
  sys.slots = present_dimms(sys);
  for (const std::string& name : sys.list("bus/dax/drivers/kmem"))
    if (name.starts_with("dax")) sys.dax.push_back(name);
  sys.has_remove =
      faccessat(sys.root.get(), fmt::format("{}/remove_block", debug_dir).c_str(), F_OK,
                0) == 0;
}

// Addresses behind everything that there is: far enough for the DIMMs that workers plug.
void choose_probe_targets(tree& sys, std::uint64_t highest) {
  constexpr std::uint64_t distance = 256;
  for (std::uint64_t i = 0; i < probe_targets; ++i)
    sys.probed.push_back(highest + distance + i);
}

}  // namespace

std::string tree::read(const std::string& file, int& error) const {
  error = 0;
  const owned_fd fd{openat(root.get(), file.c_str(), O_RDONLY | O_CLOEXEC)};
  std::string text;
  std::array<char, 65536> buffer{};
  ssize_t size = fd ? 1 : -1;
  while (size > 0) {
    size = ::read(fd.get(), buffer.data(), buffer.size());
    if (size > 0) text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  if (size < 0) error = errno;
  return text;
}

std::string tree::read(const std::string& file) const {
  int error = 0;
  return read(file, error);
}

int tree::write(const std::string& file, std::string_view text) const {
  const owned_fd fd{openat(root.get(), file.c_str(), O_WRONLY | O_CLOEXEC)};
  if (!fd) return errno;
  return ::write(fd.get(), text.data(), text.size()) < 0 ? errno : 0;
}

std::vector<std::string> tree::list(const std::string& directory) const {
  std::vector<std::string> names;
  const int fd =
      openat(root.get(), directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return names;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir{fdopendir(fd), closedir};
  while (const dirent* entry = readdir(dir.get()))
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  std::ranges::sort(names);
  return names;
}

bool is_real_sysfs(const std::string& path) {
  struct statfs found{};
  for (const std::string& each : {path, path + "/" + memory_dir})
    if (statfs(each.c_str(), &found) == 0 && found.f_type == SYSFS_MAGIC) return true;
  return false;
}

std::vector<std::string> present_dimms(const tree& sys) {
  std::vector<std::string> names = sys.list(dimm_dir);
  std::erase_if(names, [&](const std::string& name) {
    return !name.starts_with(dimm_prefix) ||
           sys.read(fmt::format("{}/{}/status", dimm_dir, name)) == "0\n";
  });
  return names;
}

std::optional<std::uint64_t> block_of_name(std::string_view name) {
  return id_of(name, block_prefix);
}

std::vector<std::uint64_t> block_ids(const tree& sys) {
  std::vector<std::uint64_t> ids;
  for (const std::string& name : sys.list(memory_dir))
    if (const auto id = block_of_name(name)) ids.push_back(*id);
  std::ranges::sort(ids);
  return ids;
}

std::expected<tree, std::string> open_tree(const std::string& path,
                                           const std::vector<std::uint64_t>& only) {
  tree sys;
  sys.path = path;
  sys.root = owned_fd{open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (!sys.root) return std::unexpected{fmt::format("{}: {}", path, strerror(errno))};
  const std::string size = sys.read(fmt::format("{}/block_size_bytes", memory_dir));
  std::from_chars(size.data(), size.data() + size.size(), sys.block_size, 16);
  if (sys.block_size == 0)
    return std::unexpected{fmt::format(
        "{} is no hotplug tree: it has no {}/block_size_bytes; write the directory of "
        "memhp up --mount",
        path, memory_dir)};
  std::uint64_t highest = 0;
  for (const std::uint64_t id : block_ids(sys)) {
    highest = id;
    if (!only.empty() && std::ranges::find(only, id) == only.end()) continue;
    const std::string dir = fmt::format("{}/memory{}", memory_dir, id);
    std::string state = sys.read(dir + "/state");
    std::string zone = sys.read(dir + "/valid_zones");
    state = state.substr(0, state.find('\n'));
    zone = zone.substr(0, zone.find_first_of(" \n"));
    sys.blocks.push_back({.id = id, .state = std::move(state), .zone = std::move(zone)});
  }
  if (sys.blocks.empty())
    return std::unexpected{fmt::format(
        "{} has none of the blocks to work on: see {}/memory*", path, memory_dir)};
  find_cpus(sys);
  find_devices(sys);
  if (only.empty()) choose_probe_targets(sys, highest);
  return sys;
}

}  // namespace memhp::stress
