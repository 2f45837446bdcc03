#include "bench/served_machine.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <functional>
#include <utility>

#include "bench/fuse_floor.h"
#include "blocks/owned_fd.h"
#include "emu/machine.h"
#include "fuse/mount_tree.h"
#include "fuse/session.h"
#include "locks/lockdep.h"

namespace memhp {
namespace {

tree_session* served = nullptr;  // of the child

struct timespec wall_clock() {
  struct timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

// Tells `ready` one byte when it serves, closes it without if it cannot.
int serve(const std::string& dir, std::uint64_t blocks, bool lockdep, int ready) {
  lockdep::set_on(lockdep);
  machine_config config;
  config.memory = blocks * config.block_size;
  config.max_memory = std::bit_ceil(2 * config.memory);
  machine_stats stats;
  auto made = machine::boot(config, {.stats = &stats, .now = wall_clock});
  auto mounted = mount_tree(dir);
  if (!made || !mounted) {
    const std::string& why = made ? mounted.error() : made.error();
    return write(ready, why.data(), why.size()) > 0 ? 1 : 2;
  }
  tree_session session{(*made)->sysfs(),
                       stats,
                       *mounted,
                       {.owner_uid = geteuid(),
                        .owner_gid = getegid(),
                        .on_ready = [ready] { close(ready); }}};
  served = &session;
  static_cast<void>(std::signal(SIGTERM, [](int) { served->stop(); }));
  const auto ended = session.run();
  const auto unmounted = unmount_tree(dir);
  return ended && unmounted ? 0 : 1;
}

int mount_and_serve_floor(const std::string& dir, int ready) {
  auto mounted = mount_tree(dir);
  if (!mounted) {
    return write(ready, mounted.error().data(), mounted.error().size()) > 0 ? 1 : 2;
  }
  std::signal(SIGTERM, [](int) { _exit(0); });
  return serve_floor(*mounted, ready);
}

}  // namespace

std::expected<served_machine, std::string> served_machine::start(std::uint64_t blocks,
                                                                 bool lockdep) {
  return start_child([=](const std::string& dir, int ready) {
    return serve(dir, blocks, lockdep, ready);
  });
}

std::expected<served_machine, std::string> served_machine::start_floor() {
  return start_child(mount_and_serve_floor);
}

std::expected<served_machine, std::string> served_machine::start_child(
    const std::function<int(const std::string& dir, int ready)>& what) {
  char name[] = "/tmp/memhp-bench-XXXXXX";
  if (mkdtemp(name) == nullptr) return std::unexpected{"cannot make a directory in /tmp"};
  const std::string root = name;
  std::filesystem::create_directory(root + "/sys");
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return std::unexpected{"no pipe"};
  const pid_t server = fork();
  if (server == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    close(ends[0]);
    _exit(what(root + "/sys", ends[1]));
  }
  close(ends[1]);
  const owned_fd ready{ends[0]};
  std::array<char, 512> why;
  const ssize_t size = read(ready.get(), why.data(), why.size());
  served_machine made{root, server};
  if (size > 0)
    return std::unexpected{std::string(why.data(), static_cast<std::size_t>(size))};
  return made;
}

served_machine::served_machine(served_machine&& other) noexcept
    : root_{std::move(other.root_)}, server_{std::exchange(other.server_, 0)} {}

served_machine::~served_machine() {
  if (server_ == 0) return;
  kill(server_, SIGTERM);
  waitpid(server_, nullptr, 0);
  static_cast<void>(unmount_tree(root_ + "/sys"));  // what was killed did not
  std::error_code ignored;
  std::filesystem::remove(root_ + "/sys", ignored);
  std::filesystem::remove(root_, ignored);
}

void served_machine::set_affinity(const cpu_set_t& cpus) const {
  for (const auto& thread :
       std::filesystem::directory_iterator{fmt::format("/proc/{}/task", server_)})
    sched_setaffinity(std::atoi(thread.path().filename().c_str()), sizeof cpus, &cpus);
}

}  // namespace memhp
