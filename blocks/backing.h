// The file behind the machine's address space, and what its pages are made of.
//
// Thread safety: plain values; open_backing() may be called by any thread.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "blocks/host_memory.h"
#include "blocks/owned_fd.h"
#include "blocks/units.h"

namespace memhp {

enum class backing_kind : std::uint8_t {
  automatic,  // the first of the following that this host can give
  hugetlb,    // 2 MiB pages of the host's hugetlb pool
  thp,        // transparent huge pages of a private tmpfs
  small,      // 4 KiB pages
};

// "auto", "hugetlb", "thp", "small"; none for anything else.
std::optional<backing_kind> parse_backing(std::string_view name);
std::string_view to_string(backing_kind kind);

struct backing {
  owned_fd file;                            // sparse; offset = physical address
  backing_kind kind = backing_kind::small;  // never automatic
  std::string reason;                       // one line for the log: what and why

  // The unit that the file gives and takes back, in bytes.
  std::uint64_t granule() const {
    return kind == backing_kind::small ? page_size : 2 * MiB;
  }
};

// Opens a file of `window` bytes without giving it any page. `start_bytes` is what the
// machine is going to ask for at its start: `automatic` takes the hugetlb pool only if
// it has that much. The error is one line that says what is missing and how to get on
// without it.
std::expected<backing, std::string> open_backing(backing_kind wanted,
                                                 std::uint64_t window,
                                                 std::uint64_t start_bytes,
                                                 const host_memory& host);

}  // namespace memhp
