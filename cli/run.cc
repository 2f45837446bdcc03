// memhp run: one command on a machine of its own.
//
//   memhp (this process: owns /dev/fuse, waits) --- worker (the machine, the tree)
//      \--- CMD
//
// This process and CMD live in a private mount namespace, where the tree's parts lie at
// the real paths; the worker keeps a namespace without them, so that what it reads of
// /sys is the host's. Whoever of the two dies first, the other one ends what runs in
// the namespace; with its last process the kernel ends the mounts.

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "cli/command.h"
#include "cli/foreground.h"
#include "cli/log.h"
#include "cli/machine_options.h"
#include "cli/worker.h"
#include "fuse/composed_sys.h"
#include "fuse/host_acpi_devices.h"
#include "fuse/mount_tree.h"
#include "fuse/namespaces.h"

namespace memhp {
namespace {

constexpr const char* sys_dir = "/sys";

constexpr const char* footer =
    "CMD (default: $SHELL) finds the machine at the real paths below /sys, in private\n"
    "namespaces; without root it runs as root of a user namespace. Its exit status is\n"
    "memhp's, 128+N if signal N ended it; 125: memhp itself failed, 126: CMD cannot be\n"
    "run, 127: no such CMD, 2: wrong options. When CMD ends, everything that it left\n"
    "running is ended too. Inside, `memhp stat` shows the machine's figures.";

class run_command final : public command {
 public:
  explicit run_command(CLI::App& memhp)
      : command{*memhp.add_subcommand(
            "run", "run a command that sees the machine at the real paths")} {
    app().footer(footer);
    machine_.add_to(app());
    app()
        .add_option("--log", log_path_, "append the machine's log to a file")
        ->type_name("FILE");
  }

  std::string usage() const override { return "[OPTIONS] [-- CMD [ARG...]]"; }
  bool takes_program() const override { return true; }

  int execute(std::vector<std::string> program) override {
    const auto setup = machine_.setup();
    if (!setup) return complain(exit_wrong_options, setup.error());
    auto log = log_path_.empty() ? log_to_nowhere() : log_to_file(log_path_);
    if (!log) return complain(exit_wrong_options, log.error());
    if (program.empty()) program.push_back(default_shell());

    const signal_source signals;
    if (auto entered = enter_private_namespaces(); !entered)
      return complain(exit_run_failed, entered.error());
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    auto segment = stats_segment::create_private();
    if (!segment) return complain(exit_run_failed, segment.error());
    auto worker = start_machine(*setup, *segment, *log, signals);
    if (!worker) return complain(exit_run_failed, worker.error());

    setenv("MEMHP_STATS", segment->path().c_str(), /*overwrite=*/1);
    return attend(program, signals, *worker);
  }

 private:
  static std::string default_shell() {
    const char* shell = std::getenv("SHELL");
    return shell != nullptr && *shell != '\0' ? shell : "bash";
  }

  // Mounts the tree over /sys for as long as it takes to put its parts in their places.
  std::expected<worker_process, std::string> start_machine(
      const machine_setup& setup, stats_segment& segment,
      const std::shared_ptr<spdlog::logger>& log, const signal_source& signals) {
    ensure_debugfs(sys_dir);
    const auto fuse_fd = mount_tree(sys_dir);
    if (!fuse_fd) return std::unexpected{fuse_fd.error()};
    fuse_fd_ = owned_fd{*fuse_fd};
    const auto our_namespace = mount_namespace_of();
    if (!our_namespace) return std::unexpected{"/proc is not mounted: mount it"};
    auto worker = worker_process::start(
        {
            .setup = setup,
            .fuse_fd = *fuse_fd,
            .segment = &segment,
            .log = log,
            .session = {},
            .enter = leave_namespace,
            .furnish = [](kernfs_root& tree) { link_host_acpi_devices(tree, sys_dir); },
            .parent_died = [ns = *our_namespace] { end_processes_in(ns); },
        },
        signals.fd());
    if (!worker) return worker;
    auto parts = take_parts(sys_dir, {machine_parts.begin(), machine_parts.end()},
                            {platform_parts.begin(), platform_parts.end()});
    umount2(sys_dir, MNT_DETACH);
    auto placed = parts
                      ? place_parts(*parts, sys_dir)
                      : std::expected<void, std::string>{std::unexpected{parts.error()}};
    if (placed) return worker;
    worker->stop();
    return std::unexpected{placed.error()};
  }

  // The worker's: the host's /sys again.
  static void leave_namespace() {
    if (unshare(CLONE_NEWNS) != 0 || umount2(sys_dir, MNT_DETACH) != 0)
      _exit(EXIT_FAILURE);
  }

  int attend(const std::vector<std::string>& program, const signal_source& signals,
             worker_process& worker) {
    bool machine_runs = true;
    const int status = run_in_foreground(program, signals, [&](pid_t child) {
      if (child == worker.pid()) machine_runs = false;
      return machine_runs;
    });
    end_descendants(worker.pid());
    if (!machine_runs)
      return complain(exit_run_failed,
                      "the machine's process has died and the command was ended with "
                      "it: run it with --log FILE to see why");
    worker.stop();
    return status;
  }

  machine_options machine_;
  std::string log_path_;
  owned_fd fuse_fd_;
};

}  // namespace

std::unique_ptr<command> make_run_command(CLI::App& memhp) {
  return std::make_unique<run_command>(memhp);
}

}  // namespace memhp
