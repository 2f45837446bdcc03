// memhp up: a daemon that serves a machine's tree at a directory, for every shell.
//
// The command itself only waits: the daemon is its child, which holds the mount and the
// segment of figures, and whose child in turn, the worker, holds the machine.

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <expected>
#include <optional>
#include <utility>

#include "cli/command.h"
#include "cli/foreground.h"
#include "cli/log.h"
#include "cli/machine_options.h"
#include "cli/mount_path.h"
#include "cli/notify.h"
#include "cli/worker.h"
#include "fuse/mount_tree.h"

namespace memhp {
namespace {

constexpr const char* footer =
    "DIR then shows what /sys would: DIR/devices/system/memory and so on. Without root\n"
    "the mount is made by fusermount3 and is its owner's alone. The daemon ends with\n"
    "memhp down, SIGTERM or SIGINT; a service manager is told when it is ready\n"
    "(sd_notify). The log is --log FILE, else /var/log/memhp/NAME.log for root and\n"
    "${XDG_STATE_HOME:-~/.local/state}/memhp/NAME.log for others, NAME being DIR with\n"
    "dashes; with --foreground it is stderr.";

// The daemon's end of the pipe on which the waiting command hears how it went.
class starter {
 public:
  starter() = default;
  explicit starter(owned_fd pipe) : pipe_{std::move(pipe)} {}

  // "" for success, else the line to print.
  void tell(std::string_view text) {
    if (!pipe_) return;
    (void)!write(pipe_.get(), text.data(), text.size());
    pipe_ = owned_fd{};
  }

 private:
  owned_fd pipe_;
};

class up_command final : public command {
 public:
  explicit up_command(CLI::App& memhp)
      : command{*memhp.add_subcommand("up", "serve a machine at a directory")} {
    app().footer(footer);
    app()
        .add_option("--mount", mount_, "where: an existing directory")
        ->required()
        ->type_name("DIR");
    app().add_flag("--foreground", foreground_, "stay, and log to stderr");
    app().add_option("--log", log_path_, "append the log to a file")->type_name("FILE");
    machine_.add_to(app());
  }

  std::string usage() const override { return "[OPTIONS] --mount DIR"; }

  int execute(std::vector<std::string> /*program*/) override {
    const auto setup = machine_.setup();
    if (!setup) return complain(exit_wrong_options, setup.error());
    const auto mount = usable_directory();
    if (!mount) return complain(exit_wrong_options, mount.error());
    const auto log = open_log(*mount);
    if (!log) return complain(exit_wrong_options, log.error());
    if (!foreground_) return start_daemon(*setup, *mount, *log);
    starter nobody;
    const auto served = serve(*setup, *mount, *log, nobody);
    return served ? EXIT_SUCCESS : complain(exit_failure, served.error());
  }

 private:
  using outcome = std::expected<void, std::string>;

  std::expected<std::string, std::string> usable_directory() const {
    auto mount = canonical_mount(mount_);
    struct stat st{};
    // What is mounted there already is looked at later, by who replaces it.
    if (!mount || find_mounted_tree(*mount)) return mount;
    if (::stat(mount->c_str(), &st) != 0 || !S_ISDIR(st.st_mode))
      return std::unexpected{fmt::format(
          "--mount {0} is no directory: create it with mkdir -p {0}", mount_)};
    return mount;
  }

  std::expected<std::shared_ptr<spdlog::logger>, std::string> open_log(
      const std::string& mount) const {
    if (!log_path_.empty()) return log_to_file(log_path_);
    if (foreground_) return log_to_stderr();
    return log_to_file(default_log_path(mount));
  }

  // Forks the daemon and waits until it serves or has failed.
  int start_daemon(const machine_setup& setup, const std::string& mount,
                   const std::shared_ptr<spdlog::logger>& log) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0)
      return complain(exit_failure, fmt::format("no pipe: {}", strerror(errno)));
    owned_fd ours{ends[0]};
    owned_fd theirs{ends[1]};
    const pid_t pid = fork();
    if (pid < 0)
      return complain(exit_failure, fmt::format("no process: {}", strerror(errno)));
    if (pid == 0) {
      ours = owned_fd{};
      _exit(run_daemon(setup, mount, log, starter{std::move(theirs)}));
    }
    theirs = owned_fd{};
    std::array<char, 1024> text{};
    const ssize_t size = read(ours.get(), text.data(), text.size());
    const std::string_view answer{text.data(), size > 0 ? static_cast<size_t>(size) : 0};
    if (answer == ready) return EXIT_SUCCESS;
    waitpid(pid, nullptr, 0);
    return complain(exit_failure, answer.empty()
                                      ? "the daemon ended at its start: see its log"
                                      : answer);
  }

