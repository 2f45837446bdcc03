// memhp stat: a machine's figures, read from shared memory. The machine is not asked, so
// that it answers while the machine is stuck and after it died.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <thread>
#include <utility>

#include "cli/command.h"
#include "cli/lock_report.h"
#include "cli/mount_path.h"
#include "cli/option_values.h"
#include "cli/stats_report.h"
#include "emu/stats_segment.h"

namespace memhp {
namespace {

constexpr const char* footer =
    "Without --mount: the machine of the memhp run that this runs in, else the only\n"
    "machine that the user has. Readable for the machine's owner alone. Also answers\n"
    "while the daemon is stopped and after it was killed.\n"
    "--locks: counted while 1 stands in the machine's proc/sys/kernel/lock_stat; "
    "figures\n"
    "are those of the last second.";

class stat_command final : public command {
 public:
  explicit stat_command(CLI::App& memhp)
      : command{*memhp.add_subcommand("stat", "show a machine's figures")} {
    app().footer(footer);
    app().add_option("--mount", mount_, "which machine")->type_name("DIR");
    app().add_flag("--json", json_, "one JSON object");
    app().add_flag("--locks", locks_, "how long locks are waited for and held instead");
    watch_option_ =
        app()
            .add_option("--watch", watch_, "again and again, every second or so many")
            ->type_name("[SECONDS]")
            ->expected(0, 1);
  }

  int execute(std::vector<std::string> /*program*/) override {
    std::uint64_t every_s = 0;
    if (watch_option_->count() != 0) {
      constexpr std::uint64_t longest_s = 86'400;
      const auto seconds = parse_number(watch_.empty() ? "1" : watch_, 1, longest_s);
      if (!seconds) return complain(exit_wrong_options, "--watch " + seconds.error());
      every_s = *seconds;
    }
    std::string mount;
    if (!mount_.empty()) {
      const auto canonical = canonical_mount(mount_);
      if (!canonical) return complain(exit_wrong_options, canonical.error());
      mount = *canonical;
    }
    auto view = find(mount);
    if (!view) return complain(exit_failure, view.error());
    while (show(*view, every_s != 0) && every_s != 0)
      std::this_thread::sleep_for(std::chrono::seconds{every_s});
    return EXIT_SUCCESS;
  }

 private:
  static std::expected<stats_view, std::string> find(const std::string& mount) {
    if (!mount.empty()) return stats_view::of_mount(mount);
    if (const char* path = std::getenv("MEMHP_STATS")) return stats_view::of_file(path);
    std::vector<stats_view> views = stats_view::all();
    // Dead ones count only if there is nothing else.
    const auto is_dead = [](const stats_view& view) { return view.keeper() == 0; };
    if (!std::ranges::all_of(views, is_dead)) std::erase_if(views, is_dead);
    if (views.empty())
      return std::unexpected{"no machine of yours: start one with memhp up or memhp run"};
    if (views.size() == 1) return std::move(views.front());
    std::string mounts;
    for (const stats_view& view : views)
      mounts += fmt::format("{}{}", mounts.empty() ? "" : ", ", view.stats().mount);
    return std::unexpected{
        fmt::format("several machines: add --mount, one of {}", mounts)};
  }

  // Prints one reading. False once the machine is dead.
  bool show(const stats_view& view, bool repeated) const {
    const machine_life life = life_of(view);
    constexpr int indent = 2;
    const std::string report = report_of(view, life, repeated ? -1 : indent);
    constexpr const char* home_and_clear = "\x1b[H\x1b[2J";
    const bool screen = repeated && !json_ && isatty(STDOUT_FILENO) != 0;
    fmt::print("{}{}", screen ? home_and_clear : "", report);
    std::fflush(stdout);
    return life.keeper != 0;
  }

  std::string report_of(const stats_view& view, const machine_life& life,
                        int indent) const {
    const stats_segment_content& content = view.content();
    if (locks_)
      return json_ ? json_lock_report(content.locks, indent) + "\n"
                   : text_lock_report(content.locks);
    return json_ ? json_report(content, life, indent) + "\n" : text_report(content, life);
  }

  std::string mount_;
  std::string watch_;
  bool json_ = false;
  bool locks_ = false;
  CLI::Option* watch_option_ = nullptr;
};

}  // namespace

std::unique_ptr<command> make_stat_command(CLI::App& memhp) {
  return std::make_unique<stat_command>(memhp);
}

}  // namespace memhp
