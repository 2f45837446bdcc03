#include "emu/hv_balloon.h"

#include <fmt/format.h>

#include <algorithm>

#include "emu/boot.h"
#include "emu/memory_hotplug.h"
#include "emu/parse.h"
#include "locks/guards.h"

namespace memhp {
namespace {

constexpr std::uint64_t ha_chunk = 128 * MiB;

hv_balloon& to_balloon(kobject& object) {
  return static_cast<hv_balloon&>(object);
}

result<std::string> balloon_show(kobject& object, task&) {
  return to_balloon(object).status();
}

result<std::size_t> balloon_store(kobject& object, std::string_view data, task&) {
  const auto words = words_of(data);
  auto done = result<>{fail(errc::invalid_argument)};
  if (words.size() == 3 && words[0] == "hot_add") {
    const auto address = kstrtoull(words[1]);
    const auto pages = kstrtoull(words[2]);
    if (!address || !pages || *pages > (~std::uint64_t{0} >> page_shift))
      return fail(errc::invalid_argument);
    done = to_balloon(object).hot_add({{*address}, *pages << page_shift});
  } else if (words.size() == 1 && words[0] == "expire") {
    done = to_balloon(object).expire();
  }
  if (!done) return fail(done.error());
  return data.size();
}

constexpr attribute balloon_attr{
    .name = "hv_balloon", .mode = 0644, .show = balloon_show, .store = balloon_store};

}  // namespace

hv_balloon::hv_balloon(kernel& kern)
    : k{kern},
      notifier_{.name = "hv_memory_notifier",
                .priority = 0,
                .call = [this](memory_event event, const memory_notify& what) {
                  return notified(event, what);
                }} {
  (void)k.sysfs.create_file(*k.sysfs.make_path("kernel/debug/memhp"), balloon_attr,
                            *this);
  k.memory_chain.add(notifier_);
}

hv_balloon::~hv_balloon() {
  k.memory_chain.remove(notifier_);
}

std::uint64_t hv_balloon::section() const {
  return std::max(ha_chunk, k.config.block_size);
}

result<> hv_balloon::hot_add(phys_range range) {
  if (range.size == 0 || !is_aligned(range.start.value, section()) ||
      !is_aligned(range.size, section()) || range.size > k.config.max_memory ||
      range.start.value > k.config.max_memory - range.size)
    return fail(errc::invalid_argument);
  {
    guard hold{lock_};
    if (!do_hot_add_) return fail(errc::operation_not_permitted);
    requests_.push_back(range);
    if (std::exchange(busy_, true)) return {};
  }
  queue_work();
  return {};
}

void hv_balloon::queue_work() {
  static constexpr lock_class_key work_key{
      .name = "(work_completion)(&dm_device.ha_wrk.wrk)", .wait_type = 0};
  k.events_wq.queue(work_key, [this] { work(); });
}

// One turn of hv_mem_hot_add().
void hv_balloon::work() {
  phys_range next;
  {
    guard hold{lock_};
    if (requests_.empty()) {
      busy_ = false;
      return;
    }
    next = {requests_.front().start, section()};
    completed_ = false;  // reinit_completion()
    added_.push_back(next);
  }
  const int nid = boot_node_of(k.config, next.start).value_or(0);
  const auto ok = add_memory_by(adder::driver, k, nid, next);
  {
    guard hold{lock_};
    phys_range& rest = requests_.front();
    rest = {next.end(), rest.size - next.size};
    if (!ok) {
      added_.pop_back();
      do_hot_add_ = do_hot_add_ && ok.error() != errc::file_exists;
    }
    // The rest of a request that failed is given up.
    if (!ok || rest.size == 0) requests_.erase(requests_.begin());
  }
  if (!ok)
    k.printk(fmt::format("hv_balloon: hot_add memory failed error is {}",
                         -static_cast<int>(ok.error())),
             log_level::warning);
  if (ok)
    wait_for_online();
  else
    queue_work();
}

void hv_balloon::wait_for_online() {
  std::uint64_t wait = 0;
  {
    guard hold{lock_};
    wait = ++waits_;
    waiting_ = true;
    if (!completed_) {
      if (k.after) k.after(ol_waitevent_ms, [this, wait] { goes_on(wait); });
      return;
    }
  }
  goes_on(wait);
}

// The wait of this number ends, unless it has ended.
void hv_balloon::goes_on(std::uint64_t wait) {
  {
    guard hold{lock_};
    if (!waiting_ || wait != waits_) return;
    waiting_ = false;
  }
  queue_work();
}

result<> hv_balloon::expire() {
  std::uint64_t wait = 0;
  {
    guard hold{lock_};
    if (!waiting_) return fail(errc::no_such_process);
    wait = waits_;
  }
  goes_on(wait);
  return {};
}

result<> hv_balloon::notified(memory_event event, const memory_notify& what) {
  const bool ends_wait =
      event == memory_event::online || event == memory_event::cancel_online;
  std::uint64_t wait = 0;
  {
    guard hold{lock_};
    const bool ours = std::ranges::any_of(
        added_, [&](phys_range range) { return range.overlaps(what.range); });
    if (ours && event == memory_event::online) pages_onlined_ += what.range.nr_pages();
    if (ours && event == memory_event::offline) pages_onlined_ -= what.range.nr_pages();
    if (!ends_wait) return {};
    completed_ = true;
    wait = waits_;
  }
  goes_on(wait);
  return {};
}

std::string hv_balloon::status() {
  guard hold{lock_};
  std::uint64_t left = 0;
  for (const phys_range range : requests_) left += range.nr_pages();
  return fmt::format("hot_add_enabled {}\nrequested {}\nonlined {}\nwaiting {}\n",
                     do_hot_add_ ? 1 : 0, left, pages_onlined_, waiting_ ? 1 : 0);
}

}  // namespace memhp
