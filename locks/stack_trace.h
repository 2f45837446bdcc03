// Where a call came from: return addresses, cheap to take and turned into words only
// when somebody reads them.
//
// Taking a trace walks the unwind tables of the running code: a few microseconds, no
// memory from the heap, no lock of ours. Names come later from the dynamic symbols
// (dladdr) and, for functions that have none, from the symbol table of the program
// itself if it is not stripped. Without either a frame reads "program+0xOFFSET", which
// addr2line understands, so nobody has to link with -rdynamic.
//
// Thread safety: a trace belongs to one thread at a time; taking and naming run on any
// number of threads.
// Mirrors kernel/stacktrace.c and the kernel's %pS (function+0xOFFSET/0xSIZE).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace memhp {

// One return address, or a name that the caller gives in its place: for frames that no
// program counter stands for, such as the steps of a scenario. The name must outlive the
// frame: a literal, or lock_class_key's.
struct stack_frame {
  const void* ip = nullptr;
  std::string_view name;

  friend bool operator==(const stack_frame&, const stack_frame&) = default;
};

class stack_trace {
 public:
  static constexpr std::size_t max_frames = 32;

  stack_trace() = default;
  explicit stack_trace(std::span<const stack_frame> frames) {
    for (const stack_frame& frame : frames) add(frame);
  }

  // The caller's own stack, innermost first, without the innermost `skip` callers.
  // Deeper frames than max_frames are left out. Not for signal handlers.
  [[gnu::noinline]] static stack_trace capture(std::size_t skip = 0);

  // Appends a frame; when full, does nothing.
  void add(const stack_frame& frame) {
    if (size_ < max_frames) frames_[size_++] = frame;
  }

  std::span<const stack_frame> frames() const { return {frames_.data(), size_}; }
  bool empty() const { return size_ == 0; }

 private:
  std::array<stack_frame, max_frames> frames_;
  std::size_t size_ = 0;
};

// "function+0xOFFSET/0xSIZE": the frame's given name if it has one, else what is known
// about its address. Takes tens of microseconds for a new address.
std::string symbolize(const stack_frame& frame);

// A demangled C++ signature cut down to what identifies a function to its readers: no
// parameters, no return type, neither "memhp::" nor "(anonymous namespace)::".
std::string short_function_name(std::string_view demangled);

}  // namespace memhp
