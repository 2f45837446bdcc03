// A stack, taken cheaply and put into words later.
//
// Thread safety: values; describe() may be called by any thread.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace memhp {

class stack_trace {
 public:
  static constexpr std::size_t max_depth = 24;

  stack_trace() = default;
  // The stack of the caller, innermost first, without its first `skip` frames. A few
  // microseconds.
  static stack_trace here(std::size_t skip = 0);

  std::span<void* const> frames() const { return {frames_.data(), depth_}; }
  bool empty() const { return depth_ == 0; }

  // One line a frame: "function+0x1a/0x90", without namespaces and arguments, as the
  // kernel prints a call trace; "0x7f..." where there is no symbol. Reads the symbol
  // tables of this process: milliseconds, and it allocates.
  std::vector<std::string> describe() const;

 private:
  std::array<void*, max_depth> frames_{};
  std::size_t depth_ = 0;
};

// One address in the same words.
std::string describe_address(const void* address);

}  // namespace memhp
