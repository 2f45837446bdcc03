// One call of a worker, and what came of it.
//
// Thread safety: plain data.
#pragma once

#include <cstdint>
#include <string>

#include "stress/operation.h"

namespace memhp::stress {

struct call {
  operation op = operation::read;
  std::uint64_t target = 0;   // a block's id; a CPU; a worker for interrupt
  std::uint32_t variant = 0;  // chooses what the operation leaves open
};

struct outcome {
  int error = 0;          // errno; 0 for success
  bool issued = true;     // false: there was nothing to do it to
  std::string complaint;  // what is wrong although the errno is right
};

// A call as it was made: what --record keeps, 32 bytes each.
struct record {
  std::uint64_t start_ns = 0;  // since the start of the run
  std::uint64_t end_ns = 0;
  std::uint64_t target = 0;
  std::uint32_t variant = 0;
  std::uint16_t worker = 0;
  operation op = operation::read;
  std::uint8_t error = 0;  // errnos that the tree gives are below 256
};
static_assert(sizeof(record) == 32);

}  // namespace memhp::stress
