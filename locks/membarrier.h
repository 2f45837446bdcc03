// The writer's half of an asymmetric fence: one thread pays, the others only keep the
// compiler from reordering.
//
// membarrier(2) runs a full memory barrier on every CPU that runs a thread of this
// process; a thread that does not run passed one when it was switched out. So for a
// reader that stores and then loads, with nothing but compiler order between, one of two
// holds at the barrier: its store is visible to whoever called, or its load comes after
// and sees what the caller stored before.
//
// Thread safety: any thread. Source: membarrier(2), MEMBARRIER_CMD_PRIVATE_EXPEDITED.
#pragma once

#include <cstdint>

namespace memhp {

// Whether the kernel has it for this process; registers it the first time. Inherited by
// fork().
bool membarrier_usable();

// The barrier. Never returns without one: if the call begins to fail (a late seccomp
// filter), it takes the slow system-wide command (milliseconds), and if that fails too it
// moves its own thread over every CPU that a thread of this process may run on; if even
// that is refused it says so and aborts. After a failure membarrier_usable() is false.
void membarrier_all_threads();

// What that takes, in fences of a reader: as many reads lose as much to theirs. A moving
// average over some of the calls; a fence is timed once. At least 1.
std::uint64_t membarrier_cost_in_fences();

// Tests: how the barrier behaves as if the kernel refused the first `count` ways.
void refuse_membarrier_for_test(int count);

}  // namespace memhp
