#include "blocks/host_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <numaif.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>
#include <limits>
#include <vector>

#include "blocks/units.h"

namespace memhp {
namespace {

std::string read_text(const std::string& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

// The first number of `text`; none if it does not start with one ("max").
std::optional<std::uint64_t> number(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

// The number after `key` in a text of "key value" lines, 0 if there is none.
std::uint64_t field(std::string_view text, std::string_view key) {
  const auto at = text.find(key);
  if (at == std::string_view::npos) return 0;
  return number(text.substr(at + key.size())).value_or(0);
}

std::uint64_t less(std::uint64_t from, std::uint64_t what) {
  return from > what ? from - what : 0;
}

// The files of one version of the memory controller.
struct controller_files {
  const char* limit;
  const char* usage;
  const char* reclaimable;  // key in memory.stat
};
constexpr controller_files version_1 = {"memory.limit_in_bytes", "memory.usage_in_bytes",
                                        "total_inactive_file "};
constexpr controller_files version_2 = {"memory.max", "memory.current",
                                        "\ninactive_file "};

// Version 1 writes the largest page-aligned number there is where version 2 has "max".
constexpr std::uint64_t no_limit = 1ULL << 62;

// The least room in `group` and the groups above it, up to `top`.
std::optional<std::uint64_t> room_below(const std::string& top, std::string group,
                                        const controller_files& files) {
  std::optional<std::uint64_t> room;
  for (;;) {
    const std::string folder = top + group + "/";
    const auto limit = number(read_text(folder + files.limit));
    if (limit && *limit < no_limit) {
      const auto usage = number(read_text(folder + files.usage)).value_or(0);
      const auto cache = field(read_text(folder + "memory.stat"), files.reclaimable);
      const auto left = less(*limit, less(usage, cache));
      room = std::min(room.value_or(left), left);
    }
    const auto slash = group.rfind('/');
    if (slash == std::string::npos) return room;
    group.resize(slash);
  }
}

bool has_controller(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    if (list.substr(0, comma) == name) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

std::uint64_t node_available(int node) {
  const std::string text =
      read_text(fmt::format("/sys/devices/system/node/node{}/meminfo", node));
  return (field(text, "MemFree:") + field(text, "Active(file):") +
          field(text, "Inactive(file):")) *
         KiB;
}

// A multiple of every page size there is to allocate.
constexpr std::uint64_t smallest_piece = 2 * MiB;

class linux_host final : public host_memory {
 public:
  host_topology topology() const override { return host_topology::detect(); }

  std::uint64_t available_bytes(std::optional<int> node) const override {
    std::uint64_t bytes = field(read_text("/proc/meminfo"), "MemAvailable:") * KiB;
    const auto room = cgroup_room(read_text("/proc/self/cgroup"), "/sys/fs/cgroup");
    if (room) bytes = std::min(bytes, *room);
    if (node) bytes = std::min(bytes, node_available(*node));
    return bytes;
  }

  std::uint64_t free_huge_pages() const override {
    const std::string pool = "/sys/kernel/mm/hugepages/hugepages-2048kB/";
    const auto free = number(read_text(pool + "free_hugepages")).value_or(0);
    return less(free, number(read_text(pool + "resv_hugepages")).value_or(0));
  }

  bool gives_what_is_available() const override {
    return number(read_text("/proc/sys/vm/overcommit_memory")) != 2;
  }

  result<> bind(std::byte* at, std::uint64_t size, int node, binding how) override {
    constexpr auto word_bits = std::numeric_limits<unsigned long>::digits;
    const auto bit = static_cast<unsigned>(node);
    std::vector<unsigned long> mask(bit / word_bits + 1, 0);
    mask[bit / word_bits] = 1UL << (bit % word_bits);
    const int mode = how == binding::strict ? MPOL_BIND : MPOL_PREFERRED;
    // The kernel reads one bit less than it is told.
    if (mbind(at, size, mode, mask.data(), mask.size() * word_bits + 1, 0) != 0) {
      return fail(errc{errno});
    }
    return {};
  }

  result<> allocate(int file, std::uint64_t offset, std::uint64_t size) override {
    // A signal makes the kernel undo the whole call: ask for less and less, or a timer
    // would keep it from ever ending.
    std::uint64_t piece = size;
    while (size > 0) {
      piece = std::min(piece, size);
      if (fallocate(file, 0, static_cast<off_t>(offset), static_cast<off_t>(piece)) ==
          0) {
        offset += piece;
        size -= piece;
      } else if (errno == EINTR) {
        piece = std::max(piece / 2, smallest_piece);
      } else {
        return fail(errc{errno});
      }
    }
    return {};
  }

  result<> populate(std::byte* at, std::uint64_t size) override {
    while (madvise(at, size, MADV_POPULATE_WRITE) != 0) {
      if (errno != EINTR && errno != EAGAIN) return fail(errc{errno});
    }
    return {};
  }
};

}  // namespace

std::optional<std::uint64_t> cgroup_room(std::string_view groups,
                                         const std::string& root) {
  std::optional<std::uint64_t> room;
  // Lines of "hierarchy:controllers:/group"; version 2 is hierarchy 0.
  while (!groups.empty()) {
    const auto end = std::min(groups.find('\n'), groups.size());
    const std::string_view line = groups.substr(0, end);
    groups.remove_prefix(std::min(end + 1, groups.size()));
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    std::string group{line.substr(second + 1)};
    if (group == "/") group.clear();
    const auto left = has_controller(controllers, "memory")
                          ? room_below(root + "/memory", group, version_1)
                      : controllers.empty() ? room_below(root, group, version_2)
                                            : std::nullopt;
    if (left) room = std::min(room.value_or(*left), *left);
  }
  return room;
}

host_memory& this_host() {
  static linux_host host;
  return host;
}

}  // namespace memhp
