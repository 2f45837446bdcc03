// A value, or the errno that the kernel would return.
#pragma once

#include <expected>
#include <system_error>

namespace memhp {

using std::errc;

// Ignoring one is a warning. An errc is numerically the errno, so the edge just casts.
template <class T = void>
struct [[nodiscard]] result : std::expected<T, errc> {
  using std::expected<T, errc>::expected;
};

constexpr auto fail(errc e) {
  return std::unexpected<errc>{e};
}

// ERESTARTNOINTR (include/linux/errno.h): the system call is to be started again from
// its beginning, with nothing held. It never reaches a user: whoever made the call
// repeats it, and must not answer with it.
inline constexpr errc restart_no_intr{513};

}  // namespace memhp
