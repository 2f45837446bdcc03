// Which step happened before which, and what was accessed without an order: vector
// clocks.
//
// Each task counts its releases; a lock hands the counts of those who gave it back to
// those who take it. Two accesses to a cell, one of them a write, with no such path from
// one to the other are a data race, found in any execution in which both happen, also if
// they were far apart in this one.
//
// Thread safety: none; used by one scheduler. Source: the happens-before relation of the
// C++ memory model, as far as the tracked locks make it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "locks/execution.h"

namespace memhp {

class vector_clock {
 public:
  std::uint32_t of(unsigned task) const {
    return task < counts_.size() ? counts_[task] : 0;
  }
  void set(unsigned task, std::uint32_t count) {
    if (task >= counts_.size()) counts_.resize(task + 1);
    counts_[task] = count;
  }
  void tick(unsigned task) { set(task, of(task) + 1); }
  void join(const vector_clock& other) {
    if (counts_.size() < other.counts_.size()) counts_.resize(other.counts_.size());
    for (std::size_t i = 0; i < other.counts_.size(); ++i)
      if (counts_[i] < other.counts_[i]) counts_[i] = other.counts_[i];
  }
  unsigned tasks() const { return static_cast<unsigned>(counts_.size()); }

 private:
  std::vector<std::uint32_t> counts_;
};

// What one object passes on. Readers of a lock are not ordered among themselves: they
// take over from the writers only.
struct object_clock {
  vector_clock writers;
  vector_clock readers;
};

// After `op` succeeded: moves what is known between the task and the object.
void pass_on(lock_op op, unsigned task, vector_clock& of_task, object_clock& of_object);

// The accesses to one cell that later ones must be ordered after.
class cell_history {
 public:
  // Null, or the number of the task whose access is not ordered before this one.
  std::optional<unsigned> access(unsigned task, const vector_clock& now,
                                 execution::access how);

 private:
  static std::optional<unsigned> unordered(const vector_clock& before,
                                           const vector_clock& now);
  vector_clock writes_;
  vector_clock reads_;
};

}  // namespace memhp
