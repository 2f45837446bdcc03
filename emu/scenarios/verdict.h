// What is made of a scenario's run, however it ran: which reports are its business, and
// whether the end is the one that the era says.
//
// Thread safety: pure functions.
#pragma once

#include <string>

#include "emu/scenarios/scenario.h"

namespace memhp {

// The machine that it runs on.
machine_config config_for(const scenario& s, const lock_rules& rules,
                          const scenario_options& options);

// Other reports say what the kernel of that time got wrong besides.
bool is_its_business(const scenario& s, const lockdep_report& report);

// What differs from what the era says; empty if nothing does.
std::string difference(const scenario& s, const lock_rules& rules,
                       const scenario_options& options, const scenario_run& run);

}  // namespace memhp
