#include "emu/xen_balloon.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ranges>

#include "emu/boot.h"
#include "emu/memory_device.h"
#include "emu/memory_hotplug.h"
#include "emu/parse.h"
#include "locks/guards.h"

namespace memhp {
namespace {

constexpr std::uint64_t section_size = 128 * MiB;
constexpr unsigned ms_per_s = 1000;

xen_balloon& to_balloon(kobject& object) {
  return static_cast<xen_balloon&>(object);
}

constexpr std::uint64_t pages_to_kb(std::uint64_t pages) {
  return pages << (page_shift - 10);
}

using figure = std::atomic<std::uint64_t> xen_balloon::statistics::*;

template <figure Figure>
result<std::string> kb_show(kobject& object, task&) {
  return fmt::format("{}\n", pages_to_kb(to_balloon(object).stats.*Figure));
}
template <figure Figure>
result<std::string> number_show(kobject& object, task&) {
  return fmt::format("{}\n", (to_balloon(object).stats.*Figure).load());
}
template <figure Figure>
result<std::size_t> number_store(kobject& object, std::string_view data, task&) {
  const auto number = kstrtoull(data);
  if (!number) return fail(number.error());
  to_balloon(object).stats.*Figure = *number;
  return data.size();
}

result<std::string> high_kb_show(kobject&, task&) {
  return "0\n";  // there is no high memory
}

result<std::string> target_show(kobject& object, task&) {
  return fmt::format("{}\n", to_balloon(object).stats.target_pages << page_shift);
}

// The driver takes what it can read and no word is wrong; here a target that is no number
// is refused, rather than to empty the machine.
result<std::size_t> target_kb_store(kobject& object, std::string_view data, task&) {
  const auto kb = kstrtoull(data);
  if (!kb) return fail(kb.error());
  to_balloon(object).set_new_target(*kb >> (page_shift - 10));
  return data.size();
}
result<std::size_t> target_store(kobject& object, std::string_view data, task&) {
  const auto bytes = memparse(written_word(data));
  if (!bytes) return fail(bytes.error());
  to_balloon(object).set_new_target(*bytes >> page_shift);
  return data.size();
}

using statistics = xen_balloon::statistics;
constexpr std::array balloon_attrs = {
    attribute{.name = "target_kb",
              .mode = 0644,
              .show = kb_show<&statistics::target_pages>,
              .store = target_kb_store},
    attribute{.name = "target", .mode = 0644, .show = target_show, .store = target_store},
    attribute{.name = "schedule_delay",
              .mode = 0444,
              .show = number_show<&statistics::schedule_delay>},
    attribute{.name = "max_schedule_delay",
              .mode = 0644,
              .show = number_show<&statistics::max_schedule_delay>,
              .store = number_store<&statistics::max_schedule_delay>},
    attribute{.name = "retry_count",
              .mode = 0444,
              .show = number_show<&statistics::retry_count>},
    attribute{.name = "max_retry_count",
              .mode = 0644,
              .show = number_show<&statistics::max_retry_count>,
              .store = number_store<&statistics::max_retry_count>},
};
constexpr auto balloon_attr_list = addresses(balloon_attrs);
constexpr std::array info_attrs = {
    attribute{
        .name = "current_kb", .mode = 0444, .show = kb_show<&statistics::current_pages>},
    attribute{.name = "low_kb", .mode = 0444, .show = kb_show<&statistics::balloon_low>},
    attribute{.name = "high_kb", .mode = 0444, .show = high_kb_show},
};

constexpr std::array used_flags = {page_flag::reserved, page_flag::pinned,
                                   page_flag::slab};

std::atomic<std::uint64_t>& used_pages(kernel& k, int nid) {
  return k.nodes[static_cast<std::size_t>(nid)]->used_pages;
}

}  // namespace

xen_balloon::xen_balloon(kernel& kern)
    : device{kern, &bus_, "xen_memory0"},
      bus_{bus_register(kern, "xen_memory")},
      subsystem_{kern, nullptr, "xen_memory"},
      notifier_{.name = "xen_memory_nb",
                .priority = 0,
                .call = [this](memory_event event, const memory_notify& what) {
                  return notified(event, what);
                }} {
  device_add(subsystem_, *k.sysfs.make_path("devices/system"), {});
  device_add(*this, *subsystem_.dir, balloon_attr_list);
  info_ = *k.sysfs.create_dir(*dir, "info", this);
  for (const attribute& attr : info_attrs) (void)k.sysfs.create_file(*info_, attr, *this);
  k.memory_chain.add(notifier_);
}

xen_balloon::~xen_balloon() {
  k.memory_chain.remove(notifier_);
}

void xen_balloon::boot() {
  std::uint64_t pages = 0;
  for (const auto& node : k.nodes) pages += node->present_pages();
  stats.current_pages = stats.target_pages = stats.total_pages = pages;
}

void xen_balloon::set_new_target(std::uint64_t pages) {
  stats.target_pages = pages;
  queue_work();
}

void xen_balloon::queue_work() {
  static constexpr lock_class_key work_key{.name = "(work_completion)(balloon_worker)",
                                           .wait_type = 0};
  k.events_wq.queue(work_key, [this] { work(); });
}

// balloon_thread(), from one wake-up to the next.
void xen_balloon::work() {
  bp_state state = turn();
  if (state == bp_state::done) {
    stats.schedule_delay = 1;
    stats.retry_count = 1;
  }
  if (state != bp_state::again) return;
  // update_schedule().
  if (++stats.retry_count > stats.max_retry_count) {
    stats.schedule_delay = 1;
    stats.retry_count = 1;
    return;
  }
  stats.schedule_delay =
      std::min(stats.schedule_delay * 2, stats.max_schedule_delay.load());
  if (k.after)
    k.after(static_cast<unsigned>(stats.schedule_delay) * ms_per_s,
            [this] { queue_work(); });
}

xen_balloon::bp_state xen_balloon::turn() {
  {
    guard hold{mutex_};
    const std::uint64_t target = stats.target_pages;
    const std::uint64_t current = stats.current_pages;
    if (target < current) return decrease_reservation(current - target);
    if (target > current && !ballooned_.empty()) {
      const bp_state state = increase_reservation(target - current);
      if (state != bp_state::done || stats.current_pages >= target) return state;
    }
    if (stats.target_pages <= stats.current_pages) return bp_state::done;
  }
  return reserve_additional_memory();
}

xen_balloon::bp_state xen_balloon::increase_reservation(std::uint64_t pages) {
  const std::uint64_t count = std::min<std::uint64_t>(pages, ballooned_.size());
  for (std::uint64_t i = 0; i < count; ++i) {
    const ballooned_page page = ballooned_.back();
    ballooned_.pop_back();
    (void)k.pages.clear(page.frame, page_flag::reserved);
    --used_pages(k, page.nid);
  }
  stats.balloon_low -= count;
  stats.current_pages += count;
  return bp_state::done;
}

// Takes free pages, from the highest addresses down.
xen_balloon::bp_state xen_balloon::decrease_reservation(std::uint64_t pages) {
  read_guard hold{k.memory_blocks_lock};
  std::uint64_t left = pages;
  for (const auto& [id, device] : k.memory_blocks | std::views::reverse) {
    const memory_block& block = device->block;
    if (block.state() != block_state::online || block.hole_pages != 0) continue;
    const std::uint64_t usable = block.range.nr_pages() - block.vmemmap_pages;
    for (std::uint64_t i = 1; i <= usable && left != 0; ++i) {
      const pfn frame{block.range.end_pfn().value - i};
      const bool used = std::ranges::any_of(
          used_flags, [&](page_flag flag) { return k.pages.test(frame, flag); });
      if (used || !k.pages.set(frame, page_flag::reserved)) continue;
      // The mark first and the look at the state second, as everybody who takes pages:
      // offlining does the opposite.
      if (block.state() != block_state::online) {
        (void)k.pages.clear(frame, page_flag::reserved);
        break;
      }
      ballooned_.push_back({frame, block.nid});
      ++used_pages(k, block.nid);
      --left;
    }
    if (left == 0) break;
  }
  stats.balloon_low += pages - left;
  stats.current_pages -= pages - left;
  return left == 0 ? bp_state::done : bp_state::again;
}

// Whole sections; what is more than the target stays in the balloon.
xen_balloon::bp_state xen_balloon::reserve_additional_memory() {
  const std::uint64_t target = stats.target_pages;
  const std::uint64_t total = stats.total_pages;
  if (target <= total) return bp_state::wait;  // added, but not online yet
  const std::uint64_t unit = std::max(section_size, k.config.block_size);
  // More than there can be is as good as all there can be, and keeps sums from wrapping.
  const std::uint64_t credit =
      std::min(target - total, (k.config.max_memory >> page_shift) + 1);
  const std::uint64_t size = ((credit << page_shift) + unit - 1) / unit * unit;
  const auto range = find_hotplug_room(k, size);
  if (!range) {
    k.printk("xen:balloon: Cannot allocate new System RAM resource", log_level::warning);
    return bp_state::canceled;
  }
  const int nid = boot_node_of(k.config, range->start).value_or(0);
  // Counted first: the blocks may go online, and wake us, before this returns.
  stats.total_pages += size >> page_shift;
  const auto ok = add_memory_by(adder::driver, k, nid, *range);
  if (ok) return bp_state::wait;
  stats.total_pages -= size >> page_shift;
  k.printk(fmt::format("xen:balloon: Cannot add additional memory ({})",
                       -static_cast<int>(ok.error())),
           log_level::warning);
  return bp_state::canceled;
}

// xen_online_page(), for all pages of a block.
void xen_balloon::append(const memory_notify& what) {
  guard hold{mutex_};
  std::uint64_t count = 0;
  for (std::uint64_t i = what.range.nr_pages(); i-- > 0;) {
    const pfn frame = what.range.start_pfn() + i;
    if (!k.pages.set(frame, page_flag::reserved)) continue;
    ballooned_.push_back({frame, what.nid});
    ++count;
  }
  used_pages(k, what.nid) += count;
  stats.balloon_low += count;
}

result<> xen_balloon::notified(memory_event event, const memory_notify& what) {
  if (event != memory_event::online) return {};
  append(what);
  queue_work();
  return {};
}

}  // namespace memhp
