#include "emu/boot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "emu/memory_device.h"
#include "emu/node_device.h"
#include "locks/guards.h"

namespace memhp {
namespace {

constexpr std::uint64_t low_memory_limit = 0xb0000000;  // MMCONFIG begins there
constexpr std::uint64_t split_low_memory = 2 * GiB;
constexpr phys_addr high_memory{4 * GiB};

constexpr phys_addr dma_end{16 * MiB};
constexpr phys_addr dma32_end{4 * GiB};

// The first megabyte has the video memory and the BIOS in it, the end of low memory the
// ACPI tables. Blocks with such holes cannot go offline.
constexpr std::uint64_t bios_hole_pages = (1 * MiB - 640 * KiB) >> page_shift;
constexpr std::uint64_t acpi_hole_pages = 128 * KiB >> page_shift;
// The kernel itself, in the first block.
constexpr std::uint64_t kernel_image_pages = 22 * MiB >> page_shift;

constexpr std::array reserved_ranges = {
    std::pair{phys_range{{0xb0000000}, 256 * MiB}, "PCI MMCONFIG 0000 [bus 00-ff]"},
    std::pair{phys_range{{0xfec00000}, 4 * KiB}, "IOAPIC 0"},
    std::pair{phys_range{{0xfee00000}, 4 * KiB}, "Local APIC"},
};

zone_type zone_type_at(phys_addr at) {
  if (at < dma_end) return zone_type::dma;
  return at < dma32_end ? zone_type::dma32 : zone_type::normal;
}

phys_addr zone_end(phys_addr at) {
  if (at < dma_end) return dma_end;
  return at < dma32_end ? dma32_end : phys_addr{~std::uint64_t{0}};
}

// Boot memory of a node that goes to Movable: its share of movablecore, from its top.
std::uint64_t movable_bytes(const machine_config& c, int nid) {
  const std::uint64_t blocks = c.movablecore / c.block_size;
  const auto nodes = static_cast<std::uint64_t>(c.nodes);
  const auto n = static_cast<std::uint64_t>(nid);
  return (blocks / nodes + (n < blocks % nodes ? 1 : 0)) * c.block_size;
}

// Where zone Movable begins in each node: at `bytes` below the end of its memory.
bool is_movable_block(const machine_config& c, const std::vector<boot_range>& map,
                      phys_range block, int nid) {
  std::uint64_t above = 0;
  for (const boot_range& part : map)
    if (part.nid == nid && part.range.end() > block.start)
      above += part.range.end().value - std::max(part.range.start, block.start).value;
  return above <= movable_bytes(c, nid);
}

// Puts a block's pages into the zones that they belong to. Null if that is not one zone.
zone* add_to_zones(pglist_data& node, phys_range block, bool movable,
                   std::uint64_t holes) {
  zone* only = nullptr;
  bool several = false;
  for (phys_addr at = block.start; at < block.end();) {
    const phys_addr end = movable ? block.end() : std::min(zone_end(at), block.end());
    zone& z = node.of(movable ? zone_type::movable : zone_type_at(at));
    z.add({at, end.value - at.value}, {.holes = holes, .early = true});
    holes = 0;
    several = several || (only != nullptr && only != &z);
    only = &z;
    at = end;
  }
  return several ? nullptr : only;
}

struct boot_block {
  phys_range range;
  int nid;
  std::uint64_t holes;
};

std::uint64_t holes_in(const kernel& k, phys_range block, phys_addr low_end) {
  std::uint64_t holes = 0;
  if (block.start == phys_addr{0}) holes += bios_hole_pages;
  if (block.end() == low_end) holes += acpi_hole_pages;
  return std::min(holes, k.config.block_size / page_size / 2);
}

void add_boot_block(kernel& k, const std::vector<boot_range>& map, const boot_block& b)
    REQUIRES(k.locks.device_hotplug_lock) {
  pglist_data& node = *k.nodes[static_cast<std::size_t>(b.nid)];
  (void)k.pages.add(b.range);
  zone* managing = add_to_zones(node, b.range,
                                is_movable_block(k.config, map, b.range, b.nid), b.holes);
  auto& dev = create_boot_block(k, b.range, b.nid, managing);
  dev.block.hole_pages = b.holes;
  link_block_to_node(k, dev);
}

void reserve_kernel_pages(kernel& k) {
  k.nodes[0]->used_pages += std::min(kernel_image_pages, k.config.block_size >> 14);
  for (const std::uint64_t id : k.config.kernel_blocks)
    (void)k.pages.set(phys_addr{id * k.config.block_size}.frame(), page_flag::reserved);
}

}  // namespace

std::vector<boot_range> boot_memory_map(const machine_config& c) {
  std::vector<boot_range> map;
  const std::uint64_t total = c.memory * static_cast<std::uint64_t>(std::max(c.nodes, 0));
  const std::uint64_t low =
      total <= low_memory_limit ? total : split_low_memory / c.block_size * c.block_size;
  std::uint64_t done = 0;
  for (int nid = 0; nid < c.nodes; ++nid) {
    for (std::uint64_t left = c.memory; left != 0;) {
      const bool below = done < low;
      const std::uint64_t size = below ? std::min(left, low - done) : left;
      const phys_addr start = below ? phys_addr{done} : high_memory + (done - low);
      map.push_back({.range = {start, size}, .nid = nid});
      done += size;
      left -= size;
    }
  }
  return map;
}

std::optional<int> boot_node_of(const machine_config& config, phys_addr at) {
  for (const boot_range& part : boot_memory_map(config))
    if (part.range.contains(at)) return part.nid;
  return std::nullopt;
}

std::expected<void, std::string> boot_memory(kernel& k) {
  for (const auto& [range, name] : reserved_ranges) (void)k.iomem.request(range, name);
  const auto map = boot_memory_map(k.config);
  phys_addr low_end{0};
  for (const boot_range& part : map) {
    if (part.range.end() <= high_memory) low_end = part.range.end();
    (void)k.iomem.request(part.range, "System RAM");
    if (!k.memory.populate(part.range, part.nid))
      return std::unexpected{
          fmt::format("the host has no {} MiB for the boot memory of node {}: give less "
                      "with --memory, or let pages come at their first use with "
                      "--commit touch",
                      part.range.size / MiB, part.nid)};
  }

  guard hold{k.locks.device_hotplug_lock};
  for (const boot_range& part : map)
    for (phys_addr at = part.range.start; at < part.range.end();
         at = at + k.config.block_size) {
      const phys_range block{at, k.config.block_size};
      add_boot_block(k, map, {block, part.nid, holes_in(k, block, low_end)});
    }
  reserve_kernel_pages(k);
  k.stats.resident_bytes = k.memory.resident_bytes();
  k.stats.memmap_bytes = k.pages.bytes();
  return {};
}

}  // namespace memhp
