#include "emu/memtrace.h"

#include <fmt/format.h>

#include <algorithm>

#include "emu/memory_device.h"
#include "emu/memory_hotplug.h"
#include "emu/parse.h"
#include "locks/guards.h"

namespace memhp {
namespace {

memtrace& to_memtrace(kobject& object) {
  return static_cast<memtrace&>(object);
}

result<std::string> enable_show(kobject& object, task&) {
  return fmt::format("{:#018x}\n", to_memtrace(object).size());
}

result<std::size_t> enable_store(kobject& object, std::string_view data, task& by) {
  const auto size = memparse(written_word(data));
  if (!size) return fail(size.error());
  if (auto ok = to_memtrace(object).enable(*size, by); !ok) return fail(ok.error());
  return data.size();
}

constexpr attribute enable_attr{.name = "enable",
                                .mode = 0600,
                                .show = enable_show,
                                .store = enable_store,
                                .store_sleeps = true};

// offline_pages() without the device. What went offline comes back if another block
// refuses.
result<> offline_all(kernel& k, phys_range range, task& by) {
  k.locks.checked_device_hotplug();  // offline_pages() asserts it
  const auto blocks = memory_blocks_in(k, range);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    auto ok = blocks[i]->change_state(block_state::offline, block_state::online, by);
    if (ok) continue;
    while (i-- > 0)
      (void)blocks[i]->change_state(block_state::online, block_state::offline, by);
    return ok;
  }
  return {};
}

// memtrace_offline_pages() and the removal.
result<> offline_and_remove(kernel& k, phys_range range, task& by) {
  if (k.rules.memtrace_offline == memtrace_locks::none) {
    if (auto ok = offline_all(k, range, by); !ok) return ok;
    guard hold{k.locks.device_hotplug_lock};
    return remove_memory(k, range);
  }
  guard hold{k.locks.device_hotplug_lock};
  if (auto ok = offline_all(k, range, by); !ok) return ok;
  return remove_memory(k, range);
}

// online_mem_block() for each.
void online_all(kernel& k, phys_range range) {
  k.locks.checked_device_hotplug();  // device_online() asserts it
  task kthread;
  for (memory_block_device* dev : memory_blocks_in(k, range))
    (void)device_online(*dev, kthread);
}

// memtrace_online().
void online_added(kernel& k, phys_range range) {
  if (k.rules.memtrace_online == memtrace_locks::none) {
    online_all(k, range);
  } else {
    guard hold{k.locks.device_hotplug_lock};
    online_all(k, range);
  }
}

// Ranges of `size` bytes of the node that are online boot memory, highest first.
std::vector<phys_range> candidates(kernel& k, int nid, std::uint64_t size) {
  std::vector<phys_range> found;
  read_guard hold{k.memory_blocks_lock};
  for (auto last = k.memory_blocks.rbegin(); last != k.memory_blocks.rend(); ++last) {
    const phys_addr end = last->second->block.range.end();
    if (end.value < size) break;
    const phys_range range{{end.value - size}, size};
    std::uint64_t usable = 0;
    for (auto i = k.memory_blocks.lower_bound(k.block_of(range.start));
         i != k.memory_blocks.end() && i->second->block.range.start < end; ++i) {
      const memory_block& block = i->second->block;
      if (block.nid == nid && block.boot_memory && block.state() == block_state::online)
        usable += block.range.size;
    }
    if (usable == size) found.push_back(range);
  }
  return found;
}

}  // namespace

memtrace::memtrace(kernel& kern) : k{kern} {
  const kernfs_ref dir = k.sysfs.make_path("kernel/debug/powerpc/memtrace");
  (void)k.sysfs.create_file(*dir, enable_attr, *this);
}

bool memtrace::take_from_node(int nid, std::uint64_t size, task& by) {
  for (const phys_range range : candidates(k, nid, size)) {
    if (by.signal_pending()) return false;
    if (!offline_and_remove(k, range, by)) continue;
    taken_.push_back({range, nid});
    return true;
  }
  return false;
}

result<> memtrace::give_back() {
  while (!taken_.empty()) {
    const region back = taken_.back();
    auto group = std::make_shared<memory_group>(back.nid, back.range.nr_pages());
    if (auto ok = add_memory_by(adder::driver, k, back.nid, back.range, group); !ok)
      return ok;
    taken_.pop_back();
    online_added(k, back.range);
  }
  return {};
}

result<> memtrace::enable(std::uint64_t size, task& by) {
  if (!is_aligned(size, k.config.block_size)) return fail(errc::invalid_argument);
  guard hold{lock_};
  if (auto ok = give_back(); !ok) return ok;
  size_.store(0, std::memory_order_relaxed);
  if (size == 0) return {};
  for (const auto& node : k.nodes) (void)take_from_node(node->nid, size, by);
  if (taken_.empty())
    return fail(by.signal_pending() ? errc::interrupted : errc::not_enough_memory);
  size_.store(size, std::memory_order_relaxed);
  return {};
}

}  // namespace memhp
