#include "emu/node_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include "emu/cpu_device.h"
#include "emu/hugetlb.h"
#include "emu/memory_device.h"
#include "emu/node_meminfo.h"

namespace memhp {
namespace {

node_device& to_node(kobject& object) {
  return static_cast<node_device&>(object);
}
node_subsystem& to_subsystem(kobject& object) {
  return static_cast<node_subsystem&>(object);
}

// --- nodeN/ --------------------------------------------------------------------------

result<std::string> meminfo_show(kobject& object, task&) {
  return node_meminfo(to_node(object));
}
result<std::string> vmstat_show(kobject& object, task&) {
  return node_vmstat(to_node(object));
}
result<std::string> numastat_show(kobject& object, task&) {
  return node_numastat(to_node(object));
}
result<std::string> cpulist_show(kobject& object, task&) {
  const node_device& node = to_node(object);
  return format_list(node.k.cpus.online_among(node.data.cpus)) + "\n";
}
result<std::string> cpumap_show(kobject& object, task&) {
  const node_device& node = to_node(object);
  return format_mask(node.k.cpus.online_among(node.data.cpus), node.k.cpu->count()) +
         "\n";
}

// To every online node, in order.
result<std::string> distance_show(kobject& object, task&) {
  const node_device& node = to_node(object);
  const int from = node.data.nid;
  std::string text;
  for (std::size_t to = 0; to < node.k.nodes.size(); ++to)
    if (node.k.nodes[to]->online)
      text += fmt::format("{}{}", text.empty() ? "" : " ",
                          node.k.topology.distance(from, static_cast<int>(to)));
  return text + "\n";
}

result<std::size_t> compact_store(kobject&, std::string_view data, task&) {
  return data.size();  // nothing is ever fragmented
}

constexpr std::array node_attrs = {
    attribute{.name = "cpumap", .mode = 0444, .show = cpumap_show},
    attribute{.name = "cpulist", .mode = 0444, .show = cpulist_show},
    attribute{.name = "meminfo", .mode = 0444, .show = meminfo_show},
    attribute{.name = "numastat", .mode = 0444, .show = numastat_show},
    attribute{.name = "distance", .mode = 0444, .show = distance_show},
    attribute{.name = "vmstat", .mode = 0444, .show = vmstat_show},
    attribute{.name = "compact", .mode = 0200, .store = compact_store},
};
constexpr auto node_attr_list = addresses(node_attrs);

// --- node/ ---------------------------------------------------------------------------

// The list of nodes for which `holds` is true, as one line.
std::string node_list(kernel& k, const std::function<bool(const pglist_data&)>& holds) {
  std::vector<unsigned> numbers;
  for (const auto& node : k.nodes)
    if (holds(*node)) numbers.push_back(static_cast<unsigned>(node->nid));
  return format_list(numbers) + "\n";
}

result<std::string> online_show(kobject& object, task&) {
  return node_list(to_subsystem(object).k, [](const auto& n) { return n.online.load(); });
}
result<std::string> possible_show(kobject& object, task&) {
  return node_list(to_subsystem(object).k, [](const auto&) { return true; });
}
result<std::string> has_cpu_show(kobject& object, task&) {
  kernel& k = to_subsystem(object).k;
  return node_list(k,
                   [&](const auto& n) { return !k.cpus.online_among(n.cpus).empty(); });
}
result<std::string> has_memory_show(kobject& object, task&) {
  return node_list(to_subsystem(object).k, [](const auto& n) { return n.has_memory(); });
}
result<std::string> has_normal_memory_show(kobject& object, task&) {
  return node_list(to_subsystem(object).k,
                   [](const auto& n) { return n.has_normal_memory(); });
}
result<std::string> has_generic_initiator_show(kobject&, task&) {
  return "\n";
}

constexpr std::array node_state_attrs = {
    attribute{.name = "online", .mode = 0444, .show = online_show},
    attribute{.name = "possible", .mode = 0444, .show = possible_show},
    attribute{.name = "has_memory", .mode = 0444, .show = has_memory_show},
    attribute{.name = "has_normal_memory", .mode = 0444, .show = has_normal_memory_show},
    attribute{.name = "has_cpu", .mode = 0444, .show = has_cpu_show},
    attribute{.name = "has_generic_initiator",
              .mode = 0444,
              .show = has_generic_initiator_show},
};
constexpr auto node_state_attr_list = addresses(node_state_attrs);

// Runs "3-5" together; `from` and `to` are inclusive.
void append_run(std::string& text, unsigned from, unsigned to) {
  text += fmt::format("{}{}", text.empty() ? "" : ",", from);
  if (to != from) text += fmt::format("-{}", to);
}

}  // namespace

std::string format_list(const std::vector<unsigned>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    append_run(text, numbers[i], numbers[last]);
    i = last + 1;
  }
  return text;
}

