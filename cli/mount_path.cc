#include "cli/mount_path.h"

#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <thread>

namespace memhp {
namespace {

std::string resolve(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real{realpath(path.c_str(), nullptr),
                                                         &std::free};
  return real ? real.get() : "";
}

}  // namespace

std::expected<std::string, std::string> canonical_mount(const std::string& dir) {
  // Of the last component only whether it is a link is asked, which a mount's own file
  // system has no part in; realpath() would stat what is mounted there.
  std::filesystem::path path{dir};
  if (path.filename().empty() && path.has_parent_path()) path = path.parent_path();
  std::error_code ignored;
  if (path.filename() == "." || path.filename() == ".." ||
      std::filesystem::is_symlink(path, ignored)) {
    std::string real = resolve(path);
    if (!real.empty()) return real;
  }
  const std::string parent = resolve(path.has_parent_path() ? path.parent_path() : ".");
  if (parent.empty())
    return std::unexpected{
        fmt::format("--mount {}: {}, create it with mkdir -p", dir, strerror(errno))};
  return (std::filesystem::path{parent} / path.filename()).lexically_normal().string();
}

std::optional<mounted_tree> find_abandoned_tree(const std::string& mount) {
  constexpr auto patience = std::chrono::seconds{3};
  constexpr auto pause = std::chrono::milliseconds{10};
  const auto deadline = std::chrono::steady_clock::now() + patience;
  auto found = find_mounted_tree(mount);
  while (found && found->ours && !found->stale &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(pause);
    found = find_mounted_tree(mount);
  }
  return found;
}

}  // namespace memhp
