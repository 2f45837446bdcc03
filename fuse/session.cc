#include "fuse/session.h"

#include <fmt/format.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "blocks/owned_fd.h"
#include "fuse/kernfs_ops.h"
#include "fuse/latency_request.h"
#include "locks/guards.h"
#include "locks/tracked.h"

namespace memhp {
namespace {

using clock = std::chrono::steady_clock;

constexpr int default_spin_us = 50;
// Timers are looked at when no request waits, and after this many in any case.
constexpr int requests_per_look = 64;
// No attribute is longer than a page; what is written beyond is cut off.
constexpr unsigned max_write = 64 * 1024;
// The kernel counts releases as background requests and holds them back beyond this.
constexpr unsigned max_background = 4096;

std::chrono::microseconds spin_time(int wanted_us) {
  if (wanted_us >= 0) return std::chrono::microseconds{wanted_us};
  cpu_set_t mine;
  const bool alone =
      sched_getaffinity(0, sizeof mine, &mine) == 0 && CPU_COUNT(&mine) == 1;
  return std::chrono::microseconds{alone ? 0 : default_spin_us};
}

void on_init(void* tree, fuse_conn_info* connection) {
  static_cast<served_tree*>(tree)->opendir_needed =
      (connection->capable & FUSE_CAP_NO_OPENDIR_SUPPORT) == 0;
  connection->want =
      connection->capable &
      (FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
       FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_HANDLE_KILLPRIV);
  connection->max_write = max_write;
  connection->max_background = max_background;
  connection->congestion_threshold = max_background;
}

fuse_session* new_session(served_tree& tree) {
  fuse_lowlevel_ops ops{};
  ops.init = on_init;
  add_tree_ops(ops);
  add_file_ops(ops);
  std::string program = "memhp";
  std::array<char*, 2> argv{program.data(), nullptr};
  fuse_args args = FUSE_ARGS_INIT(1, argv.data());
  fuse_session* session = fuse_session_new(&args, &ops, sizeof ops, &tree);
  fuse_opt_free_args(&args);
  return session;
}

}  // namespace

struct tree_session::parts final : kernfs_observer {
  parts(kernfs_root& root, machine_stats& stats, int fd, session_options wanted)
      : options{std::move(wanted)},
        device{fd},
        wake{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)},
        tree{root, stats, options.owner_uid, options.owner_gid,
             [this] { wake_receiver(); }} {
    root.set_observer(this);
  }
  ~parts() override { tree.root.set_observer(nullptr); }

  // Names that do not exist are not remembered, so a new one need not be told. But the
  // kernel may believe in an earlier node of this name for good: it revalidates without
  // a lock, and a client that heard of that node just before the removal makes the name
  // valid again after it was expired. What is dropped cannot be revived.
  void node_added(kernfs_node& node) override {
    if (was_gone(node)) tree.tell_kernel.drop_name(node.parent()->ino(), node.name());
    forget_listing(*node.parent());
  }
  void removal_begins(kernfs_node& node) override {
    expire_name(node);
    forget_listing(*node.parent());
  }
  // A device's directory goes last. Whoever then sees by any other file that the device
  // is gone must not find it in a listing; no request waits here, whose answer would
  // flush. The receiver removes nothing.
  void node_removed(kernfs_node& node) override {
    removal_begins(node);
    if (node.type() == kernfs_type::directory && node.parent()->active())
      tree.tell_kernel.flush();
  }

  void expire_name(kernfs_node& node) {
    if (!tree.nodes.known(node.parent()->ino())) return;
    tree.tell_kernel.expire_gone_name(node.parent()->ino(), node.name());
    if (!node.parent()->active()) return;  // nothing comes back in there
    guard hold{gone_lock};
    gone.emplace(node.parent()->ino(), node.name());
  }
  bool was_gone(kernfs_node& node) {
    guard hold{gone_lock};
    return gone.erase({node.parent()->ino(), std::string{node.name()}}) != 0;
  }
  // With it goes the link count of the directory.
  void forget_listing(kernfs_node& dir) {
    if (tree.nodes.known(dir.ino())) tree.tell_kernel.forget_listing(dir.ino());
  }

  // Async-signal-safe.
  void wake_receiver() const noexcept {
    const std::uint64_t one = 1;
    static_cast<void>(!write(wake.get(), &one, sizeof one));
  }

  void log(const std::string& line) const {
    if (options.log) options.log(line);
  }

  std::expected<void, std::string> serve(fuse_session* session);
  bool receive(fuse_session* session, fuse_buf& buffer, int& error);
  void wait_for_request(clock::time_point quiet_since,
                        std::optional<clock::time_point> timer);
  void sleep_until_needed(std::optional<clock::time_point> timer);

