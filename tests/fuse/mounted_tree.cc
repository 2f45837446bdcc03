#include "tests/fuse/mounted_tree.h"

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ostream>

namespace memhp::test {
namespace {

device& device_of(kobject& owner) {
  return static_cast<device&>(owner);
}

result<std::string> show_value(kobject& owner, task&) {
  return device_of(owner).value();
}

result<std::size_t> store_value(kobject& owner, std::string_view text, task&) {
  device& self = device_of(owner);
  if (text.starts_with("park")) self.here.pass();
  self.set_value(text);
  ++self.stores;
  return text.size();
}

result<std::size_t> store_offline(kobject& owner, std::string_view text, task& by) {
  device& self = device_of(owner);
  if (self.here.pass_or_signal(by)) return text.size();
  ++self.undone;
  return fail(errc::interrupted);
}

result<std::size_t> store_restarting(kobject& owner, std::string_view text, task&) {
  device& self = device_of(owner);
  if (self.here.is_open()) return text.size();
  ++self.restarts;
  return fail(restart_no_intr);
}

result<std::string> show_slowly(kobject& owner, task& by) {
  device_of(owner).here.pass();
  return show_value(owner, by);
}

result<std::string> show_error(kobject&, task&) {
  return fail(errc::io_error);
}
result<std::size_t> store_error(kobject&, std::string_view, task&) {
  return fail(errc::io_error);
}

constexpr attribute plain{
    .name = "plain", .mode = 0644, .show = show_value, .store = store_value};
constexpr attribute slow{.name = "slow",
                         .mode = 0644,
                         .show = show_value,
                         .store = store_value,
                         .store_sleeps = true};
constexpr attribute offline{.name = "offline",
                            .mode = 0644,
                            .show = show_value,
                            .store = store_offline,
                            .store_sleeps = true};
constexpr attribute restarting{.name = "restarting",
                               .mode = 0644,
                               .show = show_value,
                               .store = store_restarting,
                               .store_sleeps = true};
constexpr attribute slow_read{
    .name = "slow_read", .mode = 0444, .show = show_slowly, .show_sleeps = true};
constexpr attribute shown{.name = "shown", .mode = 0444, .show = show_value};
constexpr attribute hidden{.name = "hidden", .mode = 0200, .store = store_value};
constexpr attribute broken{
    .name = "broken", .mode = 0644, .show = show_error, .store = store_error};

result<std::size_t> store_grow(kobject& owner, std::string_view text, task&) {
  device& self = device_of(owner);
  const std::string_view name = text.substr(text.find(' ') + 1);
  if (text.starts_with("add ")) {
    auto dir = self.root->create_dir(*self.dir, name);
    if (!dir) return fail(dir.error());
    if (auto made = self.root->create_file(**dir, plain, owner); !made)
      return fail(made.error());
  } else {
    self.root->remove_by_name(*self.dir, name);
  }
  return text.size();
}

constexpr attribute grow{
    .name = "grow", .mode = 0200, .store = store_grow, .store_sleeps = true};

volatile sig_atomic_t handled = 0;
void count_signal(int) {
  handled = handled + 1;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const outcome& o) {
  if (o.error != 0) return out << "error " << strerror(o.error);
  return out << o.value << " \"" << o.data << '"';
}

outcome write_fd(int fd, std::string_view text) {
  const ssize_t written = write(fd, text.data(), text.size());
  return written < 0 ? failed(errno) : returned(written);
}

outcome read_fd(int fd) {
  char text[8192];
  const ssize_t got = read(fd, text, sizeof text);
  if (got < 0) return failed(errno);
  return {.value = got, .data = std::string(text, static_cast<std::size_t>(got))};
}

outcome write_file(const std::string& path, std::string_view text, int flags) {
  const owned_fd fd{open(path.c_str(), flags | O_CLOEXEC, 0644)};
  return fd ? write_fd(fd.get(), text) : failed(errno);
}

outcome read_file(const std::string& path) {
  const owned_fd fd{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  return fd ? read_fd(fd.get()) : failed(errno);
}

void gate::pass() {
  ++inside_;
  opened_.wait([this] { return open_.load(); });
  --inside_;
}

bool gate::pass_or_signal(task& by) {
  ++inside_;
  by.wait_interruptible(opened_, [this] { return open_.load(); });
  --inside_;
  return !by.signal_pending();
}

void gate::open() {
  open_ = true;
  opened_.wake_all();
}

// A test that is killed while its own threads wait for its own server would never end:
// they keep the descriptor open whose closing would release them. So a child outlives
// the test's first thread just long enough to cut the connection.
pid_t start_undertaker(const std::string& dir) {
  const pid_t child = fork();
  if (child != 0) return child;
  sigset_t death;
  sigemptyset(&death);
  sigaddset(&death, SIGTERM);
  sigprocmask(SIG_BLOCK, &death, nullptr);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  int got = 0;
  while (getppid() != 1 && sigwait(&death, &got) != 0) {
  }
  umount2(dir.c_str(), MNT_FORCE | MNT_DETACH);
  _exit(0);
}

void mounted_tree::SetUp() {
  if (access("/dev/fuse", F_OK) != 0) GTEST_SKIP() << "no /dev/fuse on this machine";
  char name[] = "/tmp/memhp-tree-XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  dir_ = name;

  device_.root = &root_;
  device_.dir = root_.make_path("bus/dev");
  for (const attribute* file : {&plain, &slow, &offline, &restarting, &slow_read, &shown,
                                &hidden, &broken, &grow})
    ASSERT_TRUE(root_.create_file(*device_.dir, *file, device_));
  ASSERT_TRUE(root_.create_link(*root_.make_path("bus/links"), "to_dev", *device_.dir));

  undertaker_ = start_undertaker(dir_);
  auto mounted = mount_tree(dir_);
  if (!mounted) GTEST_SKIP() << mounted.error();
  fd_ = owned_fd{*mounted};
  std::promise<void> ready;
  session_ = std::make_unique<tree_session>(
      root_, stats_, fd_.get(),
      session_options{.owner_uid = geteuid(),
                      .owner_gid = getegid(),
                      .drain_timeout_ms = 60'000,
                      .on_ready = [&ready] { ready.set_value(); }});
  server_ = std::thread{[this] { ended_ = session_->run(); }};
  ready.get_future().wait();
  // As memhp up does: the root has no permissions until the kernel has asked for them,
  // and drops the answer if an invalidation of the root comes in between.
  struct stat root{};
  ASSERT_EQ(::stat(dir_.c_str(), &root), 0) << strerror(errno);
}

void mounted_tree::stop_session() {
  if (!server_.joinable()) return;
  session_->stop();
  server_.join();
}

void mounted_tree::TearDown() {
  device_.here.open();
  if (!server_.joinable()) fd_ = owned_fd{};  // what nobody serves any more ends
  for (std::thread& client : clients_) client.join();
  stop_session();
  session_.reset();
  device_.dir.reset();
  // There is none to take away where the test did it.
  if (!dir_.empty()) [[maybe_unused]]
    const auto unmounted = unmount_tree(dir_);
  if (undertaker_ > 0) {
    kill(undertaker_, SIGKILL);
    waitpid(undertaker_, nullptr, 0);
  }
  if (!dir_.empty()) rmdir(dir_.c_str());
}

owned_fd mounted_tree::open_file(const std::string& name, int flags) const {
  owned_fd fd{open(file(name).c_str(), flags | O_CLOEXEC)};
  EXPECT_TRUE(fd) << name << ": " << strerror(errno);
  return fd;
}

std::future<outcome> mounted_tree::start(std::function<outcome()> call) {
  std::packaged_task<outcome()> work{std::move(call)};
  auto result = work.get_future();
  clients_.emplace_back(std::move(work));
  return result;
}

std::future<outcome> mounted_tree::start_write(const std::string& name,
                                               std::string_view text, int flags) {
  return start([path = file(name), text = std::string{text}, flags] {
    return write_file(path, text, flags);
  });
}

std::future<outcome> mounted_tree::start_read(const std::string& name) {
  return start([path = file(name)] { return read_file(path); });
}

void mounted_tree::wait_name_expired(const std::string& name) {
  const std::uint64_t before = operations(stats_op::lookup);
  ASSERT_TRUE(eventually([&] {
    return access(file(name).c_str(), F_OK) == 0 && operations(stats_op::lookup) > before;
  }));
}

client_process::client_process(const std::string& path, std::string_view text,
                               on_usr1 usr1) {
  report_ = static_cast<report*>(mmap(nullptr, sizeof(report), PROT_READ | PROT_WRITE,
                                      MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  *report_ = {.value = -2, .error = 0, .handled = 0};
  pid_ = fork();
  if (pid_ != 0) return;
  handled = 0;
  if (usr1 != on_usr1::default_action) {
    struct sigaction action{};
    action.sa_handler = count_signal;
    action.sa_flags = usr1 == on_usr1::handled_with_restart ? SA_RESTART : 0;
    sigaction(SIGUSR1, &action, nullptr);
  }
  const int fd = open(path.c_str(), O_WRONLY);
  report_->value = write(fd, text.data(), text.size());
  report_->error = report_->value < 0 ? errno : 0;
  report_->handled = handled;
  _exit(0);
}

client_process::~client_process() {
  if (!waited_) {
    kill(pid_, SIGKILL);
    waitpid(pid_, &status_, 0);
  }
  munmap(report_, sizeof(report));
}

void client_process::send(int signal) const {
  kill(pid_, signal);
}

void client_process::wait() {
  const bool gone = eventually([this] {
    const pid_t ended = waitpid(pid_, &status_, WNOHANG);
    return ended == pid_;
  });
  waited_ = gone;
  ASSERT_TRUE(gone) << "the client hangs";
}

int client_process::killed_by() const {
  return WIFSIGNALED(status_) ? WTERMSIG(status_) : 0;
}

}  // namespace memhp::test
