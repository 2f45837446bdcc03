#include "cli/config_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

namespace memhp {
namespace {

using nlohmann::json;

constexpr std::string_view config_option = "--config";

// The value of the last --config, in either spelling.
std::optional<std::string> config_path(const std::vector<std::string>& arguments) {
  std::optional<std::string> path;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == config_option && i + 1 < arguments.size()) path = arguments[i + 1];
    if (argument.starts_with("--config=")) path = argument.substr(9);
  }
  return path;
}

// What a person would type for a value: arrays of arrays with semicolons, arrays of
// numbers with commas.
std::optional<std::string> as_typed(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_unsigned()) return fmt::format("{}", value.get<std::uint64_t>());
  if (!value.is_array()) return std::nullopt;
  const bool nested = !value.empty() && value.front().is_array();
  std::vector<std::string> parts;
  for (const json& part : value) {
    auto typed = as_typed(part);
    if (!typed) return std::nullopt;
    parts.push_back(std::move(*typed));
  }
  return fmt::format("{}", fmt::join(parts, nested ? ";" : ","));
}

// Names of the options that a file may set.
std::vector<std::string> settable(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    if (option->get_group() == "Machine" && !option->check_lname("config"))
      names.push_back(option->get_lnames().front());
  return names;
}

// Appends the arguments for one setting. False: a value of the wrong kind.
bool append_setting(const CLI::Option& option, const json& value,
                    std::vector<std::string>& arguments) {
  const std::string name = "--" + option.get_lnames().front();
  if (option.get_items_expected_max() == 0 || option.get_type_size() == 0) {  // a flag
    if (!value.is_boolean()) return false;
    if (value.get<bool>()) arguments.push_back(name);
    return true;
  }
  const bool repeatable = option.get_items_expected_max() > 1 && value.is_array();
  for (const json& one : repeatable ? value : json::array({value})) {
    const auto typed = as_typed(one);
    if (!typed) return false;
    arguments.push_back(fmt::format("{}={}", name, *typed));
  }
  return true;
}

}  // namespace

std::expected<std::vector<std::string>, std::string> with_config_file(
    const CLI::App& command, std::vector<std::string> arguments) {
  const auto path = config_path(arguments);
  if (!path) return arguments;
  const auto wrong = [&](std::string_view why) {
    return std::unexpected{fmt::format("--config {}: {}", *path, why)};
  };
  std::ifstream file{*path};
  if (!file) return wrong(strerror(errno));
  const json settings = json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!settings.is_object())
    return wrong(R"(write a JSON object such as {"nodes": 2, "memory": "1G"})");

  const std::vector<std::string> known = settable(command);
  std::vector<std::string> all;
  for (const auto& [name, value] : settings.items()) {
    if (std::ranges::find(known, name) == known.end())
      return wrong(fmt::format("'{}' is no setting: write one of {}", name,
                               fmt::join(known, ", ")));
    if (!append_setting(*command.get_option("--" + name), value, all))
      return wrong(
          fmt::format("'{}' has a value of the wrong kind: write what the "
                      "option --{} takes",
                      name, name));
  }
  all.insert(all.end(), std::move_iterator{arguments.begin()},
             std::move_iterator{arguments.end()});
  return all;
}

}  // namespace memhp
