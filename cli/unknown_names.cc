#include "cli/unknown_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "cli/option_values.h"
#include "emu/eras.h"
#include "emu/scenarios/scenario.h"

namespace memhp {
namespace {

// Everything that find_era() takes, but for digits and releases inside an era.
std::vector<std::string> era_names() {
  std::vector<std::string> names{std::string{patched.era}, "today"};
  for (const kernel_era& era : kernel_eras()) {
    names.emplace_back(era.rules.era);
    if (era.first_kernel != 0)
      names.push_back(fmt::format("v{}.{}", era.first_kernel / kernel_version(1, 0),
                                  era.first_kernel % kernel_version(1, 0)));
    if (era.side != seed_side::none)
      names.push_back(fmt::format("seed-00{}-{}", era.seed,
                                  era.side == seed_side::before ? "before" : "after"));
  }
  return names;
}

}  // namespace

std::string unknown_era(std::string_view name, bool of_scenario) {
  std::vector<std::string> names = era_names();
  if (of_scenario) names.insert(names.begin(), {"before", "after"});
  const std::vector<std::string_view> all{names.begin(), names.end()};
  return fmt::format(
      "--era '{}' is unknown: write {}, or leave it out for {}; memhp eras lists them",
      name, fmt::join(nearest_names(name, all, 3), " or "),
      of_scenario ? "before" : patched.era);
}

std::string unknown_scenario(std::string_view name) {
  std::vector<std::string_view> names;
  for (const scenario* s : all_scenarios()) names.push_back(s->name);
  return fmt::format("'{}' is no scenario: write {}; memhp scenario list lists them",
                     name, fmt::join(nearest_names(name, names, 2), " or "));
}

}  // namespace memhp
