#include "emu/dax_kmem.h"

#include <fmt/format.h>

#include "emu/memory_hotplug.h"
#include "locks/guards.h"

namespace memhp {
namespace {

// dax_kmem_range(): the whole blocks inside.
phys_range whole_blocks(const dax_device& dev) {
  const std::uint64_t block = dev.k.config.block_size;
  const std::uint64_t start = (dev.range.start.value + block - 1) / block * block;
  const std::uint64_t end = dev.range.end().value / block * block;
  return {{start}, end > start ? end - start : 0};
}

std::string mapping0(phys_range range) {
  return fmt::format("mapping0: {:#x}-{:#x}", range.start.value, range.end().value - 1);
}

}  // namespace

// Not inlined, as in the kernel, where it is called through a pointer.
[[gnu::noinline]] result<> dax_kmem::probe(dax_device& dev) {
  kernel& k = dev.k;
  const phys_range range = whole_blocks(dev);
  if (range.size == 0) {
    dev.printk(mapping0(dev.range) + " too small after alignment", log_level::info);
    dev.printk("rejecting DAX region without any memory after alignment",
               log_level::warning);
    return fail(errc::invalid_argument);
  }
  if (!k.iomem.request(range, dev.name, resource_tree::use::divisible)) {
    dev.printk(mapping0(range) + " could not reserve region", log_level::warning);
    return fail(errc::device_or_resource_busy);
  }
  auto group = std::make_shared<memory_group>(dev.target_node, range.nr_pages());
  auto ok =
      add_memory_by(adder::driver, k, dev.target_node, range, group, "System RAM (kmem)");
  if (!ok) {
    dev.printk(mapping0(range) + " memory add failed", log_level::warning);
    k.iomem.release(range);
    return ok;
  }
  dev.group = std::move(group);
  return {};
}

[[gnu::noinline]] void dax_kmem::remove(dax_device& dev) {
  kernel& k = dev.k;
  const phys_range range = whole_blocks(dev);
  const bool removed = [&] {
    guard hotplug{k.locks.device_hotplug_lock};
    return remove_memory(k, range).has_value();
  }();
  if (!removed) {
    dev.printk(mapping0(range) + " cannot be hotremoved until the next reboot",
               log_level::warning);
    return;
  }
  k.iomem.release(range);
  dev.group.reset();
}

}  // namespace memhp
