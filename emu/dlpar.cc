#include "emu/dlpar.h"

#include <fmt/format.h>

#include <algorithm>

#include "emu/boot.h"
#include "emu/memory_hotplug.h"
#include "emu/parse.h"
#include "locks/guards.h"

namespace memhp {
namespace {

constexpr std::uint32_t first_drc_index = 0x80000000;

std::string_view to_string(dlpar::action what) {
  return what == dlpar::action::add ? "add" : "remove";
}

// --- the file: RESOURCE ACTION ID_TYPE ID...
// --------------------------------------------

// strsep() at single blanks, as the kernel reads it: two in a row are an empty word.
class words {
 public:
  explicit words(std::string_view text) : rest_{text} {}
  std::string_view next() {
    const auto blank = std::min(rest_.find(' '), rest_.size());
    const std::string_view word = rest_.substr(0, blank);
    rest_.remove_prefix(std::min(blank + 1, rest_.size()));
    return word;
  }
  result<std::uint32_t> next_number() {
    const auto number = kstrtoull(next());
    if (!number || *number > UINT32_MAX) return fail(errc::invalid_argument);
    return static_cast<std::uint32_t>(*number);
  }

 private:
  std::string_view rest_;
};

result<> complain(kernel& k, std::string_view what) {
  k.printk(fmt::format("dlpar: {}", what), log_level::warning);
  return fail(errc::invalid_argument);
}

result<> run_request(dlpar& self, words request, task& by) {
  const std::string_view resource = request.next();
  if (resource == "cpu") return complain(self.k, "Invalid resource (2) specified");
  if (resource != "memory") return complain(self.k, "Invalid resource specified.");
  const std::string_view verb = request.next();
  if (verb != "add" && verb != "remove")
    return complain(self.k, "Invalid action specified.");
  const auto action = verb == "add" ? dlpar::action::add : dlpar::action::remove;

  const std::string_view id_type = request.next();
  if (id_type != "indexed-count" && id_type != "index" && id_type != "count")
    return complain(self.k, "Invalid id_type specified.");
  const auto first = request.next_number();
  if (!first)
    return complain(self.k, id_type == "index" ? "Invalid DRC Index specified."
                                               : "Invalid DRC count specified.");
  if (id_type == "count") return self.by_count(action, *first, by);
  if (id_type == "index") return self.by_index(action, *first, by);
  const auto index = request.next_number();
  if (!index) return complain(self.k, "Invalid DRC Index specified.");
  return self.by_indexed_count(action, *first, *index, by);
}

result<std::size_t> dlpar_store(kobject& object, std::string_view data, task& by) {
  auto& self = static_cast<dlpar&>(object);
  const std::string_view text = written_word(data);
  const auto done = run_request(self, words{text}, by);
  if (done) return data.size();
  self.k.printk(fmt::format("dlpar: Could not handle DLPAR request \"{}\"", text),
                log_level::warning);
  return fail(done.error());
}

result<std::string> dlpar_show(kobject&, task&) {
  return "memory,cpu\n";
}

constexpr attribute dlpar_attr{.name = "dlpar",
                               .mode = 0644,
                               .show = dlpar_show,
                               .store = dlpar_store,
                               .store_sleeps = true};

// Adding is possible where nothing is assigned; removing the other way round.
bool fits(dlpar::action what, const drmem_lmb& lmb) {
  return lmb.assigned == (what == dlpar::action::remove);
}

dlpar::action opposite(dlpar::action what) {
  return what == dlpar::action::add ? dlpar::action::remove : dlpar::action::add;
}

}  // namespace

dlpar::dlpar(kernel& kern) : k{kern} {
  (void)k.sysfs.create_file(*k.sysfs.make_path("kernel"), dlpar_attr, *this);
  guard hold{k.locks.device_hotplug_lock};
  find_lmbs();
}

// What the firmware's device tree says.
void dlpar::find_lmbs() {
  const std::uint64_t size = k.config.block_size;
  const auto lmb = [&](phys_addr start, int nid,
                       bool assigned) REQUIRES(k.locks.device_hotplug_lock) {
    const auto index = first_drc_index + static_cast<std::uint32_t>(start.value / size);
    lmbs_.push_back({index, {start, size}, nid, assigned});
  };
  const auto map = boot_memory_map(k.config);
  for (const boot_range& part : map)
    for (phys_addr at = part.range.start; at < part.range.end(); at = at + size)
      lmb(at, part.nid, true);
  phys_addr spare = std::max(map.back().range.end(), phys_addr{4 * GiB});
  for (std::size_t left = lmbs_.size(), i = 0; i < left; ++i, spare = spare + size)
    if (spare.value + size <= k.config.max_memory) lmb(spare, lmbs_[i].nid, false);
}

result<> dlpar::add_lmb(drmem_lmb& lmb, task& by) {
  if (lmb.assigned) return fail(errc::invalid_argument);
  if (auto ok = add_memory(k, lmb.nid, lmb.range); !ok) return ok;
  const auto blocks = memory_blocks_in(k, lmb.range);
  const auto online = device_online(*blocks.front(), by);  // or so already, by policy
  if (!online) {
    (void)remove_memory(k, lmb.range);
    return fail(online.error());
  }
  lmb.assigned = true;
  return {};
}

result<> dlpar::remove_lmb(drmem_lmb& lmb, task& by) {
  const auto blocks = memory_blocks_in(k, lmb.range);
  if (!lmb.assigned || blocks.empty()) return fail(errc::invalid_argument);
  const auto offline = device_offline(*blocks.front(), by);
  if (!offline) return fail(offline.error());
  if (auto ok = remove_memory(k, lmb.range); !ok) return ok;
  lmb.assigned = false;
  return {};
}

result<> dlpar::change(action what, drmem_lmb& lmb, task& by) {
  return what == action::add ? add_lmb(lmb, by) : remove_lmb(lmb, by);
}

result<> dlpar::finish(action what, bool all, task& by) {
  if (!all)
    k.printk(fmt::format(
                 "pseries-hotplug-mem: Memory hot-{} failed, {}", to_string(what),
                 what == action::add ? "removing any added LMBs" : "adding LMB's back"),
             log_level::warning);
  for (drmem_lmb& lmb : lmbs_) {
    if (!std::exchange(lmb.reserved, false)) continue;
    if (all)
      k.printk(
          fmt::format("pseries-hotplug-mem: Memory at {:x} (drc index {:x}) was "
                      "hot-{}",
                      lmb.range.start.value, lmb.drc_index,
                      what == action::add ? "added" : "removed"));
    else if (!change(opposite(what), lmb, by))
      k.printk(fmt::format("pseries-hotplug-mem: Failed to {} LMB, drc index {:x}",
                           to_string(opposite(what)), lmb.drc_index),
               log_level::warning);
  }
  if (!all) return fail(errc::invalid_argument);
  return {};
}

result<> dlpar::by_count(action what, std::uint32_t count, task& by) {
  guard hold{k.locks.device_hotplug_lock};
  k.printk(fmt::format("pseries-hotplug-mem: Attempting to hot-{} {} LMB(s)",
                       to_string(what), count));
  const auto available = static_cast<std::size_t>(
      std::ranges::count_if(lmbs_, [&](const auto& lmb) { return fits(what, lmb); }));
  if (count == 0 || available < count) return fail(errc::invalid_argument);
  // Whichever can be had, lowest first.
  std::uint32_t done = 0;
  for (drmem_lmb& lmb : lmbs_) {
    if (done == count || by.signal_pending()) break;
    if (!fits(what, lmb) || !change(what, lmb, by)) continue;
    lmb.reserved = true;
    ++done;
  }
  return finish(what, done == count, by);
}

result<> dlpar::by_index(action what, std::uint32_t drc_index, task& by) {
  guard hold{k.locks.device_hotplug_lock};
  const auto lmb = std::ranges::find(lmbs_, drc_index, &drmem_lmb::drc_index);
  if (lmb == lmbs_.end()) return fail(errc::invalid_argument);
  if (auto ok = change(what, *lmb, by); !ok) {
    k.printk(fmt::format("pseries-hotplug-mem: Failed to hot-{} memory, drc index {:x}",
                         to_string(what), drc_index));
    return ok;
  }
  lmb->reserved = true;
  return finish(what, true, by);
}

// Those of the row that are as wanted already are left alone.
result<> dlpar::by_indexed_count(action what, std::uint32_t count,
                                 std::uint32_t drc_index, task& by) {
  guard hold{k.locks.device_hotplug_lock};
  k.printk(fmt::format("pseries-hotplug-mem: Attempting to hot-{} {} LMB(s) at {:x}",
                       to_string(what), count, drc_index));
  const auto first = std::ranges::find(lmbs_, drc_index, &drmem_lmb::drc_index);
  if (count == 0 || static_cast<std::size_t>(lmbs_.end() - first) < count)
    return fail(errc::invalid_argument);
  for (drmem_lmb& lmb : std::span{first, count}) {
    if (!fits(what, lmb)) continue;
    if (!change(what, lmb, by)) return finish(what, false, by);
    lmb.reserved = true;
  }
  return finish(what, true, by);
}

}  // namespace memhp
