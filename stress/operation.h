// What a stress worker can do to a tree, and what the tree may answer while others do
// the same: the oracle of `memhp stress`.
//
// The answers are those of a 6.1 kernel (drivers/base/memory.c, fs/kernfs/file.c,
// drivers/base/core.c), as recorded from real ones; each set holds what an operation may
// answer in any order of the others, and nothing else.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace memhp::stress {

enum class operation : std::uint8_t {
  online,          // "online" to a block's state
  online_kernel,   // "online_kernel"
  online_movable,  // "online_movable"
  offline,         // "offline"
  switch_on,       // "1" to a block's online
  switch_off,      // "0"
  garbage,         // a word that state does not know
  probe,           // a block's address to probe
  remove,          // a probed block to kernel/debug/memhp/remove_block
  plug,            // a DIMM of one block
  eject,           // "1" to the eject file of a DIMM that the run plugged
  unbind,          // a device of bus/dax to drivers/kmem/unbind
  bind,            // and back to drivers/kmem/bind
  read,            // one attribute of a block
  list,            // readdir and stat of the memory directory
  scan,            // what lsmem does
  hold,            // opens a block's state and keeps it, or reads one that is kept
  cpu_down,        // "0" to a CPU's online
  cpu_up,          // "1"
  cache_create,    // kernel/debug/memhp/kmem_cache_create
  cache_destroy,   // kernel/debug/memhp/kmem_cache_destroy
  veto,            // an error, or none, to a memory notifier of the kernel
  interrupt,       // a signal to a worker that may be writing
  cache_tune,      // a number to a file of a cache in kernel/slab
  past_last,
};
inline constexpr std::size_t operation_count =
    static_cast<std::size_t>(operation::past_last);

std::string_view to_string(operation op);
std::optional<operation> operation_from(std::string_view name);

// Whether `op` is about one block: what it did belongs to the history of that block.
bool is_about_block(operation op);

constexpr std::uint64_t errno_bit(int error) {
  return std::uint64_t{1} << error;
}

// What else is going on that excuses answers.
struct circumstances {
  bool signals = false;      // handled signals are sent to writers
  std::uint64_t vetoes = 0;  // errno_bit()s that notifiers veto with
  bool no_memory = false;    // the host refuses memory, or has too little
  bool rebinds = false;      // drivers leave blocks that were there at the start
};

// What a run excuses in which the operations are done for which `does` is true.
circumstances circumstances_of(const std::function<bool(operation)>& does);

// Whether `error` (an errno; 0 for success) is an answer that `op` may get.
bool may_answer(operation op, int error, const circumstances& now);

// Names such as "EBUSY"; "ok" for 0.
std::string errno_name(int error);

}  // namespace memhp::stress
