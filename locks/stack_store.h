// Keeps stack traces, each distinct one once, by number.
//
// Thread safety: none.
// Mirrors save_trace() (kernel/locking/lockdep.c, 6.1).
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "locks/stack_trace.h"

namespace memhp {

class stack_store {
 public:
  // The number of this trace, from 0. Frames are kept by address.
  unsigned add(const stack_trace& trace);
  stack_trace at(unsigned number) const;

  std::size_t size() const { return traces_.size(); }
  std::size_t entries() const { return frames_.size(); }  // frames kept
  std::size_t hash_chains() const { return by_hash_.size(); }
  void clear();

 private:
  struct slice {
    std::size_t first;
    std::size_t count;
  };
  std::span<const void* const> frames_of(const slice& part) const {
    return std::span{frames_}.subspan(part.first, part.count);
  }

  std::vector<const void*> frames_;
  std::vector<slice> traces_;
  std::unordered_map<std::uint64_t, std::vector<unsigned>> by_hash_;
};

}  // namespace memhp
