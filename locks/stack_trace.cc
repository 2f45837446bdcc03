#include "locks/stack_trace.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <unwind.h>

#include <cstdlib>
#include <memory>

#include "locks/report_words.h"
#include "locks/symbol_table.h"

namespace memhp {
namespace {

// What is known about one address.
struct place {
  std::string function;      // demangled and short; empty if unknown
  std::uint64_t offset = 0;  // from the function's start, or from the file's
  std::uint64_t size = 0;    // the function's; 0 if unknown
  std::string file;          // base name of the program or library
};

std::string demangle(const char* mangled) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name{
      abi::__cxa_demangle(mangled, nullptr, nullptr, &status), &std::free};
  return short_function_name(status == 0 ? name.get() : mangled);
}

std::string base_name(const char* path) {
  const std::string_view whole = path != nullptr ? path : "";
  return std::string{whole.substr(whole.rfind('/') + 1)};
}

// The running program's own table, read when the first name is asked for.
const symbol_table& program_symbols() {
  static const symbol_table table{"/proc/self/exe"};
  return table;
}

// A return address points behind the call, which may be the last instruction of its
// function: the function is looked up one byte before it, as the kernel's %pB does.
place look_up(const void* ip) {
  const auto* const call_at = static_cast<const char*>(ip) - 1;
  const auto address = reinterpret_cast<std::uintptr_t>(ip);
  const auto call = address - 1;
  Dl_info info{};
  void* extra = nullptr;
  if (dladdr1(call_at, &info, &extra, RTLD_DL_SYMENT) == 0)
    return {.function = {}, .offset = address};
  const auto base = reinterpret_cast<std::uintptr_t>(info.dli_fbase);
  place found{
      .function = {}, .offset = address - base, .file = base_name(info.dli_fname)};
  const auto* entry = static_cast<const ElfW(Sym)*>(extra);
  const auto start = reinterpret_cast<std::uintptr_t>(info.dli_saddr);
  // dladdr answers with the nearest exported symbol below, which may be far away.
  if (entry != nullptr && start != 0 && call - start < entry->st_size) {
    found.function = demangle(info.dli_sname);
    found.offset = address - start;
    found.size = entry->st_size;
    return found;
  }
  // Position-independent programs hold offsets in their table, others addresses.
  Dl_info self{};
  if (dladdr(reinterpret_cast<const void*>(&look_up), &self) == 0 ||
      self.dli_fbase != info.dli_fbase)
    return found;
  const auto* elf = static_cast<const ElfW(Ehdr)*>(info.dli_fbase);
  const std::uintptr_t load = elf->e_type == ET_DYN ? base : 0;
  if (const auto* symbol = program_symbols().find(call - load)) {
    found.function = demangle(symbol->name.c_str());
    found.offset = address - load - symbol->start;
    found.size = symbol->size;
  }
  return found;
}

struct walk {
  stack_trace& trace;
  std::size_t skip;
};

_Unwind_Reason_Code visit(_Unwind_Context* context, void* argument) {
  auto& state = *static_cast<walk*>(argument);
  const auto ip = _Unwind_GetIP(context);
  if (ip == 0) return _URC_END_OF_STACK;
  if (state.skip != 0) {
    --state.skip;
    return _URC_NO_REASON;
  }
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the unwinder has numbers only
  state.trace.add({.ip = reinterpret_cast<const void*>(ip)});
  return state.trace.frames().size() == stack_trace::max_frames ? _URC_END_OF_STACK
                                                                : _URC_NO_REASON;
}

}  // namespace

stack_trace stack_trace::capture(std::size_t skip) {
  stack_trace trace;
  walk state{.trace = trace, .skip = skip + 1};  // and capture() itself
  _Unwind_Backtrace(visit, &state);
  return trace;
}

std::string symbolize(const stack_frame& frame) {
  if (!frame.name.empty()) return std::string{frame.name};
  if (frame.ip == nullptr) return "0x0";
  const place found = look_up(frame.ip);
  if (found.function.empty())
    return (found.file.empty() ? "" : found.file + "+") + "0x" + hex(found.offset);
  return found.function + "+0x" + hex(found.offset) + "/0x" + hex(found.size);
}

std::string short_function_name(std::string_view demangled) {
  constexpr std::string_view unnamed = "(anonymous namespace)::";
  std::string name;
  int depth = 0;  // inside template arguments or a lambda's braces
  std::size_t start = 0;
  for (std::size_t i = 0; i < demangled.size();) {
    if (demangled.substr(i).starts_with(unnamed)) {
      i += unnamed.size();
      continue;
    }
    const char c = demangled[i];
    const bool names_operator = name.ends_with("operator") || name.ends_with("operator(");
    if (depth == 0 && c == '(' && !names_operator) break;
    if (c == '<' || c == '{') ++depth;
    if (c == '>' || c == '}') --depth;
    name += c;
    // A return type, which only templates have: begin again behind it.
    if (depth == 0 && c == ' ' && !name.ends_with("operator ")) start = name.size();
    ++i;
  }
  name.erase(0, start);
  if (name.starts_with("memhp::")) name.erase(0, std::string_view{"memhp::"}.size());
  return name;
}

}  // namespace memhp
