// memhp down: asks the daemon behind a mount to end, and waits until it has.

#include <poll.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "blocks/owned_fd.h"
#include "blocks/pidfd.h"
#include "cli/command.h"
#include "cli/mount_path.h"
#include "emu/stats_segment.h"
#include "fuse/mount_tree.h"

namespace memhp {
namespace {

constexpr int patience_ms = 30'000;

class down_command final : public command {
 public:
  explicit down_command(CLI::App& memhp)
      : command{*memhp.add_subcommand("down", "end the machine at a directory")} {
    app().footer(
        "Waits until the tree is unmounted and the daemon has ended. Of a daemon that\n"
        "was killed it removes what is left. Exit status 1: no machine there, or it\n"
        "does not end.");
    app().add_option("--mount", mount_, "where")->required()->type_name("DIR");
  }

  std::string usage() const override { return "--mount DIR"; }

  int execute(std::vector<std::string> /*program*/) override {
    const auto mount = canonical_mount(mount_);
    if (!mount) return complain(exit_wrong_options, mount.error());
    auto view = stats_view::of_mount(*mount);
    const pid_t keeper = view ? view->keeper() : 0;
    if (keeper == 0) {
      if (clean_up(*mount, view)) return EXIT_SUCCESS;
      return complain(exit_failure,
                      fmt::format("no machine at {}: start one with memhp up", *mount));
    }
    const owned_fd process{pidfd_open(keeper, 0)};
    // Still the keeper, now that its number cannot go to another process.
    if (!process || view->keeper() != keeper) return EXIT_SUCCESS;
    return end(*mount, keeper, process);
  }

 private:
  // Removes what a dead daemon has left. False if there was nothing.
  bool clean_up(const std::string& mount,
                std::expected<stats_view, std::string>& view) const {
    const auto mounted = view ? find_abandoned_tree(mount) : find_mounted_tree(mount);
    const bool stale = mounted && mounted->stale;
    if (stale)
      if (auto unmounted = unmount_tree(mount); !unmounted)
        complain(exit_failure, unmounted.error());
    if (view) view->remove();
    if (stale || view)
      fmt::print(stderr, "memhp down: the daemon at {} was dead; cleaned up\n", mount);
    return stale || view.has_value();
  }

  int end(const std::string& mount, pid_t keeper, const owned_fd& process) const {
    if (pidfd_send_signal(process.get(), SIGTERM, nullptr, 0) != 0)
      return complain(exit_failure,
                      fmt::format("cannot end process {}: {}", keeper, strerror(errno)));
    // A stopped daemon sees its signal when it goes on.
    pidfd_send_signal(process.get(), SIGCONT, nullptr, 0);
    pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
    if (poll(&ended, 1, patience_ms) == 1) return EXIT_SUCCESS;
    return complain(exit_failure,
                    fmt::format("process {} at {} does not end: kill -9 {}, then memhp "
                                "down again",
                                keeper, mount, keeper));
  }

  std::string mount_;
};

}  // namespace

std::unique_ptr<command> make_down_command(CLI::App& memhp) {
  return std::make_unique<down_command>(memhp);
}

}  // namespace memhp
