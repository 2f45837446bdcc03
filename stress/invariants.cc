#include "stress/invariants.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <thread>

#include "stress/complaints.h"

namespace memhp::stress {
namespace {

constexpr std::uint64_t bytes_per_kb = 1024;

std::string dir_of(std::uint64_t id) {
  return fmt::format("{}/memory{}", memory_dir, id);
}

std::string line_of(const tree& sys, const std::string& file) {
  std::string text = sys.read(file);
  return text.substr(0, text.find('\n'));
}

std::vector<std::string> nodes_of(const tree& sys, const std::string& dir) {
  std::vector<std::string> nodes = sys.list(dir);
  std::erase_if(nodes, [](const std::string& name) {
    return !name.starts_with("node") || name.size() < 5 || name[4] < '0' || name[4] > '9';
  });
  return nodes;
}

std::uint64_t number_after(std::string_view text, std::string_view word) {
  const std::size_t at = text.find(word);
  if (at == std::string_view::npos) return 0;
  const char* from = text.data() + at + word.size();
  const char* const end = text.data() + text.size();
  while (from != end && *from == ' ') ++from;
  std::uint64_t value = 0;
  std::from_chars(from, end, value);
  return value;
}

std::size_t count_open_fds() {
  std::error_code ignored;
  std::size_t count = 0;
  for (const auto& each : std::filesystem::directory_iterator{"/proc/self/fd", ignored}) {
    (void)each;
    ++count;
  }
  return count;
}

class findings {
 public:
  template <class... Words>
  void add(fmt::format_string<Words...> text, Words&&... words) {
    all.push_back({.what = fmt::format(text, std::forward<Words>(words)...)});
  }
  std::vector<finding> all;
};

void check_block(const tree& sys, std::uint64_t id, findings& found) {
  const std::string dir = dir_of(id);
  const std::string state = line_of(sys, dir + "/state");
  const std::string online = line_of(sys, dir + "/online");
  const std::string zones = line_of(sys, dir + "/valid_zones");
  if (state != "online" && state != "offline")
    found.add("memory{}: state is '{}' although nobody works on it", id, state);
  if (online != (state == "online" ? "1" : "0"))
    found.add("memory{}: state is '{}' and online is '{}'", id, state, online);
  if (const std::string index = line_of(sys, dir + "/phys_index");
      index != fmt::format("{:08x}", id))
    found.add("memory{}: phys_index is '{}'", id, index);
  if (state == "online" && zones.find(' ') != std::string::npos)
    found.add("memory{}: online, but valid_zones is '{}'", id, zones);
  const auto nodes = nodes_of(sys, dir);
  if (nodes.size() != 1) found.add("memory{}: linked to {} nodes", id, nodes.size());
  for (const std::string& node : nodes)
    if (line_of(sys, fmt::format("{}/{}/memory{}/phys_index", node_dir, node, id)) !=
        fmt::format("{:08x}", id))
      found.add("memory{}: {} has no link back to it", id, node);
}

// Links of nodes to blocks that are not there.
void check_links(const tree& sys, const std::vector<std::uint64_t>& ids,
                 findings& found) {
  for (const std::string& node : nodes_of(sys, node_dir))
    for (const std::string& name : sys.list(fmt::format("{}/{}", node_dir, node))) {
      if (!name.starts_with("memory")) continue;
      std::uint64_t id = 0;
      const char* const end = name.data() + name.size();
      const auto [stop, error] = std::from_chars(name.data() + 6, end, id);
      if (error == std::errc{} && stop == end && !std::ranges::binary_search(ids, id))
        found.add("{}: link to {}, which is not there", node, name);
    }
}

void check_memory(const tree& sys, const tree_snapshot& start, findings& found) {
  if (line_of(sys, "module/memory_hotplug/parameters/memmap_on_memory") == "Y") return;
  const tree_snapshot now = snapshot_of(sys);
  const auto block_kb = static_cast<std::int64_t>(sys.block_size / bytes_per_kb);
  const auto blocks = static_cast<std::int64_t>(now.online_blocks - start.online_blocks);
  const auto grown = static_cast<std::int64_t>(now.memory_kb - start.memory_kb);
  if (grown != blocks * block_kb)
    found.add("meminfo: {:+} kB since the start, but {:+} blocks of {} kB went online",
              grown, blocks, block_kb);
}

// The state that `block` had; 0 or the errno that stopped it.
int restore(const tree& sys, const block_at_start& block) {
  const std::string state = dir_of(block.id) + "/state";
  if (block.state == "offline")
    return line_of(sys, state) == "offline" ? 0 : sys.write(state, "offline");
  if (line_of(sys, state) == "online") {
    const std::string zone = line_of(sys, dir_of(block.id) + "/valid_zones");
    if (zone == block.zone) return 0;
    if (const int error = sys.write(state, "offline")) return error;
  }
  return sys.write(state, block.zone == "Movable" ? "online_movable" : "online_kernel");
}

void remove_extra_dimms(const tree& sys, findings& found) {
  constexpr int tries = 500;
  constexpr int asked_every = 100;
  for (int i = 0; i < tries; ++i) {
    bool left = false;
    for (const std::string& slot : present_dimms(sys)) {
      if (std::ranges::find(sys.slots, slot) != sys.slots.end()) continue;
      left = true;
      if (i % asked_every == 0)
        (void)sys.write(fmt::format("{}/{}/eject", dimm_dir, slot), "1");
    }
    if (!left) return;
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
  found.add("a DIMM that the run plugged cannot be ejected");
}

void remove_probed(const tree& sys, const tree_snapshot& start, findings& found) {
  for (const std::uint64_t id : block_ids(sys)) {
    if (std::ranges::binary_search(start.ids, id)) continue;
    if (std::ranges::find(sys.probed, id) == sys.probed.end()) continue;
    if (line_of(sys, dir_of(id) + "/state") != "offline")
      (void)sys.write(dir_of(id) + "/state", "offline");
    if (!sys.has_remove) continue;
    if (const int error =
            sys.write(fmt::format("{}/remove_block", debug_dir), fmt::format("{}", id)))
      found.add("memory{}: cannot be removed: {}", id, errno_name(error));
  }
}

void destroy_caches(const tree& sys, findings& found) {
  for (const std::string& name : sys.list("kernel/slab"))
    if (name.starts_with("stress_"))
      if (const int error =
              sys.write(fmt::format("{}/kmem_cache_destroy", debug_dir), name))
        found.add("cache {}: cannot be destroyed: {}", name, errno_name(error));
}

}  // namespace

tree_snapshot snapshot_of(const tree& sys) {
  tree_snapshot now{.ids = block_ids(sys),
                    .open_fds = count_open_fds(),
                    .iomem = sys.read("proc/iomem")};
  for (const std::uint64_t id : now.ids)
    if (line_of(sys, dir_of(id) + "/state") == "online") ++now.online_blocks;
  for (const std::string& node : nodes_of(sys, node_dir))
    now.memory_kb +=
        number_after(sys.read(fmt::format("{}/{}/meminfo", node_dir, node)), "MemTotal:");
  const std::string messages = sys.read("proc/kmsg");
  const std::size_t last = messages.rfind('\n', messages.size() - 2);
  if (!messages.empty())
    now.last_message =
        number_after(
            std::string_view{messages}.substr(last == std::string::npos ? 0 : last),
            ",") +
        1;
  return now;
}

std::vector<finding> complaints_since(const tree& sys, const tree_snapshot& start) {
  return complaints_in(sys.read("proc/kmsg"), start.last_message);
}

std::vector<finding> check_invariants(const tree& sys, const tree_snapshot& start) {
  findings found;
  const auto ids = block_ids(sys);
  for (const std::uint64_t id : ids) check_block(sys, id, found);
  check_links(sys, ids, found);
  check_memory(sys, start, found);
  std::ranges::move(complaints_since(sys, start), std::back_inserter(found.all));
  if (const std::size_t fds = count_open_fds(); fds > start.open_fds)
    found.add("{} files are still open that were not at the start", fds - start.open_fds);
  return found.all;
}

std::vector<finding> bring_back(const tree& sys, const tree_snapshot& start) {
  findings found;
  for (const char* event : {"ONLINE", "OFFLINE"})
    (void)sys.write(fmt::format("{}/MEM_GOING_{}/error", notifier_error_dir, event), "0");
  destroy_caches(sys, found);
  for (const unsigned cpu : sys.cpus)
    (void)sys.write(fmt::format("devices/system/cpu/cpu{}/online", cpu), "1");
  for (const std::string& name : sys.dax)
    if (sys.list("bus/dax/drivers/kmem/" + name).empty())
      (void)sys.write("bus/dax/drivers/kmem/bind", name);
  remove_extra_dimms(sys, found);
  remove_probed(sys, start, found);
  for (const block_at_start& block : sys.blocks)
    if (const int error = restore(sys, block))
      found.add("memory{}: cannot go back to {} {}: {}", block.id, block.state,
                block.zone, errno_name(error));
  const auto ids = block_ids(sys);
  for (const std::uint64_t id : ids)
    if (!std::ranges::binary_search(start.ids, id))
      found.add("memory{}: is left over", id);
  for (const std::uint64_t id : start.ids)
    if (!std::ranges::binary_search(ids, id)) found.add("memory{}: is lost", id);
  const tree_snapshot now = snapshot_of(sys);
  if (found.all.empty() && now.memory_kb != start.memory_kb)
    found.add("meminfo: {} kB at the start, {} kB after everything was brought back",
              start.memory_kb, now.memory_kb);
  if (found.all.empty() && now.iomem != start.iomem)
    found.all.push_back({.what = "addresses are taken or free that were not at the start",
                         .report = now.iomem});
  return found.all;
}

}  // namespace memhp::stress
