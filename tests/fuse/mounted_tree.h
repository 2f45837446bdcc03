// A small hand-made kernfs tree, served on a real mount in a temporary directory, for
// tests whose clients are threads and children of the test.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "blocks/owned_fd.h"
#include "emu/kernfs.h"
#include "emu/machine_stats.h"
#include "fuse/mount_tree.h"
#include "fuse/session.h"
#include "locks/tracked.h"

namespace memhp::test {

// Waits for something that another thread or process brings about. The deadline is
// there for the test that fails.
template <class Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::microseconds{200});
  }
  return true;
}

// What one system call, or open + call + close, returned.
struct outcome {
  ssize_t value = -1;
  int error = 0;
  std::string data;
  friend bool operator==(const outcome&, const outcome&) = default;
};
std::ostream& operator<<(std::ostream& out, const outcome& o);
inline outcome returned(ssize_t value) {
  return {.value = value};
}
inline outcome failed(int error) {
  return {.error = error};
}

outcome write_fd(int fd, std::string_view text);
outcome read_fd(int fd);
// open + write or read + close.
outcome write_file(const std::string& path, std::string_view text, int flags = O_WRONLY);
outcome read_file(const std::string& path);
// What the shell does for `echo text > path`, without the newline.
inline outcome echo(const std::string& path, std::string_view text) {
  return write_file(path, text, O_WRONLY | O_CREAT | O_TRUNC);
}

// Where stores wait until the test lets them go on.
class gate {
 public:
  // Waits; counts who does.
  void pass();
  // Also ends when the task has a signal; false then.
  bool pass_or_signal(task& by);
  void open();
  bool is_open() const { return open_.load(); }
  int inside() const { return inside_.load(); }

 private:
  tracked_wait_queue opened_{"gate"};
  std::atomic<bool> open_ = false;
  std::atomic<int> inside_ = 0;
};

// The tree's one device. Words written to its files:
//   plain       anything: stored, read back; never sleeps
//   slow        the same, but declared to sleep; "park..." waits at the gate, deaf
//   offline     waits at the gate, EINTR on a signal, then undone counts up
//   restarting  restart_no_intr while the gate is closed
//   slow_read   reading waits at the gate
//   grow        "add NAME", "remove NAME": a directory with a file "plain"
//   shown       0444      hidden  0200 (plain)      broken  show and store answer EIO
struct device : kobject {
  gate here;
  kernfs_root* root = nullptr;
  kernfs_ref dir;
  std::string value() {
    const std::lock_guard hold{lock};
    return text;
  }
  void set_value(std::string_view to) {
    const std::lock_guard hold{lock};
    text = to;
  }

  std::mutex lock;
  std::string text = "first\n";  // guarded by lock
  std::atomic<int> undone = 0;
  std::atomic<int> stores = 0;
  std::atomic<int> restarts = 0;
};

class mounted_tree : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Path of a file of the device.
  std::string file(const std::string& name) const { return dir_ + "/bus/dev/" + name; }
  // open(), which must work; closed with the result.
  owned_fd open_file(const std::string& name, int flags) const;
  // Does something in the background. The client is joined at the end of the test,
  // after the gate was opened.
  std::future<outcome> start(std::function<outcome()> call);
  std::future<outcome> start_write(const std::string& name, std::string_view text,
                                   int flags = O_WRONLY);
  std::future<outcome> start_read(const std::string& name);
  // Waits until `count` stores stand at the gate.
  void wait_parked(int count) {
    ASSERT_TRUE(eventually([&] { return device_.here.inside() == count; }));
  }
  // Waits until the kernel has been told to look this name up again.
  void wait_name_expired(const std::string& name);
  std::uint64_t operations(stats_op op) const {
    return stats_.operations[static_cast<std::size_t>(op)].load();
  }
  void stop_session();

  std::string dir_;
  kernfs_root root_{[] {
    struct timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return now;
  }};
  machine_stats stats_;
  device device_;
  owned_fd fd_;
  std::unique_ptr<tree_session> session_;
  std::thread server_;
  std::expected<void, std::string> ended_;  // what run() returned
  std::vector<std::thread> clients_;
  pid_t undertaker_ = 0;
};

// A forked client that performs one write and can be sent signals.
class client_process {
 public:
  enum class on_usr1 { default_action, handled, handled_with_restart };
  client_process(const std::string& path, std::string_view text,
                 on_usr1 usr1 = on_usr1::default_action);
  ~client_process();
  client_process(const client_process&) = delete;
  client_process& operator=(const client_process&) = delete;

  pid_t pid() const { return pid_; }
  void send(int signal) const;
  // Waits for its end.
  void wait();
  // After wait(): the signal that killed it, 0 if none.
  int killed_by() const;
  // After wait(), if it was not killed: what write() returned and how many times the
  // handler had run by then.
  outcome wrote() const { return {.value = report_->value, .error = report_->error}; }
  int handler_runs() const { return report_->handled; }
  // ThreadSanitizer does not run handlers in a child forked beside threads.
#ifdef __SANITIZE_THREAD__
  static constexpr bool handlers_run = false;
#else
  static constexpr bool handlers_run = true;
#endif

 private:
  struct report {
    ssize_t value;
    int error;
    int handled;
  };
  pid_t pid_ = 0;
  int status_ = 0;
  bool waited_ = false;
  report* report_ = nullptr;  // shared with the child
};

}  // namespace memhp::test
