// What the machine's memory asks of the host. An interface, so that two sockets, an
// exhausted pool and failing system calls can be tested on any machine.
//
// Thread safety: every member may be called by any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "blocks/numa_topology.h"
#include "blocks/result.h"

namespace memhp {

// How a range keeps to its node.
enum class binding : std::uint8_t {
  strict,     // from this node or not at all (MPOL_BIND)
  preferred,  // from this node while it has pages (MPOL_PREFERRED)
};

class host_memory {
 public:
  host_memory() = default;
  host_memory(const host_memory&) = delete;
  host_memory& operator=(const host_memory&) = delete;
  virtual ~host_memory() = default;

  virtual host_topology topology() const = 0;
  // Bytes that the host could give now without swapping and without its OOM killer:
  // the least of what is available and what the memory cgroups of this process leave;
  // with `node`, of what that node has.
  virtual std::uint64_t available_bytes(std::optional<int> node) const = 0;
  // Pages of the 2 MiB hugetlb pool that are neither in use nor promised.
  virtual std::uint64_t free_huge_pages() const = 0;
  // False if the kernel refuses pages by what it has promised in all and not by what it
  // has (vm.overcommit_memory=2): a page may then fail however much memory is available.
  virtual bool gives_what_is_available() const = 0;

  // mbind(2): pages that [at, at + size) gets from now on come from `node`.
  virtual result<> bind(std::byte* at, std::uint64_t size, int node, binding how) = 0;
  // fallocate(2): gives [offset, offset + size) of a file pages. On a tmpfs they are
  // cleared at the first touch.
  virtual result<> allocate(int file, std::uint64_t offset, std::uint64_t size) = 0;
  // MADV_POPULATE_WRITE: gives [at, at + size) cleared pages and maps them.
  virtual result<> populate(std::byte* at, std::uint64_t size) = 0;
};

// The host that this process runs on.
host_memory& this_host();

// Bytes that the memory cgroups leave to a process: the least room under the limit of
// its own group and of those above it, reclaimable page cache counted as room. `groups`
// is the text of /proc/self/cgroup, `root` where the hierarchies are mounted
// (/sys/fs/cgroup); versions 1 and 2. None without a limit.
std::optional<std::uint64_t> cgroup_room(std::string_view groups,
                                         const std::string& root);

}  // namespace memhp
