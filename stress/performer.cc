#include "stress/performer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <iterator>
#include <string_view>

namespace memhp::stress {
namespace {

constexpr std::size_t most_plugged = 8;
constexpr std::uint32_t caches_each = 4;

std::string file_of(std::uint64_t id, std::string_view attribute) {
  return fmt::format("{}/memory{}/{}", memory_dir, id, attribute);
}

outcome result_of(int error) {
  return {.error = error};
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> allowed) {
  return std::ranges::find(allowed, text) != allowed.end();
}

// What `attribute` of block `id` may say.
bool is_plausible(std::string_view attribute, std::uint64_t id, std::string_view text) {
  if (attribute == "state")
    return is_one_of(text, {"online\n", "offline\n", "going-offline\n"});
  if (attribute == "online") return is_one_of(text, {"0\n", "1\n"});
  if (attribute == "removable") return text == "1\n" || text == "0\n";
  if (attribute == "phys_index") return text == fmt::format("{:08x}\n", id);
  if (attribute == "phys_device") return text == "0\n";
  if (attribute == "valid_zones") {
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
  return true;
}

}  // namespace

void writer_threads::enter(std::size_t worker) {
  const std::lock_guard hold{lock_};
  threads_[worker] = pthread_self();
}

void writer_threads::leave(std::size_t worker) {
  const std::lock_guard hold{lock_};
  threads_[worker].reset();
}

void writer_threads::interrupt(std::size_t worker) {
  const std::lock_guard hold{lock_};
  if (worker < threads_.size() && threads_[worker])
    pthread_kill(*threads_[worker], SIGUSR1);
}

outcome performer::perform(const call& what) {
  using enum operation;
  switch (what.op) {
    case online:
    case online_kernel:
    case online_movable:
    case offline: return write_state(what.target, to_string(what.op));
    case switch_on: return result_of(sys_.write(file_of(what.target, "online"), "1"));
    case switch_off: return result_of(sys_.write(file_of(what.target, "online"), "0"));
    case garbage: {
      constexpr std::array<std::string_view, 5> words = {"going-offline", "online\n\n",
                                                         " online", "ONLINE", "on"};
      return write_state(what.target, words[what.variant % words.size()]);
    }
    case probe:
      return result_of(sys_.write(fmt::format("{}/probe", memory_dir),
                                  fmt::format("{:#x}", what.target * sys_.block_size)));
    case remove:
      if (!sys_.has_remove) return {.issued = false};
      return result_of(sys_.write(fmt::format("{}/remove_block", debug_dir),
                                  fmt::format("{}", what.target)));
    case plug: return plug_dimm();
    case eject: return eject_dimm(what.variant);
    case unbind:
    case bind: return rebind(what.op, what.variant);
    case read: return read_attribute(what);
    case list: return list_blocks();
    case scan: return scan_blocks();
    case hold: return hold_call(what);
    case cpu_down:
    case cpu_up:
      if (sys_.cpus.empty()) return {.issued = false};
      return result_of(sys_.write(fmt::format("devices/system/cpu/cpu{}/online",
                                              sys_.cpus[what.variant % sys_.cpus.size()]),
                                  what.op == cpu_up ? "1" : "0"));
    case cache_create:
    case cache_destroy:
    case cache_tune: return cache(what.op, what.variant);
    case veto: return veto_changes(what.variant);
    case interrupt: threads_.interrupt(what.target); return {};
  }
  return {.issued = false};
}

// Through a file that is kept open: a store costs one call.
outcome performer::write_state(std::uint64_t id, std::string_view word) {
  kept_fd& slot = states_[id % kept];
  if (!slot.fd || slot.id != id) {
    slot.fd = owned_fd{};
    slot.fd = owned_fd{
        openat(sys_.root.get(), file_of(id, "state").c_str(), O_WRONLY | O_CLOEXEC)};
    slot.id = id;
    if (!slot.fd) return result_of(errno);
  }
  const ssize_t size = pwrite(slot.fd.get(), word.data(), word.size(), 0);
  const int error = size < 0 ? errno : 0;
  if (error == ENODEV) slot.fd = owned_fd{};
  outcome done = result_of(error);
  if (error == 0 && static_cast<std::size_t>(size) != word.size())
    done.complaint = fmt::format("write of {} bytes returned {}", word.size(), size);
  return done;
}

outcome performer::read_attribute(const call& what) const {
  constexpr std::array<std::string_view, 7> attributes = {
      "state",      "online",      "valid_zones", "removable",
      "phys_index", "phys_device", "uevent"};
  const std::string_view attribute = attributes[what.variant % attributes.size()];
  outcome done;
  const std::string text = sys_.read(file_of(what.target, attribute), done.error);
  if (done.error == 0 && !is_plausible(attribute, what.target, text))
    done.complaint = fmt::format("{} read '{}'", attribute, text);
  return done;
}

// Names that are there all the time must be in every listing, and none twice.
outcome performer::list_blocks() const {
  outcome done;
  const std::vector<std::string> names = sys_.list(memory_dir);
  if (std::ranges::adjacent_find(names) != names.end())
    done.complaint = "readdir listed a name twice: " + *std::ranges::adjacent_find(names);
  struct stat st{};
  for (const std::string& name : names) {
    const std::string path = fmt::format("{}/{}", memory_dir, name);
    if (fstatat(sys_.root.get(), path.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 &&
        errno != ENOENT)
      done.error = errno;
  }
  if (sys_.dax.empty())
    for (const block_at_start& block : sys_.blocks)
      if (!std::ranges::binary_search(names, fmt::format("memory{}", block.id)))
        done.complaint = fmt::format("readdir missed memory{}", block.id);
  return done;
}

// What lsmem opens and reads, in its order.
outcome performer::scan_blocks() const {
  outcome done;
  for (const std::uint64_t id : block_ids(sys_)) {
    for (const std::string_view attribute : {"removable", "state", "valid_zones"}) {
      int error = 0;
      const std::string text = sys_.read(file_of(id, attribute), error);
      if (error == ENOENT || error == ENODEV) break;
      if (error != 0) done.error = error;
      if (error == 0 && !is_plausible(attribute, id, text))
        done.complaint = fmt::format("memory{}/{} read '{}'", id, attribute, text);
    }
    (void)sys_.list(fmt::format("{}/memory{}", memory_dir, id));
  }
  return done;
}

// A file kept open across the removal of its block: once it has answered ENODEV it stays
// dead, whatever comes to bear the name.
outcome performer::hold_call(const call& what) {
  kept_fd& slot = held_[what.target % kept];
  if (!slot.fd || slot.id != what.target || what.variant % 64 == 0) {
    slot = kept_fd{};
    slot.fd = owned_fd{openat(sys_.root.get(), file_of(what.target, "state").c_str(),
                              O_RDONLY | O_CLOEXEC)};
    slot.id = what.target;
    if (!slot.fd) return result_of(errno);
  }
  std::array<char, 32> text{};
  const bool gone =
      what.variant % 4 == 1 &&
      faccessat(sys_.root.get(), file_of(slot.id, "state").c_str(), F_OK, 0) != 0 &&
      errno == ENOENT;
  const ssize_t size = pread(slot.fd.get(), text.data(), text.size(), 0);
  outcome done = result_of(size < 0 ? errno : 0);
  if (gone && done.error == 0)
    done.complaint = fmt::format("memory{} is gone, but its open file answers", slot.id);
  if (slot.dead && done.error == 0)
    done.complaint = fmt::format("a file of the removed memory{} answers again", slot.id);
  slot.dead = slot.dead || done.error == ENODEV;
  return done;
}

std::vector<std::string> performer::plugged_slots() const {
  std::vector<std::string> plugged = present_dimms(sys_);
  std::erase_if(plugged, [&](const std::string& name) {
    return std::ranges::find(sys_.slots, name) != sys_.slots.end();
  });
  return plugged;
}

outcome performer::plug_dimm() {
  if (!sys_.has_remove || plugged_slots().size() >= most_plugged)
    return {.issued = false};
  return result_of(sys_.write(fmt::format("{}/plug_dimm", debug_dir),
                              fmt::format("size={} node=0", sys_.block_size)));
}

outcome performer::eject_dimm(std::uint32_t variant) const {
  const auto plugged = plugged_slots();
  if (plugged.empty()) return {.issued = false};
  return result_of(sys_.write(
      fmt::format("{}/{}/eject", dimm_dir, plugged[variant % plugged.size()]), "1"));
}

// Half of the calls end the vetoes.
outcome performer::veto_changes(std::uint32_t variant) const {
  constexpr std::array<std::string_view, 6> errors = {"0", "-12", "0", "-16", "0", "-1"};
  const auto event = variant / errors.size() % 2 == 0 ? "ONLINE" : "OFFLINE";
  return result_of(
      sys_.write(fmt::format("{}/MEM_GOING_{}/error", notifier_error_dir, event),
                 errors[variant % errors.size()]));
}

outcome performer::rebind(operation op, std::uint32_t variant) const {
  if (sys_.dax.empty()) return {.issued = false};
  return result_of(sys_.write(fmt::format("bus/dax/drivers/kmem/{}", to_string(op)),
                              sys_.dax[variant % sys_.dax.size()]));
}

outcome performer::cache(operation op, std::uint32_t variant) const {
  if (!sys_.has_remove) return {.issued = false};
  const std::string name = fmt::format("stress_{}_{}", worker_, variant % caches_each);
  if (op == operation::cache_tune)
    return result_of(sys_.write(fmt::format("kernel/slab/{}/min_partial", name), "5"));
  return op == operation::cache_create
             ? result_of(sys_.write(
                   fmt::format("{}/kmem_cache_create", debug_dir),
                   name + (variant % 64 < 16 ? " size=256 debug=U" : " size=256")))
             : result_of(
                   sys_.write(fmt::format("{}/kmem_cache_destroy", debug_dir), name));
}

}  // namespace memhp::stress
