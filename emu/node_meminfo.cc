#include "emu/node_meminfo.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "emu/hugetlb.h"
#include "emu/node_device.h"

namespace memhp {
namespace {

constexpr std::uint64_t kib_per_page = page_size / KiB;

// What the slab allocator has of the node, by the names of meminfo and vmstat (pages).
std::uint64_t slab_line(const pglist_data& node, std::string_view name) {
  if (name == "SReclaimable" || name == "KReclaimable" || name == "nr_slab_reclaimable")
    return node.slab_reclaimable;
  if (name == "SUnreclaim" || name == "nr_slab_unreclaimable")
    return node.slab_unreclaimable;
  if (name == "Slab") return node.slab_reclaimable + node.slab_unreclaimable;
  return 0;
}

// Lines between MemUsed and the huge pages. The machine runs no programs of its own, so
// there is nothing in any of them but the slab caches.
constexpr std::array unused_lines = {
    "SwapCached",    "Active",         "Inactive",      "Active(anon)", "Inactive(anon)",
    "Active(file)",  "Inactive(file)", "Unevictable",   "Mlocked",      "Dirty",
    "Writeback",     "FilePages",      "Mapped",        "AnonPages",    "Shmem",
    "KernelStack",   "PageTables",     "SecPageTables", "NFS_Unstable", "Bounce",
    "WritebackTmp",  "KReclaimable",   "Slab",          "SReclaimable", "SUnreclaim",
    "AnonHugePages", "ShmemHugePages", "ShmemPmdMapped"};
// The same, but the kernel does not line these up with the others.
constexpr std::array unaligned_lines = {"FileHugePages", "FilePmdMapped"};

// vmstat has the items of the zones, the allocator's events and the items of the node, in
// this order, of a kernel that is configured as Debian's.
constexpr std::array unused_zone_items = {"nr_zone_inactive_anon",
                                          "nr_zone_active_anon",
                                          "nr_zone_inactive_file",
                                          "nr_zone_active_file",
                                          "nr_zone_unevictable",
                                          "nr_zone_write_pending",
                                          "nr_mlock",
                                          "nr_bounce",
                                          "nr_zspages",
                                          "nr_free_cma"};
constexpr std::array node_items = {"nr_inactive_anon",
                                   "nr_active_anon",
                                   "nr_inactive_file",
                                   "nr_active_file",
                                   "nr_unevictable",
                                   "nr_slab_reclaimable",
                                   "nr_slab_unreclaimable",
                                   "nr_isolated_anon",
                                   "nr_isolated_file",
                                   "workingset_nodes",
                                   "workingset_refault_anon",
                                   "workingset_refault_file",
                                   "workingset_activate_anon",
                                   "workingset_activate_file",
                                   "workingset_restore_anon",
                                   "workingset_restore_file",
                                   "workingset_nodereclaim",
                                   "nr_anon_pages",
                                   "nr_mapped",
                                   "nr_file_pages",
                                   "nr_dirty",
                                   "nr_writeback",
                                   "nr_writeback_temp",
                                   "nr_shmem",
                                   "nr_shmem_hugepages",
                                   "nr_shmem_pmdmapped",
                                   "nr_file_hugepages",
                                   "nr_file_pmdmapped",
                                   "nr_anon_transparent_hugepages",
                                   "nr_vmscan_write",
                                   "nr_vmscan_immediate_reclaim",
                                   "nr_dirtied",
                                   "nr_written",
                                   "nr_throttled_written",
                                   "nr_kernel_misc_reclaimable",
                                   "nr_foll_pin_acquired",
                                   "nr_foll_pin_released",
                                   "nr_kernel_stack",
                                   "nr_page_table_pages",
                                   "nr_sec_page_table_pages",
                                   "nr_swapcached",
                                   "pgpromote_success",
                                   "pgpromote_candidate"};

// numastat and vmstat show the same counters under different names.
struct numa_event {
  const char* in_numastat;
  const char* in_vmstat;
};
constexpr std::array numa_events = {
    numa_event{"numa_hit", "numa_hit"},
    numa_event{"numa_miss", "numa_miss"},
    numa_event{"numa_foreign", "numa_foreign"},
    numa_event{"interleave_hit", "numa_interleave"},
    numa_event{"local_node", "numa_local"},
    numa_event{"other_node", "numa_other"},
};
// No program of the machine ever asks for a page.
constexpr std::uint64_t event_count(const node_device& /*of*/, const numa_event&) {
  return 0;
}

std::uint64_t free_pages(const pglist_data& node) {
  const std::uint64_t managed = node.managed_pages();
  const std::uint64_t used = node.used_pages + node.nr_hugepages * pages_per_huge_page;
  return managed - std::min(managed, used);
}

}  // namespace

std::string node_meminfo(node_device& device) {
  const pglist_data& node = device.data;
  const std::uint64_t total = node.managed_pages();
  const std::uint64_t free = free_pages(node);
  std::string text;
  const auto out = std::back_inserter(text);
  const auto line = [&](std::string_view name, std::uint64_t kib) {
    fmt::format_to(out, "Node {} {:<15}{:>9} kB\n", node.nid, fmt::format("{}:", name),
                   kib);
  };
  line("MemTotal", total * kib_per_page);
  line("MemFree", free * kib_per_page);
  line("MemUsed", (total - free) * kib_per_page);
  for (const char* name : unused_lines) line(name, slab_line(node, name) * kib_per_page);
  for (const char* name : unaligned_lines)
    fmt::format_to(out, "Node {} {}: {:>8} kB\n", node.nid, name, 0);
  const std::uint64_t huge = node.nr_hugepages;
  fmt::format_to(out, "Node {} HugePages_Total: {:>5}\n", node.nid, huge);
  fmt::format_to(out, "Node {} HugePages_Free:  {:>5}\n", node.nid, huge);
  fmt::format_to(out, "Node {} HugePages_Surp:  {:>5}\n", node.nid, 0);
  return text;
}

std::string node_numastat(node_device& device) {
  std::string text;
  for (const numa_event& event : numa_events)
    text += fmt::format("{} {}\n", event.in_numastat, event_count(device, event));
  return text;
}

std::string node_vmstat(node_device& device) {
  const pglist_data& node = device.data;
  std::string text = fmt::format("nr_free_pages {}\n", free_pages(node));
  const auto line = [&](std::string_view name, std::uint64_t value) {
    fmt::format_to(std::back_inserter(text), "{} {}\n", name, value);
  };
  for (const char* name : unused_zone_items) line(name, 0);
  for (const numa_event& event : numa_events)
    line(event.in_vmstat, event_count(device, event));
  for (const char* name : node_items) line(name, slab_line(node, name));
  return text;
}

}  // namespace memhp