  int run_daemon(const machine_setup& setup, const std::string& mount,
                 const std::shared_ptr<spdlog::logger>& log, starter start) {
    setsid();
    (void)!chdir("/");
    release_standard_streams();
    dup2(STDOUT_FILENO, STDERR_FILENO);
    const auto served = serve(setup, mount, log, start);
    if (!served) {
      log->error("{}", served.error());
      start.tell(served.error());
    }
    log->flush();
    return served ? EXIT_SUCCESS : exit_failure;
  }

  // The daemon's life.
  static outcome serve(const machine_setup& setup, const std::string& mount,
                       const std::shared_ptr<spdlog::logger>& log, starter& start) {
    const signal_source signals;
    auto segment = stats_segment::create(mount);
    if (!segment) return std::unexpected{segment.error()};
    auto served = mount_and_serve(setup, mount, log, start, signals, *segment);
    // The figures of a machine that died stay, for whoever asks what happened.
    if (segment->content().died_at == 0) segment->remove();
    return served;
  }

  static outcome mount_and_serve(const machine_setup& setup, const std::string& mount,
                                 const std::shared_ptr<spdlog::logger>& log,
                                 starter& start, const signal_source& signals,
                                 stats_segment& segment) {
    if (auto cleared = clear_stale_mount(mount, log); !cleared) return cleared;
    const auto opened = mount_tree(mount);
    if (!opened) return std::unexpected{opened.error()};
    owned_fd fuse_fd{*opened};
    auto worker = worker_process::start(
        {
            .setup = setup,
            .fuse_fd = fuse_fd.get(),
            .segment = &segment,
            .log = log,
            .session = {.owner_uid = geteuid(), .owner_gid = getegid()},
            .enter = {},
            .parent_died = [mount, log] { take_away(mount, log); },
        },
        signals.fd());
    if (!worker) {
      fuse_fd = owned_fd{};  // nobody is left to answer the question on the way
      take_away(mount, log);
      return std::unexpected{worker.error()};
    }
    // The first look at it lets the kernel know its root from here on: the way to unmount
    // it leads past it, also when nobody answers any more, and where fusermount3 has
    // mounted it, the root has no permissions until the kernel has asked for them.
    struct stat root{};
    (void)::stat(mount.c_str(), &root);
    log->info("serving a machine at {}", mount);
    start.tell(ready);
    notify_service_manager(
        fmt::format("READY=1\nMAINPID={}\nSTATUS=serving {}", getpid(), mount));
    const outcome ended = wait_for_end(signals, *worker, segment);
    notify_service_manager("STOPPING=1");
    // Without a worker nothing may wait for an answer: the last descriptor goes first.
    if (!ended) fuse_fd = owned_fd{};
    take_away(mount, log);
    if (ended) worker->stop();
    return ended;
  }

  static void take_away(const std::string& mount,
                        const std::shared_ptr<spdlog::logger>& log) {
    if (const auto unmounted = unmount_tree(mount))
      log->info("unmounted {}", mount);
    else
      log->error("{}", unmounted.error());
  }

  // A mount whose server is dead answers nothing: it is replaced. A live one is not.
  static outcome clear_stale_mount(const std::string& mount,
                                   const std::shared_ptr<spdlog::logger>& log) {
    const auto found = find_abandoned_tree(mount);
    if (!found) return {};
    if (found->stale) {
      log->warn("{}: the server of the machine there is dead, its mount is replaced",
                mount);
      return unmount_tree(mount);
    }
    return std::unexpected{fmt::format(
        "{} is a mount point already: unmount it or use another directory", mount)};
  }

  // Until a signal asks for it, or the worker has died (the error).
  static outcome wait_for_end(const signal_source& signals, worker_process& worker,
                              stats_segment& segment) {
    while (true) {
      std::array<pollfd, 2> fds{
          {{.fd = signals.fd(), .events = POLLIN, .revents = 0},
           {.fd = worker.lifeline(), .events = POLLIN, .revents = 0}}};
      poll(fds.data(), fds.size(), -1);
      for (auto info = signals.next(); info.ssi_signo != 0; info = signals.next())
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) return {};
      if (fds[1].revents == 0) continue;
      int status = 0;
      waitpid(worker.pid(), &status, 0);
      segment.content().died_at = static_cast<std::uint64_t>(std::time(nullptr));
      return std::unexpected{
          WIFSIGNALED(status)
              ? fmt::format("the machine's process was ended by signal {}",
                            WTERMSIG(status))
              : fmt::format("the machine's process ended with status {}",
                            WEXITSTATUS(status))};
    }
  }

  static constexpr std::string_view ready = "ready";

  machine_options machine_;
  std::string mount_;
  std::string log_path_;
  bool foreground_ = false;
};

}  // namespace

std::unique_ptr<command> make_up_command(CLI::App& memhp) {
  return std::make_unique<up_command>(memhp);
}

}  // namespace memhp
