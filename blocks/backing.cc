#include "blocks/backing.h"

#include <fmt/format.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "blocks/private_tmpfs.h"

namespace memhp {
namespace {

using opened = std::expected<owned_fd, std::string>;
constexpr std::uint64_t huge_page = 2 * MiB;

constexpr std::array<std::pair<std::string_view, backing_kind>, 4> names = {{
    {"auto", backing_kind::automatic},
    {"hugetlb", backing_kind::hugetlb},
    {"thp", backing_kind::thp},
    {"small", backing_kind::small},
}};

opened open_memfd(unsigned flags) {
  owned_fd file{memfd_create("memhp-memory", MFD_CLOEXEC | flags)};
  if (!file) {
    return std::unexpected{fmt::format("no memfd of it: {}", std::strerror(errno))};
  }
  return file;
}

// Errors are half lines here; the callers say how to get on.
opened open_hugetlb(std::uint64_t start_bytes, const host_memory& host) {
  const std::uint64_t free = host.free_huge_pages();
  const std::uint64_t needed = (start_bytes + huge_page - 1) / huge_page;
  if (free == 0) return std::unexpected{"no free hugetlb pages (vm.nr_hugepages)"};
  if (free < needed) {
    return std::unexpected{fmt::format(
        "{} free hugetlb pages of 2 MiB where {} are needed (vm.nr_hugepages)", free,
        needed)};
  }
  return open_memfd(MFD_HUGETLB | MFD_HUGE_2MB);
}

opened open_kind(backing_kind kind, std::uint64_t start_bytes, const host_memory& host) {
  switch (kind) {
    case backing_kind::hugetlb: return open_hugetlb(start_bytes, host);
    case backing_kind::thp: return open_private_tmpfs_file();
    default: return open_memfd(0);
  }
}

std::expected<backing, std::string> open_automatic(std::uint64_t start_bytes,
                                                   const host_memory& host) {
  std::string why;
  for (const auto kind :
       {backing_kind::hugetlb, backing_kind::thp, backing_kind::small}) {
    auto file = open_kind(kind, start_bytes, host);
    if (file) {
      if (why.empty()) why = "the hugetlb pool has enough free pages";
      return backing{.file = std::move(*file), .kind = kind, .reason = why};
    }
    why += fmt::format("{}not {}: {}", why.empty() ? "" : "; ", to_string(kind),
                       file.error());
  }
  return std::unexpected{fmt::format("no memory for the machine ({})", why)};
}

std::expected<backing, std::string> open_wanted(backing_kind wanted,
                                                std::uint64_t start_bytes,
                                                const host_memory& host) {
  if (wanted == backing_kind::automatic) return open_automatic(start_bytes, host);
  auto file = open_kind(wanted, start_bytes, host);
  if (file)
    return backing{.file = std::move(*file), .kind = wanted, .reason = "asked for"};
  return std::unexpected{fmt::format("--backing {}: {}: use --backing auto",
                                     to_string(wanted), file.error())};
}

// Sets the file's size. Asked first, because growing a file beyond the limit is a
// SIGXFSZ.
std::expected<void, std::string> grow(int file, std::uint64_t window) {
  rlimit limit = {};
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < window) {
    return std::unexpected{
        fmt::format("files may not grow to {} bytes: raise ulimit -f or give a smaller "
                    "--max-memory",
                    window)};
  }
  if (ftruncate(file, static_cast<off_t>(window)) != 0) {
    return std::unexpected{fmt::format(
        "the file behind the memory cannot have {} bytes ({}): give a smaller "
        "--max-memory",
        window, std::strerror(errno))};
  }
  return {};
}

}  // namespace

std::optional<backing_kind> parse_backing(std::string_view name) {
  const auto found =
      std::ranges::find(names, name, [](const auto& n) { return n.first; });
  if (found == names.end()) return std::nullopt;
  return found->second;
}

std::string_view to_string(backing_kind kind) {
  return std::ranges::find(names, kind, [](const auto& n) { return n.second; })->first;
}

std::expected<backing, std::string> open_backing(backing_kind wanted,
                                                 std::uint64_t window,
                                                 std::uint64_t start_bytes,
                                                 const host_memory& host) {
  auto opened = open_wanted(wanted, start_bytes, host);
  if (!opened) return opened;
  if (auto grown = grow(opened->file.get(), window); !grown) {
    return std::unexpected{grown.error()};
  }
  opened->reason =
      fmt::format("memory is backed by {} ({})", to_string(opened->kind), opened->reason);
  return opened;
}

}  // namespace memhp
