// module/memory_hotplug/parameters.
//
// Mirrors the module parameters of mm/memory_hotplug.c (6.1).
#pragma once

#include <optional>
#include <string_view>

#include "emu/kernel.h"

namespace memhp {

std::optional<online_policy> online_policy_from(std::string_view word);

void add_module_parameters(kernel& k);

}  // namespace memhp
