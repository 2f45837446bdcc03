#include "locks/stack_store.h"

#include <algorithm>

namespace memhp {

unsigned stack_store::add(const stack_trace& trace) {
  std::uint64_t hash = trace.frames().size();
  for (const stack_frame& frame : trace.frames())
    hash = (hash ^ reinterpret_cast<std::uintptr_t>(frame.ip)) * 0x9E3779B97F4A7C15;
  std::vector<unsigned>& alike = by_hash_[hash];
  for (const unsigned number : alike)
    if (std::ranges::equal(frames_of(traces_[number]), trace.frames(), {}, {},
                           &stack_frame::ip))
      return number;
  const auto number = static_cast<unsigned>(traces_.size());
  traces_.push_back({.first = frames_.size(), .count = trace.frames().size()});
  for (const stack_frame& frame : trace.frames()) frames_.push_back(frame.ip);
  alike.push_back(number);
  return number;
}

stack_trace stack_store::at(unsigned number) const {
  stack_trace trace;
  for (const void* ip : frames_of(traces_[number])) trace.add({.ip = ip});
  return trace;
}

void stack_store::clear() {
  frames_.clear();
  traces_.clear();
  by_hash_.clear();
}

}  // namespace memhp
