// What to say of an era or a scenario that there is none of: one line, with the names
// that are nearest.
//
// Thread safety: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace memhp {

// `of_scenario`: "before" and "after" are eras, too.
std::string unknown_era(std::string_view name, bool of_scenario = false);
std::string unknown_scenario(std::string_view name);

}  // namespace memhp
