// Carries requests out in system calls, one after the other.
//
// Thread safety: one thread.
#pragma once

#include <array>

#include "blocks/owned_fd.h"
#include "stress/request.h"
#include "stress/tree.h"

namespace memhp::stress {

class file_io {
 public:
  // `sys` must outlive this.
  explicit file_io(const tree& sys) : sys_{sys} {}

  answer carry_out(const request& what);

 private:
  answer use_file(const request& what);

  const tree& sys_;
  std::array<owned_fd, kept_files> kept_;
};

}  // namespace memhp::stress
