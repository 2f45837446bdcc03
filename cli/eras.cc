// memhp eras: the kernels whose locking a machine can have.

#include "emu/eras.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "cli/command.h"

namespace memhp {
namespace {

constexpr const char* footer =
    "A line is a commit that changed which lock is taken where, and what it changed;\n"
    "neighbours differ in that one thing. --era of memhp run and up takes a name, seven "
    "or\n"
    "more digits of a commit, a kernel such as v4.20, today, or seed-000-before and the\n"
    "like: the kernels without and with the change that a seed document is about.";

std::string side_text(const kernel_era& era) {
  if (era.side == seed_side::none) return "";
  return fmt::format("{} seed 00{}", era.side == seed_side::before ? "before" : "after",
                     era.seed);
}

nlohmann::ordered_json to_json(const kernel_era& era) {
  nlohmann::ordered_json row{{"era", era.rules.era},
                             {"kernels", era.kernels},
                             {"commit", nullptr},
                             {"what", era.rules.what},
                             {"seed", nullptr},
                             {"side", nullptr},
                             {"references", era.kernfs_name},
                             {"default", era.rules.era == patched.era}};
  if (!era.commit.empty()) row["commit"] = era.commit;
  if (era.side != seed_side::none) {
    row["seed"] = fmt::format("00{}", era.seed);
    row["side"] = era.side == seed_side::before ? "before" : "after";
  }
  return row;
}

class eras_command final : public command {
 public:
  explicit eras_command(CLI::App& memhp)
      : command{*memhp.add_subcommand("eras", "list the kernels of --era")} {
    app().footer(footer);
    app().add_flag("--json", json_, "a JSON array");
  }

  int execute(std::vector<std::string> /*program*/) override {
    if (json_)
      print_json();
    else
      print_table();
    return EXIT_SUCCESS;
  }

 private:
  static void print_table() {
    const auto row = [](std::string_view era, std::string_view kernels,
                        std::string_view seed, std::string_view what) {
      fmt::print("{:<13} {:<12} {:<15} {}\n", era, kernels, seed, what);
    };
    row("ERA", "KERNELS", "SEED", "WHAT CHANGED");
    for (const kernel_era& era : kernel_eras())
      row(era.rules.era, era.kernels, side_text(era), era.rules.what);
    const kernel_era& own = patched_era();
    row(own.rules.era, "default", "after all", own.rules.what);
  }

  static void print_json() {
    auto rows = nlohmann::ordered_json::array();
    for (const kernel_era& era : kernel_eras()) rows.push_back(to_json(era));
    rows.push_back(to_json(patched_era()));
    fmt::print("{}\n", rows.dump(2));
  }

  bool json_ = false;
};

}  // namespace

std::unique_ptr<command> make_eras_command(CLI::App& memhp) {
  return std::make_unique<eras_command>(memhp);
}

}  // namespace memhp
