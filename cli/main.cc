// memhp: the command. One file per subcommand; what they share is here: reading the
// command line, and answering a wrong one with a single line and exit status 2.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <expected>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "cli/config_file.h"

namespace memhp {
namespace {

constexpr const char* description =
    "memhp emulates Linux memory hotplug: real memory blocks behind a tree that looks "
    "like /sys.\nNo root, no VM and no special kernel are needed.";
constexpr const char* footer =
    "Examples:\n"
    "  memhp run --nodes 2 --memory 1G --dimm 512M@1 -- bash\n"
    "  memhp up --nodes 2 --mount /mnt/hp\n"
    "  memhp stat --mount /mnt/hp\n"
    "  memhp down --mount /mnt/hp\n"
    "\n"
    "memhp SUBCOMMAND --help explains the options of one.";

// CLI11's help with a usage line that is ours.
class help_formatter final : public CLI::Formatter {
 public:
  explicit help_formatter(std::string usage) : usage_{std::move(usage)} {}
  std::string make_usage(const CLI::App*, std::string) const override {
    return fmt::format("Usage: {}\n", usage_);
  }

 private:
  const std::string usage_;
};

void set_usage(CLI::App& app, const std::string& usage) {
  app.formatter(std::make_shared<help_formatter>(usage));
  app.get_formatter()->column_width(30);
}

// The command line in its three parts.
struct command_line {
  std::vector<std::string> options;  // of memhp and of the subcommand
  bool has_program = false;          // there was a "--"
  std::vector<std::string> program;  // what followed it
};

command_line split(std::vector<std::string> arguments) {
  const auto dashes = std::ranges::find(arguments, "--");
  command_line line;
  line.has_program = dashes != arguments.end();
  line.options.assign(std::make_move_iterator(arguments.begin()),
                      std::make_move_iterator(dashes));
  if (line.has_program)
    line.program.assign(std::make_move_iterator(dashes + 1),
                        std::make_move_iterator(arguments.end()));
  return line;
}

// CLI11's words about a wrong line, as one line that says what to write instead.
std::string explain(const CLI::ParseError& error) {
  std::string text = error.what();
  std::ranges::replace(text, '\n', ' ');
  if (error.get_name() == "RequiredError") return text + ": add it";
  if (error.get_name() == "ArgumentMismatch") return text + ": write one value after it";
  return text;
}

// What is wrong with arguments that no option took.
std::string explain_extra(const command& subcommand, std::string_view argument) {
  const std::string& name = subcommand.app().get_name();
  if (argument.starts_with('-'))
    return fmt::format("unknown option {}: memhp {} --help lists them", argument, name);
  if (subcommand.takes_program())
    return fmt::format(
        "'{0}' is no option: write -- before the command, memhp run ... "
        "-- {0}",
        argument);
  return fmt::format("'{}' is no option: memhp {} --help lists them", argument, name);
}

int wrong_options(std::string_view where, std::string_view what) {
  fmt::print(stderr, "{}: {}\n", where, what);
  return exit_wrong_options;
}

class program {
 public:
  program() {
    app_.set_version_flag("--version", "memhp " MEMHP_VERSION, "print the version");
    app_.footer(footer);
    app_.require_subcommand(1);
    commands_.push_back(make_run_command(app_));
    commands_.push_back(make_up_command(app_));
    commands_.push_back(make_down_command(app_));
    commands_.push_back(make_stat_command(app_));
    commands_.push_back(make_eras_command(app_));
    commands_.push_back(make_scenario_command(app_));
    commands_.push_back(make_lockgraph_command(app_));
    commands_.push_back(make_stress_command(app_));
    for (const auto& each : commands_) {
      each->app().allow_extras();
      set_usage(each->app(),
                fmt::format("memhp {} {}", each->app().get_name(), each->usage()));
    }
    set_usage(app_, "memhp SUBCOMMAND [OPTIONS]");
  }

  int run(std::vector<std::string> arguments) {
    command_line line = split(std::move(arguments));
    if (line.options.empty())
      return wrong_options(
          "memhp",
          "no subcommand: write memhp run, up, down, stat, eras, scenario, lockgraph or "
          "stress; memhp --help explains them");
    command* const chosen = find(line.options.front());
    if (chosen == nullptr && !line.options.front().starts_with('-'))
      return wrong_options("memhp", fmt::format("'{}' is no subcommand: write run, up, "
                                                "down, stat, eras, scenario, lockgraph "
                                                "or stress",
                                                line.options.front()));
    const std::string where =
        chosen != nullptr ? "memhp " + chosen->app().get_name() : "memhp";
    try {
      if (chosen != nullptr)
        if (auto added = add_config(*chosen, line); !added)
          return wrong_options(where, added.error());
      std::ranges::reverse(line.options);  // the order that CLI11 wants
      app_.parse(line.options);
    } catch (const CLI::CallForHelp&) {
      fmt::print("{}", (chosen != nullptr ? chosen->app() : app_).help());
      return EXIT_SUCCESS;
    } catch (const CLI::Success& success) {  // --version
      fmt::print("{}\n", success.what());
      return EXIT_SUCCESS;
    } catch (const CLI::ParseError& error) {
      return wrong_options(where, explain(error));
    }
    return execute(*chosen, where, std::move(line));
  }

 private:
  command* find(std::string_view name) const {
    for (const auto& each : commands_)
      if (each->app().get_name() == name) return each.get();
    return nullptr;
  }

  static std::expected<void, std::string> add_config(const command& chosen,
                                                     command_line& line) {
    std::vector<std::string> own(line.options.begin() + 1, line.options.end());
    auto all = with_config_file(chosen.app(), std::move(own));
    if (!all) return std::unexpected{all.error()};
    line.options.resize(1);
    std::ranges::move(*all, std::back_inserter(line.options));
    return {};
  }

  static int execute(command& chosen, const std::string& where, command_line line) {
    if (const auto extra = chosen.app().remaining(); !extra.empty())
      return wrong_options(where, explain_extra(chosen, extra.front()));
    if (line.has_program && !chosen.takes_program())
      return wrong_options(where, "takes no command: write memhp run ... -- CMD");
    return chosen.execute(std::move(line.program));
  }

  CLI::App app_{description, "memhp"};
  std::vector<std::unique_ptr<command>> commands_;
};

}  // namespace
}  // namespace memhp

int main(int argc, char** argv) {
  return memhp::program{}.run({argv + 1, argv + argc});
}
