// The faults of --faults: how they are written, and the files that switch them on.
//
// Thread safety: pure functions, except those that take a tree, which are for one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stress/operation.h"
#include "stress/tree.h"

namespace memhp::stress {

enum class fault_kind : std::uint8_t {
  veto,           // a memory notifier fails with EPERM
  no_memory,      // the host has no memory for a block
  slow_populate,  // the host takes its time
  slow_migrate,   // pages take their time to move
  stop,           // SIGSTOP for the machine's process, and SIGCONT
};

struct fault {
  fault_kind kind = fault_kind::veto;
  double probability = 0;             // of each chance, at most 1
  std::chrono::milliseconds time{0};  // of those that delay
};

std::string_view to_string(fault_kind kind);

// "veto=0.01,enomem=0.01,slow-populate=20ms@0.05". The error is one line that says what
// to write instead.
std::expected<std::vector<fault>, std::string> parse_faults(std::string_view text);

// What the faults excuse.
void excuse(circumstances& now, const std::vector<fault>& faults);

// Percent and interval as the kernel's fault injection takes them: so near `probability`
// as they can say it.
struct odds {
  unsigned percent = 0;
  unsigned interval = 1;
};
odds odds_of(double probability);

// Switches on those that the tree has files for (all but stop). The error is one line.
std::expected<void, std::string> switch_on(const tree& sys,
                                           const std::vector<fault>& faults);
// Switches all of them off; how often each happened, by name.
std::vector<std::pair<std::string, std::uint64_t>> switch_off(
    const tree& sys, const std::vector<fault>& faults);

}  // namespace memhp::stress
