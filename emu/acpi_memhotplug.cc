#include "emu/acpi_memhotplug.h"

#include <fmt/format.h>

#include <array>
#include <ranges>
#include <string>
#include <string_view>
#include <vector>

#include "emu/memory_device.h"
#include "emu/memory_hotplug.h"
#include "emu/parse.h"
#include "locks/cell.h"
#include "locks/guards.h"

namespace memhp {

// One slot. It stays in the tree when its DIMM is gone, as the firmware's table does.
class acpi_memory_device final : public device {
 public:
  acpi_memory_device(kernel& kern, const bus_type& on, acpi_memhotplug& owner, int slot)
      : device{kern, &on, fmt::format("PNP0C80:{:02x}", slot)},
        owner{owner},
        slot{slot} {}

  // acpi_device_uevent(): by MODALIAS udev finds the module that drives a device.
  std::vector<std::string> uevent_variables() const override {
    return {fmt::format("MODALIAS={}", modalias)};
  }

  static constexpr std::string_view modalias = "acpi:PNP0C80:";
  acpi_memhotplug& owner;
  const int slot;
  atomic_cell<bool> present{"adev->present", false};
  phys_range range;  // guarded by device_hotplug_lock
};

namespace {

constexpr unsigned status_present = 15;  // _STA: present, enabled, shown, functioning

acpi_memory_device& to_slot(kobject& object) {
  return static_cast<acpi_memory_device&>(object);
}

// A request, not the eject itself: the answer comes before anything is offlined, and
// what became of it shows in the tree.
result<std::size_t> eject_store(kobject& object, std::string_view data, task&) {
  acpi_memory_device& slot = to_slot(object);
  if (data[0] != '1') return fail(errc::invalid_argument);
  if (!slot.present) return fail(errc::no_such_device);
  static constexpr lock_class_key work_key{.name = "(work_completion)(&hpw->work)",
                                           .wait_type = 0};
  slot.k.kacpi_hotplug_wq.queue(work_key, [&slot] { (void)slot.owner.hot_remove(slot); });
  return data.size();
}

result<std::string> status_show(kobject& object, task&) {
  return fmt::format("{}\n", to_slot(object).present ? status_present : 0);
}
result<std::string> hid_show(kobject&, task&) {
  return "PNP0C80\n";
}
result<std::string> uid_show(kobject& object, task&) {
  return fmt::format("{:#x}\n", to_slot(object).slot);
}
result<std::string> path_show(kobject& object, task&) {
  return fmt::format("\\_SB_.MHPC.MP{:02X}\n", to_slot(object).slot);
}
result<std::string> modalias_show(kobject&, task&) {
  return fmt::format("{}\n", acpi_memory_device::modalias);
}

constexpr std::array slot_attrs = {
    attribute{.name = "eject", .mode = 0200, .store = eject_store},
    attribute{.name = "status", .mode = 0444, .show = status_show},
    attribute{.name = "hid", .mode = 0444, .show = hid_show},
    attribute{.name = "uid", .mode = 0444, .show = uid_show},
    attribute{.name = "path", .mode = 0444, .show = path_show},
    attribute{.name = "modalias", .mode = 0444, .show = modalias_show},
};
constexpr auto slot_attr_list = addresses(slot_attrs);

std::string physical_node_name(std::size_t index) {
  return index == 0 ? "physical_node" : fmt::format("physical_node{}", index);
}

// acpi_bind_one() for every block of the DIMM.
void bind_blocks(acpi_memory_device& slot,
                 const std::vector<memory_block_device*>& blocks) {
  kernfs_root& sysfs = slot.k.sysfs;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    (void)sysfs.create_link(*slot.dir, physical_node_name(i), *blocks[i]->dir);
    (void)sysfs.create_link(*blocks[i]->dir, "firmware_node", *slot.dir);
  }
}

void unbind_blocks(acpi_memory_device& slot,
                   const std::vector<memory_block_device*>& blocks) {
  kernfs_root& sysfs = slot.k.sysfs;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    sysfs.remove_by_name(*slot.dir, physical_node_name(i));
    sysfs.remove_by_name(*blocks[i]->dir, "firmware_node");
  }
}

