// The functions of one ELF file by address, from its symbol table: what dladdr cannot
// tell, since a program's own functions are not dynamic symbols.
//
// Thread safety: constant after construction.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace memhp {

class symbol_table {
 public:
  struct symbol {
    std::uint64_t start = 0;  // address in the file, to which the load address is added
    std::uint64_t size = 0;   // bytes; 0 if the table does not say
    std::string name;         // mangled
  };

  // Reads the file. Empty if there is none, if it is not a 64-bit ELF file of this
  // machine's byte order, or if it is stripped: then find() finds nothing.
  explicit symbol_table(const std::string& path);

  // The function that `address` is in; null if none. O(log n).
  const symbol* find(std::uint64_t address) const;

 private:
  void read(std::string_view file);

  std::vector<symbol> symbols_;  // by start
};

}  // namespace memhp