std::string format_mask(const std::vector<unsigned>& numbers, unsigned bits) {
  constexpr unsigned word_bits = 32;
  std::vector<std::uint32_t> words(
      std::max<unsigned>(1, (bits + word_bits - 1) / word_bits));
  for (const unsigned n : numbers)
    if (n / word_bits < words.size()) words[n / word_bits] |= 1U << (n % word_bits);

  // The highest word is as wide as the bits it has, the others are eight digits.
  const unsigned top_bits = bits % word_bits == 0 ? word_bits : bits % word_bits;
  std::string text = fmt::format("{:0{}x}", words.back(), (top_bits + 3) / 4);
  for (auto word = words.rbegin() + 1; word != words.rend(); ++word)
    text += fmt::format(",{:08x}", *word);
  return text;
}

node_device::node_device(kernel& kern, const bus_type& on, pglist_data& pgdat)
    : device{kern, &on, fmt::format("node{}", pgdat.nid)}, data{pgdat} {}

node_subsystem::node_subsystem(kernel& kern)
    : device{kern, nullptr, "node"},
      node_bus{bus_register(kern, "node")},
      devices(kern.nodes.size()) {
  device_add(*this, *k.sysfs.make_path("devices/system"), node_state_attr_list);
}

bool try_online_node(kernel& k, int nid) {
  return k.nodes[static_cast<std::size_t>(nid)]->online.exchange(true);
}

void register_node(kernel& k, int nid) {
  auto& slot = k.node->devices[static_cast<std::size_t>(nid)];
  slot = std::make_unique<node_device>(k, k.node->node_bus,
                                       *k.nodes[static_cast<std::size_t>(nid)]);
  device_add(*slot, *k.node->dir, node_attr_list);
  // The group of the CPU's own files; without SGX there is none to show.
  (void)k.sysfs.create_dir(*slot->dir, "x86", slot.get());
  add_hugepage_files(*slot);
  link_cpus_to_node(k, *slot);
}

void try_offline_node(kernel& k, int nid) {
  pglist_data& data = *k.nodes[static_cast<std::size_t>(nid)];
  auto& slot = k.node->devices[static_cast<std::size_t>(nid)];
  if (!data.cpus.empty() || data.nr_blocks != 0) return;
  data.online = false;
  if (!slot) return;
  device_del(*slot);
  slot.reset();
}

void link_block_to_node(kernel& k, memory_block_device& block) {
  node_device& node = *k.node->devices[static_cast<std::size_t>(block.block.nid)];
  ++node.data.nr_blocks;
  (void)k.sysfs.create_link(*node.dir, block.name, *block.dir);
  (void)k.sysfs.create_link(*block.dir, node.name, *node.dir);
}

void unlink_block_from_node(kernel& k, memory_block_device& block) {
  node_device& node = *k.node->devices[static_cast<std::size_t>(block.block.nid)];
  --node.data.nr_blocks;
  k.sysfs.remove_by_name(*node.dir, block.name);
  k.sysfs.remove_by_name(*block.dir, node.name);
}

}  // namespace memhp