// A block of the DIMM and whether this eject took it offline.
struct physical_node {
  memory_block_device* block;
  bool put_online = false;
};

// acpi_bus_offline(). The first pass goes on after a refusal, because what refuses may
// depend on a later block; the second tries the refusers again and stops at the first.
result<> acpi_bus_offline(std::vector<physical_node>& nodes, bool second_pass) {
  task kthread;
  result<> refused;
  for (physical_node& node : nodes) {
    if (second_pass && node.put_online) continue;
    const auto done = device_offline(*node.block, kthread);
    if (done) {
      node.put_online = *done == device_change::changed;
    } else {
      refused = fail(done.error());
      if (second_pass) break;
    }
  }
  return refused;
}

// acpi_bus_online(): the roll-back. In the default zone, whatever they were in before.
void acpi_bus_online(const std::vector<physical_node>& nodes) {
  task kthread;
  for (const physical_node& node : nodes)
    if (node.put_online) (void)device_online(*node.block, kthread);
}

// acpi_scan_try_to_offline().
result<> try_to_offline(std::vector<physical_node>& nodes) {
  if (acpi_bus_offline(nodes, false)) return {};
  auto ok = acpi_bus_offline(nodes, true);
  if (!ok) acpi_bus_online(nodes);
  return ok;
}

}  // namespace

acpi_memhotplug::acpi_memhotplug(kernel& kern)
    : k{kern},
      bus_{bus_register(kern, "acpi")},
      dir_{kern.sysfs.make_path("devices/LNXSYSTM:00/LNXSYBUS:00/PNP0A06:04")} {}

acpi_memhotplug::~acpi_memhotplug() = default;

acpi_memory_device* acpi_memhotplug::free_slot() {
  int number = 0;
  for (const auto& [slot, dev] : slots_) {
    if (!dev->present) return dev.get();
    number = slot + 1;
  }
  if (number == max_dimm_slots) return nullptr;
  auto& dev = slots_[number];
  dev = std::make_unique<acpi_memory_device>(k, bus_, *this, number);
  // The firmware's table has had the slot since boot: nothing is announced now.
  dev->uevent_suppress = true;
  device_add(*dev, *dir_, slot_attr_list);
  dev->uevent_suppress = false;
  return dev.get();
}

result<int> acpi_memhotplug::plug(std::uint64_t size, int nid) {
  k.locks.assert_held_device_hotplug();
  if (size == 0 || !is_aligned(size, k.config.block_size) || !k.node_possible(nid))
    return fail(errc::invalid_argument);
  const auto range = find_hotplug_room(k, size);
  if (!range) return fail(range.error());
  guard scan{k.locks.acpi_scan_lock};
  acpi_memory_device* const slot = free_slot();
  if (slot == nullptr) return fail(errc::no_space_on_device);

  auto group = std::make_shared<memory_group>(nid, size >> page_shift);
  group->may_host_memmap = true;
  if (auto ok = add_memory(k, nid, *range, group); !ok) return fail(ok.error());
  slot->range = *range;
  slot->present = true;
  bind_blocks(*slot, memory_blocks_in(k, *range));
  return slot->slot;
}

result<> acpi_memhotplug::hot_remove(acpi_memory_device& slot) {
  guard hotplug{k.locks.device_hotplug_lock};
  guard scan{k.locks.acpi_scan_lock};
  if (!slot.present) return fail(errc::no_such_device);
  const auto blocks = memory_blocks_in(k, slot.range);
  std::vector<physical_node> nodes;
  nodes.reserve(blocks.size());
  for (memory_block_device* block : blocks) nodes.push_back({block});

  if (auto ok = try_to_offline(nodes); !ok) {
    k.printk(fmt::format("acpi {}: Offline failed.", slot.name));
    return ok;
  }
  unbind_blocks(slot, blocks);
  if (auto ok = remove_memory(k, slot.range); !ok) return ok;
  slot.present = false;
  return {};
}

}  // namespace memhp
