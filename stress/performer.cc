#include "stress/performer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace memhp::stress {
namespace {

constexpr std::size_t most_plugged = 8;
constexpr std::uint32_t caches_each = 4;

std::string file_of(std::uint64_t id, std::string_view attribute) {
  return fmt::format("{}/memory{}/{}", memory_dir, id, attribute);
}

outcome result_of(int error) {
  return {.error = error, .issued = error != ECANCELED};
}

request write_to(std::string path, std::string word) {
  return {.what = request::kind::write, .path = std::move(path), .text = std::move(word)};
}
request read_of(std::string path) {
  return {.what = request::kind::read, .path = std::move(path)};
}
request stat_of(std::string path) {
  return {.what = request::kind::stat, .path = std::move(path)};
}
request list_of(std::string path) {
  return {.what = request::kind::list, .path = std::move(path)};
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> allowed) {
  return std::ranges::find(allowed, text) != allowed.end();
}

bool are_zones(std::string_view text) {
  if (!text.ends_with('\n') || text.size() < 2) return false;
  std::string_view rest = text.substr(0, text.size() - 1);
  while (!rest.empty()) {
    const std::size_t at = std::min(rest.find(' '), rest.size());
    if (!is_one_of(rest.substr(0, at), {"none", "DMA", "DMA32", "Normal", "Movable"}))
      return false;
    rest.remove_prefix(std::min(at + 1, rest.size()));
  }
  return true;
}

// What `attribute` of block `id` may say.
bool is_plausible(std::string_view attribute, std::uint64_t id, std::string_view text) {
  if (attribute == "state")
    return is_one_of(text, {"online\n", "offline\n", "going-offline\n"});
  if (attribute == "online") return is_one_of(text, {"0\n", "1\n"});
  if (attribute == "removable") return text == "1\n" || text == "0\n";
  if (attribute == "phys_index") return text == fmt::format("{:08x}\n", id);
  if (attribute == "phys_device") return text == "0\n";
  return attribute != "valid_zones" || are_zones(text);
}

}  // namespace

steps performer::perform(const call& what) {
  using enum operation;
  switch (what.op) {
    case online:
    case online_kernel:
    case online_movable:
    case offline: return write_state(what.target, to_string(what.op));
    case switch_on: return store(file_of(what.target, "online"), "1");
    case switch_off: return store(file_of(what.target, "online"), "0");
    case garbage: {
      constexpr std::array<std::string_view, 5> words = {"going-offline", "online\n\n",
                                                         " online", "ONLINE", "on"};
      return write_state(what.target, words[what.variant % words.size()]);
    }
    case probe:
      return store(fmt::format("{}/probe", memory_dir),
                   fmt::format("{:#x}", what.target * sys_.block_size));
    case remove:
      if (!sys_.has_remove) return nothing();
      return store(fmt::format("{}/remove_block", debug_dir),
                   fmt::format("{}", what.target));
    case plug:
    case eject: return plug_or_eject(what);
    case unbind:
    case bind: return rebind(what);
    case read: return read_attribute(what);
    case list: return list_blocks();
    case scan: return scan_blocks();
    case hold: return hold_call(what);
    case cpu_down:
    case cpu_up: return switch_cpu(what);
    case cache_create:
    case cache_destroy:
    case cache_tune: return cache(what);
    case veto: return veto_changes(what.variant);
    case interrupt:
    case past_last: break;
  }
  return nothing();
}

steps performer::nothing() {
  co_return outcome{.issued = false};
}

steps performer::store(std::string path, std::string word) {
  const answer got = co_await write_to(std::move(path), std::move(word));
  co_return result_of(got.error);
}

// A kept file that another call of this worker uses is left alone.
steps performer::write_state(std::uint64_t id, std::string_view word) {
  request next = write_to(file_of(id, "state"), std::string{word});
  const std::size_t slot = states + id % (kept_files / 2);
  kept_file& file = files_[slot];
  const bool kept = how_ == state_files::kept && !file.busy;
  if (kept) {
    next.kept = slot;
    next.reopen = !file.open || file.id != id;
    file = {.id = id, .open = true, .busy = true};
  }
  const answer got = co_await std::move(next);
  if (kept) {
    file.busy = false;
    file.open = got.opened && got.error != ENODEV;
  }
  outcome done = result_of(got.error);
  if (got.error == 0 && got.size != word.size())
    done.complaint = fmt::format("write of {} bytes returned {}", word.size(), got.size);
  co_return done;
}

steps performer::read_attribute(call what) {
  constexpr std::array<std::string_view, 7> attributes = {
      "state",      "online",      "valid_zones", "removable",
      "phys_index", "phys_device", "uevent"};
  const std::string_view attribute = attributes[what.variant % attributes.size()];
  const answer got = co_await read_of(file_of(what.target, attribute));
  outcome done = result_of(got.error);
  if (got.error == 0 && !is_plausible(attribute, what.target, got.text))
    done.complaint = fmt::format("{} read '{}'", attribute, got.text);
  co_return done;
}

