#include "emu/hugetlb.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "emu/memory_device.h"
#include "emu/node_device.h"
#include "emu/parse.h"
#include "locks/guards.h"

namespace memhp {
namespace {

node_device& to_node(kobject& object) {
  return static_cast<node_device&>(object);
}

std::uint64_t capacity(kernel& k, const memory_block& block) {
  if (block.state() != block_state::online) return 0;
  const std::uint64_t used = k.pages.count(block.range, page_flag::reserved) +
                             k.pages.count(block.range, page_flag::pinned);
  return (block.present_pages() - std::min(used, block.present_pages())) /
         pages_per_huge_page;
}

// Spreads `wanted` huge pages over the node's blocks from the highest address down, as
// far as they fit.
void set_pool(kernel& k, pglist_data& node, std::uint64_t wanted) {
  guard hold{k.hugetlb_lock};
  read_guard blocks{k.memory_blocks_lock};
  std::uint64_t given = 0;
  for (auto i = k.memory_blocks.rbegin(); i != k.memory_blocks.rend(); ++i) {
    memory_block& block = i->second->block;
    if (block.nid != node.nid) continue;
    block.huge_pages = std::min(wanted - given, capacity(k, block));
    given += block.huge_pages;
  }
  node.nr_hugepages = given;
}

result<std::string> nr_hugepages_show(kobject& object, task&) {
  return fmt::format("{}\n", to_node(object).data.nr_hugepages.load());
}

result<std::size_t> nr_hugepages_store(kobject& object, std::string_view data, task&) {
  const auto wanted = kstrtoull(data);
  if (!wanted) return fail(wanted.error());
  node_device& node = to_node(object);
  set_pool(node.k, node.data, *wanted);
  return data.size();
}

result<std::string> surplus_show(kobject&, task&) {
  return "0\n";
}

constexpr std::array hugepage_attrs = {
    attribute{.name = "nr_hugepages",
              .mode = 0644,
              .show = nr_hugepages_show,
              .store = nr_hugepages_store},
    attribute{.name = "free_hugepages", .mode = 0444, .show = nr_hugepages_show},
    attribute{.name = "surplus_hugepages", .mode = 0444, .show = surplus_show},
};

}  // namespace

void add_hugepage_files(node_device& node) {
  kernfs_root& sysfs = node.k.sysfs;
  auto top = sysfs.create_dir(*node.dir, "hugepages", &node);
  if (!top) return;
  auto dir = sysfs.create_dir(**top, "hugepages-2048kB", &node);
  if (!dir) return;
  for (const attribute& attr : hugepage_attrs) (void)sysfs.create_file(**dir, attr, node);
}

void dissolve_free_huge_pages(kernel& k, memory_block& block) {
  guard hold{k.hugetlb_lock};
  k.nodes[static_cast<std::size_t>(block.nid)]->nr_hugepages -= block.huge_pages;
  block.huge_pages = 0;
}

}  // namespace memhp
