// The forced run of a scenario on OS threads: the interleaving is made to happen, the
// hang is one of real locks, and the machine's own detector of hung tasks finds it.
#pragma once

#include <expected>
#include <functional>
#include <string>

#include "emu/scenarios/scenario.h"

namespace memhp {

struct threads_options {
  bool validate_dev_mutex = false;
  unsigned hung_task_timeout_s = 1;  // 0: hung tasks are left alone, for ever
  // Told, once, how many tasks are left when none of them can go on.
  std::function<void(std::size_t tasks)> on_stuck;
};

struct threads_run : scenario_run {
  std::string hung_text;  // what the detector printed
};

// Boots, runs, cleans up. The error says why the machine did not boot.
//
// If tasks hang (threads_run::hung), their threads, the machine and the listener of the
// validator stay as they are: the process is to end by _exit(). So this is for the child
// of a fork().
//
// Thread safety: as run_scenario(). Works under ThreadSanitizer too.
std::expected<threads_run, std::string> run_scenario_on_threads(
    const scenario& s, const lock_rules& rules, const threads_options& options);

}  // namespace memhp
