// Where the counters of all percpu locks lie: 16 bytes per lock and row.
//
// A cache line per lock and CPU would be 3.2 MiB for 100 locks on 256 CPUs. Here the
// pairs of many locks share lines, per row, so it is 400 KiB, and only rows that are used
// cost memory at all. Sharing is harmless: the pairs of one row are written by one CPU.
//
// Thread safety: any thread. Cost: a mutex and a scan of a bitmap per allocation.
// Mirrors the kernel's percpu allocator as far as percpu_rwsem needs it.
#pragma once

#include <cstddef>

namespace memhp {

class percpu_rw_semaphore;

// Takes a place for `owner`; aborts if there is no address space. The pair of row n is
// at the result + (n << percpu_row_shift). Its counts are not 0, but those of `acquired`
// and `released` are equal in sum.
std::byte* percpu_arena_take(percpu_rw_semaphore& owner);
void percpu_arena_give_back(std::byte* place);

}  // namespace memhp
