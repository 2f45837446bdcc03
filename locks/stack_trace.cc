#include "locks/stack_trace.h"

#include <cxxabi.h>
#include <elfutils/libdwfl.h>
#include <execinfo.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string_view>

namespace memhp {
namespace {

// The symbol tables of this process, static functions included. libdw is not
// thread-safe, so it is used under a lock; it is a std one because the validator's own
// words must not come back to the validator.
class symbols {
 public:
  // Of code that was loaded since, too.
  static symbols& of_this_process() {
    static auto& made = *new symbols;
    return made;
  }

  std::string describe(std::uintptr_t address) {
    const std::lock_guard hold{lock_};
    GElf_Off offset = 0;
    GElf_Sym symbol{};
    Dwfl_Module* const module = dwfl_ == nullptr ? nullptr : find_module(address);
    const char* const name = module == nullptr
                                 ? nullptr
                                 : dwfl_module_addrinfo(module, address, &offset, &symbol,
                                                        nullptr, nullptr, nullptr);
    char words[64];
    if (name == nullptr) {
      std::snprintf(words, sizeof words, "%#zx", static_cast<std::size_t>(address));
      return words;
    }
    std::snprintf(words, sizeof words, "+%#zx/%#zx", static_cast<std::size_t>(offset),
                  static_cast<std::size_t>(symbol.st_size));
    return function_name(name) + words;
  }

 private:
  symbols() : dwfl_{dwfl_begin(&callbacks)} { load(); }

  void load() {
    if (dwfl_ == nullptr) return;
    dwfl_report_begin(dwfl_);
    dwfl_linux_proc_report(dwfl_, getpid());
    dwfl_report_end(dwfl_, nullptr, nullptr);
  }
  Dwfl_Module* find_module(std::uintptr_t address) {
    if (Dwfl_Module* const known = dwfl_addrmodule(dwfl_, address)) return known;
    load();
    return dwfl_addrmodule(dwfl_, address);
  }

  // "memhp::(anonymous namespace)::state_store(memhp::kobject&)" is "state_store".
  static std::string function_name(const char* symbol) {
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> demangled{
        abi::__cxa_demangle(symbol, nullptr, nullptr, &status), std::free};
    std::string_view name = status == 0 ? demangled.get() : symbol;
    constexpr std::string_view anonymous = "(anonymous namespace)::";
    if (const auto at = name.rfind(anonymous); at != std::string_view::npos)
      name.remove_prefix(at + anonymous.size());
    name = name.substr(0, name.find('('));
    name = name.substr(0, name.find('['));  // "[clone .part.0]", "[abi:cxx11]"
    while (name.ends_with(' ')) name.remove_suffix(1);
    for (const std::string_view prefix : {"memhp::", "lockdep::"})
      if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
    return std::string{name};
  }

  static constexpr Dwfl_Callbacks callbacks{
      .find_elf = dwfl_linux_proc_find_elf,
      .find_debuginfo = dwfl_standard_find_debuginfo,
      .section_address = nullptr,
      .debuginfo_path = nullptr,
  };
  std::mutex lock_;
  Dwfl* const dwfl_;
};

}  // namespace

stack_trace stack_trace::here(std::size_t skip) {
  // One frame more for this function itself.
  std::array<void*, max_depth + 8> all;
  const auto depth = static_cast<std::size_t>(backtrace(all.data(), all.size()));
  const std::size_t first = std::min(skip + 1, depth);
  stack_trace made;
  made.depth_ = std::min(depth - first, max_depth);
  std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(first), made.depth_,
              made.frames_.begin());
  return made;
}

std::vector<std::string> stack_trace::describe() const {
  std::vector<std::string> lines;
  // A return address is behind the call: one less is in the function that called.
  for (const void* frame : frames()) lines.push_back(describe_address(frame));
  return lines;
}

std::string describe_address(const void* address) {
  return symbols::of_this_process().describe(reinterpret_cast<std::uintptr_t>(address) -
                                             1);
}

}  // namespace memhp
