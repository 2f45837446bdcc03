// A hotplug tree as the run finds it: a directory that looks like /sys, known by its
// files alone. Works the same on an emulated machine and on a real kernel.
//
// Thread safety: constant after open(); any thread.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "blocks/owned_fd.h"

namespace memhp::stress {

inline constexpr const char* memory_dir = "devices/system/memory";
inline constexpr const char* node_dir = "devices/system/node";
inline constexpr const char* dimm_dir = "devices/LNXSYSTM:00/LNXSYBUS:00/PNP0A06:04";
inline constexpr const char* dimm_prefix = "PNP0C80:";
inline constexpr const char* debug_dir = "kernel/debug/memhp";

inline constexpr const char* notifier_error_dir =
    "kernel/debug/notifier-error-inject/memory/actions";

struct block_at_start {
  std::uint64_t id = 0;
  std::string state;
  std::string zone;  // of valid_zones: its first word
};

struct tree {
  owned_fd root;
  std::string path;
  std::uint64_t block_size = 0;
  std::vector<block_at_start> blocks;  // those to work on, by id
  std::vector<std::uint64_t> probed;   // ids that probe and remove work on
  std::vector<std::string> slots;      // with a DIMM at the start
  std::vector<unsigned> cpus;          // those with an `online` file
  std::vector<std::string> dax;        // devices bound to kmem
  bool has_remove = false;             // kernel/debug/memhp/remove_block

  // The whole file; an errno (negative) in `error` if not.
  std::string read(const std::string& file, int& error) const;
  std::string read(const std::string& file) const;
  // Writes all of `text` in one call; 0 or an errno.
  int write(const std::string& file, std::string_view text) const;
  // Names in a directory, sorted; empty if there is none.
  std::vector<std::string> list(const std::string& directory) const;
};

// Whether `path` lies on a real sysfs.
bool is_real_sysfs(const std::string& path);

// `only`: the blocks to work on, empty for all. The error is one line.
std::expected<tree, std::string> open_tree(const std::string& path,
                                           const std::vector<std::uint64_t>& only);

// The slots that hold a DIMM now. A slot keeps its directory after an eject.
std::vector<std::string> present_dimms(const tree& sys);

// The id in "memory7"; none for other names.
std::optional<std::uint64_t> block_of_name(std::string_view name);
// Ids of the blocks that are there, sorted.
std::vector<std::uint64_t> block_ids(const tree& sys);

}  // namespace memhp::stress
