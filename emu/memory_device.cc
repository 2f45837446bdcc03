#include "emu/memory_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "emu/boot.h"
#include "emu/mem_hotplug_begin.h"
#include "emu/memory_hotplug.h"
#include "emu/node_device.h"
#include "emu/parse.h"
#include "emu/zone_policy.h"
#include "locks/guards.h"

namespace memhp {
namespace {

memory_block_device& to_block_device(kobject& object) {
  return static_cast<memory_block_device&>(object);
}

// --- memoryN/ ------------------------------------------------------------------------

result<std::string> state_show(kobject& object, task&) {
  return fmt::format("{}\n", to_string(to_block_device(object).block.state()));
}

// Requires device_hotplug_lock (asserted by device_online() and device_offline()).
result<device_change> request_state(memory_block_device& dev, online_type wanted,
                                    task& by) {
  if (wanted == online_type::offline) return device_offline(dev, by);
  // Stays set if the block is online already: the next `online` <- 1 will use it.
  dev.block.requested = wanted;
  return device_online(dev, by);
}

result<std::size_t> state_store(kobject& object, std::string_view data, task& by) {
  const auto wanted = online_type_from(written_word(data));
  if (!wanted) return fail(errc::invalid_argument);
  memory_block_device& dev = to_block_device(object);
  kernel& k = dev.k;
  if (!k.locks.lock_device_hotplug_sysfs()) return fail(restart_no_intr);
  const auto done = with_mem_hotplug_lock_at(mem_hotplug_scope::whole_request, k, [&] {
    return request_state(dev, *wanted, by);
  });
  k.locks.unlock_device_hotplug_sysfs();
  if (!done) return fail(done.error());
  // Being there already is an error here, unlike in `online`.
  if (*done == device_change::already) return fail(errc::invalid_argument);
  return data.size();
}

result<std::string> phys_index_show(kobject& object, task&) {
  return fmt::format("{:08x}\n", to_block_device(object).block.id.value);
}

result<std::string> phys_device_show(kobject&, task&) {
  return "0\n";
}
result<std::string> removable_show(kobject&, task&) {
  return "1\n";
}

result<std::string> valid_zones_show(kobject& object, task&) {
  memory_block_device& dev = to_block_device(object);
  if (dev.block.state() == block_state::online) {
    const zone* managing = dev.block.managing_zone();
    return fmt::format("{}\n", managing == nullptr ? "none" : to_string(managing->type));
  }
  // The default first, then what else may be asked for.
  const zone& preferred = zone_for_pfn_range(dev.k, online_type::online, dev.block);
  std::string text{to_string(preferred.type)};
  for (const online_type type : {online_type::online_kernel, online_type::online_movable})
    if (const zone& z = zone_for_pfn_range(dev.k, type, dev.block); &z != &preferred)
      text += fmt::format(" {}", to_string(z.type));
  return text + "\n";
}

constexpr std::array block_attrs = {
    attribute{.name = "phys_index", .mode = 0444, .show = phys_index_show},
    attribute{.name = "state",
              .mode = 0644,
              .show = state_show,
              .store = state_store,
              .store_sleeps = true},
    attribute{.name = "phys_device", .mode = 0444, .show = phys_device_show},
    attribute{.name = "removable", .mode = 0444, .show = removable_show},
    attribute{.name = "valid_zones", .mode = 0444, .show = valid_zones_show},
};
constexpr auto block_attr_list = addresses(block_attrs);

// --- memory/ -------------------------------------------------------------------------

memory_subsystem& to_subsystem(kobject& object) {
  return static_cast<memory_subsystem&>(object);
}

result<std::string> block_size_bytes_show(kobject& object, task&) {
  return fmt::format("{:x}\n", to_subsystem(object).k.config.block_size);
}

result<std::string> auto_online_blocks_show(kobject& object, task&) {
  return fmt::format("{}\n", to_string(to_subsystem(object).k.auto_online.load()));
}

result<std::size_t> auto_online_blocks_store(kobject& object, std::string_view data,
                                             task&) {
  const auto type = online_type_from(written_word(data));
  if (!type) return fail(errc::invalid_argument);
  to_subsystem(object).k.auto_online = *type;
  return data.size();
}

// Node that a probed address belongs to. Only the boot memory map is asked, and an
// address outside of it belongs to the node of its first range: real machines answer so
// even where their firmware knows better.
int memory_add_physaddr_to_nid(const kernel& k, phys_addr at) {
  return boot_node_of(k.config, at).value_or(0);
}

result<std::size_t> probe_store(kobject& object, std::string_view data, task&) {
  kernel& k = to_subsystem(object).k;
  const auto address = kstrtoull(data);
  if (!address) return fail(address.error());
  if (!is_aligned(*address, k.config.block_size)) return fail(errc::invalid_argument);
  const phys_range range{.start = {*address}, .size = k.config.block_size};
  const auto added =
      add_memory_by(adder::probe, k, memory_add_physaddr_to_nid(k, range.start), range);
  if (!added) return fail(added.error());
  return data.size();
}

// Whether the page at `address` is memory that is online, for the two files below.
enum class page_presence : std::uint8_t { absent, offline, online };

page_presence presence_of(kernel& k, phys_addr address) {
  // Not device_hotplug_lock: a store holds its active reference and must not wait for it.
  read_guard hold{k.memory_blocks_lock};
  const auto block = k.memory_blocks.find(k.block_of(address));
  if (block == k.memory_blocks.end()) return page_presence::absent;
  return block->second->block.state() == block_state::offline ? page_presence::offline
                                                              : page_presence::online;
}

result<std::size_t> soft_offline_page_store(kobject& object, std::string_view data,
                                            task&) {
  const auto address = kstrtoull(data);
  if (!address) return fail(errc::invalid_argument);
  switch (presence_of(to_subsystem(object).k, {*address})) {
    case page_presence::absent: return fail(errc::no_such_device_or_address);
    case page_presence::offline: return fail(errc::io_error);
    case page_presence::online: break;
  }
  return data.size();
}

result<std::size_t> hard_offline_page_store(kobject& object, std::string_view data,
                                            task&) {
  const auto address = kstrtoull(data);
  if (!address) return fail(errc::invalid_argument);
  if (presence_of(to_subsystem(object).k, {*address}) != page_presence::online)
    return fail(errc::no_such_device_or_address);
  return data.size();
}

constexpr std::array memory_root_attrs = {
    attribute{.name = "block_size_bytes", .mode = 0444, .show = block_size_bytes_show},
    attribute{.name = "auto_online_blocks",
              .mode = 0644,
              .show = auto_online_blocks_show,
              .store = auto_online_blocks_store},
    attribute{.name = "soft_offline_page",
              .mode = 0200,
              .store = soft_offline_page_store,
              .store_sleeps = true},
    attribute{.name = "hard_offline_page",
              .mode = 0200,
              .store = hard_offline_page_store,
              .store_sleeps = true},
};
constexpr auto memory_root_attr_list = addresses(memory_root_attrs);
constexpr attribute probe_attr{
    .name = "probe", .mode = 0200, .store = probe_store, .store_sleeps = true};

// --- life of a block -----------------------------------------------------------------

result<> memory_block_online(kernel& k, memory_block& block) {
  zone& target = zone_for_pfn_range(k, block.requested, block);
  return with_mem_hotplug_lock_at(mem_hotplug_scope::changed_pages, k,
                                  [&] { return online_pages(k, block, target); });
}

result<> memory_block_offline(kernel& k, memory_block& block, task& by) {
  if (block.managing_zone() == nullptr) return fail(errc::invalid_argument);
  return with_mem_hotplug_lock_at(mem_hotplug_scope::changed_pages, k,
                                  [&] { return offline_pages(k, block, by); });
}

memory_block_device& add_block_device(kernel& k, phys_range range, int nid) {
  const block_id id = k.block_of(range.start);
  guard hold{k.memory_blocks_lock};
  auto& slot = k.memory_blocks[id];
  slot =
      std::make_unique<memory_block_device>(k, k.memory_dir->memory_bus, id, range, nid);
  return *slot;
}

}  // namespace

memory_block_device::memory_block_device(kernel& kern, const bus_type& on, block_id id,
                                         phys_range range, int nid)
    : device{kern, &on, fmt::format("memory{}", id.value)}, block{id, range, nid} {}

result<> memory_block_device::bus_online(task& by) {
  if (k.rules.online == online_check::section_count && block.section_count == 0)
    return fail(errc::no_such_device_or_address);  // seed 000, v4
  if (block.state() == block_state::online) return {};
  if (block.requested == online_type::offline) block.requested = online_type::online;
  auto ok = change_state(block_state::online, block_state::offline, by);
  block.requested = online_type::offline;
  return ok;
}

result<> memory_block_device::bus_offline(task& by) {
  if (block.state() == block_state::offline) return {};
  return change_state(block_state::offline, block_state::online, by);
}

// memory_block_change_state(): the one place where a block goes online or offline.
result<> memory_block_device::change_state(block_state to, block_state from, task& by) {
  const bool goes_offline = to == block_state::offline;
  if (block.state() != from) return fail(errc::invalid_argument);
  if (goes_offline) {
    if (auto ok = block.change_state(block_state::going_offline, from); !ok) return ok;
    recount();
  }
  auto ok =
      goes_offline ? memory_block_offline(k, block, by) : memory_block_online(k, block);
  const block_state now = goes_offline ? block_state::going_offline : from;
  const block_state end = ok ? to : from;
  if (now != end) (void)block.change_state(end, now);
  recount();
  return ok;
}

void memory_block_device::recount() {
  if (counted_in_ != nullptr) counted_in_->fetch_sub(1, std::memory_order_relaxed);
  counted_in_ = nullptr;
  if (!block.present()) return;
  const zone* managing = block.managing_zone();
  const auto in =
      managing == nullptr ? nr_zone_types : static_cast<std::size_t>(managing->type);
  const auto row = static_cast<std::size_t>(block.state()) -
                   static_cast<std::size_t>(block_state::offline);
  counted_in_ = &k.stats.blocks[block.nid][in][row];
  counted_in_->fetch_add(1, std::memory_order_relaxed);
}

memory_subsystem::memory_subsystem(kernel& kern)
    : device{kern, nullptr, "memory"}, memory_bus{bus_register(kern, "memory")} {
  device_add(*this, *k.sysfs.make_path("devices/system"), memory_root_attr_list);
  if (k.config.probe) (void)k.sysfs.create_file(*dir, probe_attr, *this);
}

namespace {

// mhp_supports_memmap_on_memory(): for a DIMM of one block whose memmap fills whole huge
// pages, and then the number of pages that the memmap takes at its start.
std::uint64_t memmap_pages_on(const kernel& k, phys_range range,
                              const memory_group* dimm) {
  constexpr std::uint64_t huge_page = 2 * MiB;
  const std::uint64_t memmap_size = range.nr_pages() * sizeof(page);
  const bool fits = dimm != nullptr && range.size == k.config.block_size &&
                    is_aligned(memmap_size, huge_page);
  return k.config.memmap_on_memory && fits ? memmap_size >> page_shift : 0;
}

}  // namespace

void create_memory_block_devices(kernel& k, phys_range range, int nid,
                                 const std::shared_ptr<memory_group>& group) {
  for (phys_addr at = range.start; at < range.end(); at = at + k.config.block_size) {
    auto& dev = add_block_device(k, {at, k.config.block_size}, nid);
    dev.block.group = group;
    dev.block.vmemmap_pages = memmap_pages_on(k, range, group.get());
    (void)dev.block.change_state(block_state::offline, block_state::absent);
    dev.recount();
    {
      guard hold{dev.lock};
      dev.offline = true;
    }
    device_add(dev, *k.memory_dir->dir, block_attr_list);
  }
}

memory_block_device& create_boot_block(kernel& k, phys_range range, int nid,
                                       zone* managing) {
  auto& dev = add_block_device(k, range, nid);
  dev.block.boot_memory = true;
  dev.block.set_managing_zone(managing);
  (void)dev.block.change_state(block_state::online, block_state::absent);
  dev.recount();
  device_add(dev, *k.memory_dir->dir, block_attr_list);
  return dev;
}

std::vector<memory_block_device*> memory_blocks_in(kernel& k, phys_range range) {
  std::vector<memory_block_device*> found;
  const block_id end = k.block_of(range.end());
  read_guard hold{k.memory_blocks_lock};
  for (auto i = k.memory_blocks.lower_bound(k.block_of(range.start));
       i != k.memory_blocks.end() && i->first < end; ++i)
    found.push_back(i->second.get());
  return found;
}

void remove_memory_block_devices(kernel& k, phys_range range) {
  if (k.rules.assertion == removal_assertion::assert_held)
    k.locks.assert_held_device_hotplug();
  for (memory_block_device* dev : memory_blocks_in(k, range)) {
    dev->block.section_count = 0;
    unlink_block_from_node(k, *dev);
    device_del(*dev);
    (void)dev->block.change_state(block_state::absent, block_state::offline);
    dev->recount();
    guard hold{k.memory_blocks_lock};
    k.memory_blocks.erase(dev->block.id);
  }
}

}  // namespace memhp
