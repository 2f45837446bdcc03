#include "cli/worker.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "blocks/pidfd.h"
#include "cli/foreground.h"
#include "cli/work_thread.h"
#include "emu/eras.h"
#include "emu/kernel.h"
#include "emu/lock_figures.h"
#include "locks/blocked_tasks.h"
#include "locks/completion.h"
#include "locks/lockdep.h"
#include "locks/lockdep_report.h"

namespace memhp {
namespace {

// Messages on the lifeline. Anything else from the worker is the reason why it failed.
constexpr std::string_view message_ready = "ready";
constexpr std::string_view message_stop = "stop";

constexpr int heartbeat_ms = 1000;
constexpr int stop_timeout_ms = 15'000;  // longer than a session takes to drain

std::uint64_t now_s() {
  return static_cast<std::uint64_t>(std::time(nullptr));
}

void send_message(int fd, std::string_view text) {
  (void)send(fd, text.data(), text.size(), MSG_NOSIGNAL);
}

// The next message; empty once the other side is gone.
std::string receive_message(int fd) {
  std::array<char, 1024> buffer{};
  const ssize_t size = recv(fd, buffer.data(), buffer.size(), 0);
  return {buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
}

// While it lives, what the validator finds goes to the machine's log and to proc/kmsg.
class lockdep_reports {
 public:
  explicit lockdep_reports(kernel& k)
      : former_{lockdep::set_reporter([&k](const lockdep_report& report) {
          k.printk(to_text(report, era_of(k.rules).words), log_level::warning);
        })} {
    // Whoever serves a tree to others goes on where a kernel would.
    lockdep::set_on_error(lockdep::on_error::go_on);
  }
  ~lockdep_reports() { lockdep::set_reporter(std::move(former_)); }
  lockdep_reports(const lockdep_reports&) = delete;
  lockdep_reports& operator=(const lockdep_reports&) = delete;

 private:
  lockdep::reporter former_;
};

// While it lives, a thread looks for tasks that hang inside the machine.
class hung_task_watch {
 public:
  hung_task_watch(kernel& k, int timeout_s) {
    k.hung_tasks.timeout_secs = static_cast<std::uint64_t>(timeout_s);
    // Also with a timeout of 0, which may be changed while somebody waits already.
    blocked_tasks::set_watched(true);
    thread_ = std::jthread{[this, &k](const std::stop_token& stop) { run(stop, k); }};
  }
  ~hung_task_watch() {
    thread_.request_stop();
    ended_.complete();
  }
  hung_task_watch(const hung_task_watch&) = delete;
  hung_task_watch& operator=(const hung_task_watch&) = delete;

 private:
  void run(const std::stop_token& stop, kernel& k) {
    pthread_setname_np(pthread_self(), "khungtaskd");
    while (!stop.stop_requested()) {
      k.hung_tasks.check(std::chrono::steady_clock::now().time_since_epoch());
      (void)ended_.wait_for(interval);
    }
  }

  static constexpr std::chrono::milliseconds interval{500};
  completion ended_;
  std::jthread thread_;
};

// Everything between fork() and _exit() of the worker.
class worker {
 public:
  worker(const worker_plan& plan, int lifeline) : plan_{plan}, lifeline_{lifeline} {}

  int run() {
    if (auto served = serve(); !served) {
      plan_.log->error("{}", served.error());
      send_message(lifeline_, served.error());
      return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
  }

 private:
  std::expected<void, std::string> serve() {
    auto memory = mapped_memory::create(memory_options());
    if (!memory) return std::unexpected{memory.error()};
    describe(**memory);

    // Before any other thread: what one holds when the validator is switched on, it gives
    // back unseen. And booting takes locks already.
    lockdep::set_report_format(era_of(plan_.setup.config.rules).words);
    lockdep::set_on(plan_.setup.lockdep);
    if (plan_.setup.lock_stat) lockdep::set_lock_stat(true);
    work_thread work;
    auto booted = machine::boot(plan_.setup.config, environment(**memory, work));
    if (!booted) return std::unexpected{booted.error()};
    plan_.log->info("booted: {} node(s), era {}", plan_.setup.config.nodes,
                    plan_.setup.config.rules.era);
    if (plan_.furnish) plan_.furnish((*booted)->sysfs());
    const lockdep_reports reports{(*booted)->kernel()};
    const hung_task_watch hung_tasks{(*booted)->kernel(),
                                     plan_.setup.hung_task_timeout_s};

    session_options options = plan_.session;
    options.on_ready = [this] { send_message(lifeline_, message_ready); };
    options.log = [this](const std::string& line) { plan_.log->warn("{}", line); };
    tree_session session{(*booted)->sysfs(), plan_.segment->stats(), plan_.fuse_fd,
                         std::move(options)};
    auto watching = std::jthread{
        [&](const std::stop_token& stop) { watch(stop, **memory, session); }};
    auto ended = session.run();
    if (!ended) {
      // Operations are still inside the machine: it must not be destroyed.
      plan_.log->critical("{}", ended.error());
      plan_.log->flush();
      _exit(EXIT_FAILURE);
    }
    work.finish();
    return {};
  }

  mapped_memory_options memory_options() const {
    const machine_config& config = plan_.setup.config;
    mapped_memory_options options{
        .max_memory = config.max_memory,
        .block_size = config.block_size,
        .start_memory = config.memory * static_cast<std::uint64_t>(config.nodes),
        .backing = plan_.setup.backing,
        .commit = plan_.setup.commit,
        .log = [log = plan_.log](const std::string& line) { log->info("{}", line); },
    };
    for (const dimm_spec& dimm : config.dimms) options.start_memory += dimm.size;
    return options;
  }

  machine_environment environment(mapped_memory& memory, work_thread& work) const {
    return {
        .memory = &memory,
        .stats = &plan_.segment->stats(),
        .run_work =
            [&work](std::function<void()> function) { work.run(std::move(function)); },
        .after =
            [&work](unsigned ms, std::function<void()> function) {
              work.run_after(std::chrono::milliseconds{ms}, std::move(function));
            },
        .pause =
            [](unsigned ms) {
              std::this_thread::sleep_for(std::chrono::milliseconds{ms});
            },
        .now =
            [] {
              struct timespec now{};
              clock_gettime(CLOCK_REALTIME, &now);
              return now;
            },
        .uevent =
            [log = plan_.log](const std::string& text) {
              log->debug("uevent: {}", text.substr(0, text.find('\n')));
            },
        .printk =
            [log = plan_.log](const std::string& line) { log->info("kernel: {}", line); },
    };
  }

  // Fills in what stays as it is while the machine runs and what it cannot know.
  void describe(const mapped_memory& memory) const {
    machine_stats& stats = plan_.segment->stats();
    stats.pid = getpid();
    stats.started_at = now_s();
    to_string(memory.kind()).copy(stats.backing, sizeof stats.backing - 1);
    plan_.segment->content().heard_at = now_s();
  }

  // Until `stop`: keeps the figures current that nobody else does, and ends the session
  // when the parent asks for it or is gone.
  void watch(const std::stop_token& stop, const mapped_memory& memory,
             tree_session& session) const {
    while (!stop.stop_requested()) {
      stats_segment_content& content = plan_.segment->content();
      content.heard_at = now_s();
      content.stats.resident_bytes = memory.resident_bytes();
      content.locks.publish(current_lock_figures(), lock_stat::on());
      pollfd parent{.fd = lifeline_, .events = POLLIN, .revents = 0};
      if (poll(&parent, 1, heartbeat_ms) <= 0) continue;
      if (receive_message(lifeline_) != message_stop) {
        plan_.log->critical("the process that started this one is gone: ending");
        content.died_at = now_s();
        if (plan_.parent_died) plan_.parent_died();
      }
      session.stop();
      return;
    }
  }

  const worker_plan& plan_;
  const int lifeline_;
};

// What the worker inherited and must not keep: the terminal, standard input and output,
// and blocked signals.
void become_worker(const worker_plan& plan) {
  prctl(PR_SET_NAME, "memhp-worker");
  setsid();
  release_standard_streams();
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTSTP})
    std::signal(signal, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (plan.enter) plan.enter();
}

// A signal that asks this process to end, if one has arrived.
std::optional<int> end_requested(int signal_fd) {
  signalfd_siginfo info{};
  while (read(signal_fd, &info, sizeof info) == sizeof info)
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT})
      if (static_cast<int>(info.ssi_signo) == signal) return signal;
  return std::nullopt;
}

}  // namespace