// Names that are there all the time must be in every listing, and none twice.
steps performer::list_blocks() const {
  outcome done;
  const answer found = co_await list_of(memory_dir);
  const std::vector<std::string>& names = found.names;
  if (std::ranges::adjacent_find(names) != names.end())
    done.complaint = "readdir listed a name twice: " + *std::ranges::adjacent_find(names);
  for (const std::string& name : names) {
    const answer got = co_await stat_of(fmt::format("{}/{}", memory_dir, name));
    if (got.error != 0 && got.error != ENOENT && got.error != ECANCELED)
      done.error = got.error;
  }
  if (sys_.dax.empty())
    for (const block_at_start& block : sys_.blocks)
      if (!std::ranges::binary_search(names, fmt::format("memory{}", block.id)))
        done.complaint = fmt::format("readdir missed memory{}", block.id);
  co_return done;
}

// What lsmem opens and reads, in its order.
steps performer::scan_blocks() {
  constexpr std::array<std::string_view, 3> attributes = {"removable", "state",
                                                          "valid_zones"};
  outcome done;
  const answer blocks = co_await list_of(memory_dir);
  for (const std::string& name : blocks.names) {
    const auto id = block_of_name(name);
    if (!id) continue;
    for (const std::string_view attribute : attributes) {
      const answer got = co_await read_of(file_of(*id, attribute));
      if (got.error == ENOENT || got.error == ENODEV) break;
      if (got.error != 0 && got.error != ECANCELED) done.error = got.error;
      if (got.error == 0 && !is_plausible(attribute, *id, got.text))
        done.complaint = fmt::format("{}/{} read '{}'", name, attribute, got.text);
    }
    co_await list_of(fmt::format("{}/{}", memory_dir, name));
  }
  co_return done;
}

// A file kept open across the removal of its block: once it has answered ENODEV it stays
// dead, whatever comes to bear the name.
steps performer::hold_call(call what) {
  const std::size_t slot = held + what.target % (kept_files / 2);
  kept_file& file = files_[slot];
  if (file.busy) co_return outcome{.issued = false};
  request next = read_of(file_of(what.target, "state"));
  next.kept = slot;
  next.reopen = !file.open || file.id != what.target || what.variant % 64 == 0;
  if (next.reopen) file = {.id = what.target, .open = true};
  file.busy = true;
  bool gone = false;
  if (!next.reopen && what.variant % 4 == 1) {
    const answer there = co_await stat_of(next.path);
    gone = there.error == ENOENT;
  }
  const answer got = co_await std::move(next);
  file.busy = false;
  file.open = got.opened;
  outcome done = result_of(got.error);
  if (gone && got.error == 0)
    done.complaint = fmt::format("memory{} is gone, but its open file answers", file.id);
  if (file.dead && got.error == 0)
    done.complaint = fmt::format("a file of the removed memory{} answers again", file.id);
  file.dead = file.dead || (got.opened && got.error == ENODEV);
  co_return done;
}

// To and from the slots that had no DIMM at the start.
steps performer::plug_or_eject(call what) const {
  const answer found = co_await list_of(dimm_dir);
  std::vector<std::string> plugged;
  for (const std::string& name : found.names) {
    if (!name.starts_with(dimm_prefix) ||
        std::ranges::find(sys_.slots, name) != sys_.slots.end())
      continue;
    const answer status = co_await read_of(fmt::format("{}/{}/status", dimm_dir, name));
    if (status.text != "0\n") plugged.push_back(name);
  }
  answer got;
  if (what.op == operation::plug) {
    if (!sys_.has_remove || plugged.size() >= most_plugged)
      co_return outcome{.issued = false};
    got = co_await write_to(fmt::format("{}/plug_dimm", debug_dir),
                            fmt::format("size={} node=0", sys_.block_size));
  } else {
    if (plugged.empty()) co_return outcome{.issued = false};
    got = co_await write_to(
        fmt::format("{}/{}/eject", dimm_dir, plugged[what.variant % plugged.size()]),
        "1");
  }
  co_return result_of(got.error);
}

// Half of the calls end the vetoes.
steps performer::veto_changes(std::uint32_t variant) {
  constexpr std::array<const char*, 6> errors = {"0", "-12", "0", "-16", "0", "-1"};
  const auto* const event = variant / errors.size() % 2 == 0 ? "ONLINE" : "OFFLINE";
  return store(fmt::format("{}/MEM_GOING_{}/error", notifier_error_dir, event),
               errors[variant % errors.size()]);
}

steps performer::rebind(call what) const {
  if (sys_.dax.empty()) return nothing();
  return store(fmt::format("bus/dax/drivers/kmem/{}", to_string(what.op)),
               sys_.dax[what.variant % sys_.dax.size()]);
}

steps performer::switch_cpu(call what) const {
  if (sys_.cpus.empty()) return nothing();
  return store(fmt::format("devices/system/cpu/cpu{}/online",
                           sys_.cpus[what.variant % sys_.cpus.size()]),
               what.op == operation::cpu_up ? "1" : "0");
}

steps performer::cache(call what) const {
  if (!sys_.has_remove) return nothing();
  const std::string name =
      fmt::format("stress_{}_{}", worker_, what.variant % caches_each);
  if (what.op == operation::cache_tune)
    return store(fmt::format("kernel/slab/{}/min_partial", name), "5");
  if (what.op == operation::cache_destroy)
    return store(fmt::format("{}/kmem_cache_destroy", debug_dir), name);
  return store(fmt::format("{}/kmem_cache_create", debug_dir),
               name + (what.variant % 64 < 16 ? " size=256 debug=U" : " size=256"));
}

}  // namespace memhp::stress
