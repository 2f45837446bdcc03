// nodeN/hugepages/hugepages-2048kB: the node's pool of free huge pages. They lie in the
// node's online blocks, and vanish without a word when such a block goes offline.
//
// Thread safety: any thread; hugetlb_lock guards the pools. Mirrors mm/hugetlb.c (6.1).
#pragma once

#include "blocks/memory_block.h"
#include "emu/kernel.h"

namespace memhp {

class node_device;

inline constexpr std::uint64_t pages_per_huge_page = 512;

void add_hugepage_files(node_device& node);

// Takes the pool's pages out of a block that goes offline.
void dissolve_free_huge_pages(kernel& k, memory_block& block);

}  // namespace memhp