  const session_options options;
  const std::chrono::microseconds spin = spin_time(options.spin_us);
  const int device;
  const owned_fd wake;
  std::atomic<bool> stopping = false;
  bool announced = false;
  static constexpr lock_class_key gone_lock_key{.name = "gone names"};
  tracked_mutex gone_lock{gone_lock_key};
  // Names below nodes that the kernel knows, removed and not back yet.
  std::set<std::pair<node_id, std::string>> gone GUARDED_BY(gone_lock);
  served_tree tree;
  latency_request latency{options.keep_cpus_awake ? latency_request::host_device
                                                  : nullptr};
};

// Reads and does one request. False if there was none; then `error` is 0 at the end of
// the mount.
bool tree_session::parts::receive(fuse_session* session, fuse_buf& buffer, int& error) {
  const int got = fuse_session_receive_buf(session, &buffer);
  error = -got;
  if (got <= 0) return false;
  latency.busy();
  fuse_session_process_buf(session, &buffer);
  if (!announced && tree.init.answered) {
    announced = true;
    if (options.on_ready) options.on_ready();
  }
  return true;
}

void tree_session::parts::sleep_until_needed(std::optional<clock::time_point> timer) {
  using namespace std::chrono;
  std::array<pollfd, 2> waited{
      {{.fd = device, .events = POLLIN}, {.fd = wake.get(), .events = POLLIN}}};
  timespec left{};
  if (timer) {
    const auto ns = std::max(nanoseconds{0}, nanoseconds{*timer - clock::now()});
    left = {.tv_sec = duration_cast<seconds>(ns).count(),
            .tv_nsec = (ns % seconds{1}).count()};
  }
  if (ppoll(waited.data(), waited.size(), timer ? &left : nullptr, nullptr) <= 0) return;
  if (std::uint64_t count = 0; waited[1].revents != 0)
    static_cast<void>(!read(wake.get(), &count, sizeof count));
}

// The next request of the same client is some microseconds away: sleeping at once and
// being woken would cost more than they.
void tree_session::parts::wait_for_request(clock::time_point quiet_since,
                                           std::optional<clock::time_point> timer) {
  if (clock::now() - quiet_since < spin) {
    sched_yield();
    return;
  }
  const auto quiet = quiet_since + latency_request::linger;
  if (latency.held()) timer = timer ? std::min(*timer, quiet) : quiet;
  sleep_until_needed(timer);
  if (clock::now() >= quiet) latency.quiet();
}

std::expected<void, std::string> tree_session::parts::serve(fuse_session* session) {
  fuse_buf buffer{};
  const auto free_buffer = [&buffer](void*) { std::free(buffer.mem); };
  const std::unique_ptr<void, decltype(free_buffer)> owner{&buffer, free_buffer};

  auto last_request = clock::now();
  int served = 0;
  int error = 0;
  while (!stopping.load(std::memory_order_acquire)) {
    if (receive(session, buffer, error)) {
      if (++served % requests_per_look == 0) tree.parked.run_timers();
      last_request = clock::time_point{};
      continue;
    }
    if (error == 0 || fuse_session_exited(session)) return {};
    if (error != EAGAIN && error != EINTR)
      return std::unexpected{fmt::format("cannot read /dev/fuse: {}", strerror(error))};
    const auto timer = tree.parked.run_timers();
    if (last_request == clock::time_point{}) last_request = clock::now();
    wait_for_request(last_request, timer);
  }
  return {};
}

tree_session::tree_session(kernfs_root& root, machine_stats& stats, int fd,
                           session_options options)
    : parts_{std::make_unique<parts>(root, stats, fd, std::move(options))} {}

tree_session::~tree_session() = default;

std::expected<void, std::string> tree_session::run() {
  const std::unique_ptr<fuse_session, decltype(&fuse_session_destroy)> session{
      new_session(parts_->tree), fuse_session_destroy};
  if (!session) return std::unexpected{"libfuse cannot make a session: out of memory"};
  if (!attach_device(session.get(), parts_->device))
    return std::unexpected{fmt::format("descriptor {} is no /dev/fuse: {}",
                                       parts_->device, strerror(errno))};

  served_tree& tree = parts_->tree;
  tree.tell_kernel.start(session.get());
  auto ended = parts_->serve(session.get());
  tree.parked.answer_all();
  const bool idle =
      tree.parked.wait_idle(std::chrono::milliseconds{parts_->options.drain_timeout_ms});
  tree.tell_kernel.stop();
  if (!idle) return std::unexpected{"operations are stuck inside the machine"};
  return ended;
}

void tree_session::stop() noexcept {
  parts_->stopping.store(true, std::memory_order_release);
  parts_->wake_receiver();
}

}  // namespace memhp
