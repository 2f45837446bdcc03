// What main() knows about a subcommand.
//
// Thread safety: none; one thread.
#pragma once

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace memhp {

// Exit statuses that all subcommands share. `memhp run` answers with CMD's, and has its
// own for what goes wrong before that (foreground.h).
inline constexpr int exit_failure = 1;
inline constexpr int exit_wrong_options = 2;

// Of what runs scenarios.
inline constexpr const char* no_fibers =
    "this program was built with ThreadSanitizer, under which fibers do not work";

class command {
 public:
  explicit command(CLI::App& app) : app_{app} {}
  command(const command&) = delete;
  command& operator=(const command&) = delete;
  virtual ~command() = default;

  CLI::App& app() const { return app_; }

  // What follows the name in the usage line.
  virtual std::string usage() const { return "[OPTIONS]"; }
  // Whether "-- ..." may follow the options.
  virtual bool takes_program() const { return false; }
  // Does the work after the options were read. `program` is what followed "--". Returns
  // the exit status.
  virtual int execute(std::vector<std::string> program) = 0;

 protected:
  // Prints the one line that says what went wrong.
  int complain(int status, std::string_view what) const {
    fmt::print(stderr, "memhp {}: {}\n", app_.get_name(), what);
    return status;
  }

 private:
  CLI::App& app_;
};

std::unique_ptr<command> make_run_command(CLI::App& memhp);
std::unique_ptr<command> make_up_command(CLI::App& memhp);
std::unique_ptr<command> make_down_command(CLI::App& memhp);
std::unique_ptr<command> make_stat_command(CLI::App& memhp);
std::unique_ptr<command> make_stress_command(CLI::App& memhp);
std::unique_ptr<command> make_eras_command(CLI::App& memhp);
std::unique_ptr<command> make_scenario_command(CLI::App& memhp);
std::unique_ptr<command> make_lockgraph_command(CLI::App& memhp);

}  // namespace memhp
