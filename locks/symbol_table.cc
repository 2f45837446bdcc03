#include "locks/symbol_table.h"

#include <elf.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <optional>

namespace memhp {
namespace {

// A struct at an offset of the file; nothing if the file ends before. Copied because an
// offset from a file need not be aligned.
template <class T>
std::optional<T> at(std::string_view file, std::uint64_t offset) {
  if (offset > file.size() || file.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, file.data() + offset, sizeof(T));
  return value;
}

std::string_view bytes_of(std::string_view file, const Elf64_Shdr& section) {
  if (section.sh_offset > file.size()) return {};
  return file.substr(section.sh_offset, section.sh_size);
}

std::string name_at(std::string_view names, std::uint64_t offset) {
  if (offset >= names.size()) return {};
  const std::string_view rest = names.substr(offset);
  return std::string{rest.substr(0, rest.find('\0'))};
}

bool is_native_elf(const Elf64_Ehdr& header) {
  constexpr unsigned char order =
      std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
  return std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
         header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_ident[EI_DATA] == order &&
         header.e_shentsize == sizeof(Elf64_Shdr);
}

}  // namespace

symbol_table::symbol_table(const std::string& path) {
  std::ifstream file{path, std::ios::binary | std::ios::ate};
  const std::streamoff size = file ? std::streamoff{file.tellg()} : 0;
  if (size <= 0) return;
  std::string content(static_cast<std::size_t>(size), '\0');
  file.seekg(0);
  if (!file.read(content.data(), size)) return;
  read(content);
  std::ranges::sort(symbols_, {}, &symbol::start);
}

void symbol_table::read(std::string_view file) {
  const auto header = at<Elf64_Ehdr>(file, 0);
  if (!header || !is_native_elf(*header)) return;
  const auto section = [&](std::uint64_t index) {
    return at<Elf64_Shdr>(file, header->e_shoff + index * sizeof(Elf64_Shdr));
  };
  for (std::uint64_t i = 0; i < header->e_shnum; ++i) {
    const auto table = section(i);
    if (!table || table->sh_type != SHT_SYMTAB) continue;
    const auto strings = section(table->sh_link);
    if (!strings) continue;
    const std::string_view names = bytes_of(file, *strings);
    const std::string_view entries = bytes_of(file, *table);
    for (std::uint64_t offset = 0; offset < entries.size(); offset += sizeof(Elf64_Sym)) {
      const auto entry = at<Elf64_Sym>(entries, offset);
      if (!entry || ELF64_ST_TYPE(entry->st_info) != STT_FUNC || entry->st_value == 0)
        continue;
      symbols_.push_back({.start = entry->st_value,
                          .size = entry->st_size,
                          .name = name_at(names, entry->st_name)});
    }
  }
}

const symbol_table::symbol* symbol_table::find(std::uint64_t address) const {
  auto after = std::ranges::upper_bound(symbols_, address, {}, &symbol::start);
  if (after == symbols_.begin()) return nullptr;
  const symbol& candidate = *--after;
  const bool inside = candidate.size == 0 || address - candidate.start < candidate.size;
  return inside ? &candidate : nullptr;
}

}  // namespace memhp