std::expected<worker_process, std::string> worker_process::start(const worker_plan& plan,
                                                                 int signal_fd) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return std::unexpected{fmt::format("no socket pair: {}", strerror(errno))};
  owned_fd ours{ends[0]};
  owned_fd theirs{ends[1]};
  const pid_t pid = fork();
  if (pid < 0)
    return std::unexpected{
        fmt::format("no process for the machine: {}", strerror(errno))};
  if (pid == 0) {
    ours = owned_fd{};
    become_worker(plan);
    int status = EXIT_SUCCESS;
    {
      worker self{plan, theirs.get()};
      status = self.run();
    }
    plan.log->flush();
    _exit(status);
  }
  theirs = owned_fd{};

  worker_process started{pid, std::move(ours)};
  while (true) {
    std::array<pollfd, 2> fds{{{.fd = started.lifeline(), .events = POLLIN, .revents = 0},
                               {.fd = signal_fd, .events = POLLIN, .revents = 0}}};
    poll(fds.data(), fds.size(), -1);
    if (fds[0].revents != 0) break;
    if (const auto signal = end_requested(signal_fd)) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
      return std::unexpected{fmt::format("stopped by {} before the machine was ready",
                                         sigabbrev_np(*signal)
                                             ? fmt::format("SIG{}", sigabbrev_np(*signal))
                                             : fmt::format("signal {}", *signal))};
    }
  }
  const std::string answer = receive_message(started.lifeline());
  if (answer == message_ready) return started;
  int status = 0;
  waitpid(pid, &status, 0);
  if (!answer.empty()) return std::unexpected{answer};
  return std::unexpected{
      fmt::format("the machine's process ended before it was ready "
                  "(status {:#x}): see the log",
                  status)};
}

void worker_process::stop() {
  send_message(lifeline_.get(), message_stop);
  kill(pid_, SIGCONT);  // somebody may have stopped it
  const owned_fd process{pidfd_open(pid_, 0)};
  pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
  if (process && poll(&ended, 1, stop_timeout_ms) == 0) kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

}  // namespace memhp
