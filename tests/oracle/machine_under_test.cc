#include "tests/oracle/machine_under_test.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace memhp::oracle {

namespace fs = std::filesystem;

namespace {

std::string slurp(const std::string& file) {
  std::ifstream in{file};
  return {std::istreambuf_iterator<char>{in}, {}};
}

bool is_mount_point(const std::string& dir) {
  struct stat self{};
  struct stat parent{};
  return ::stat(dir.c_str(), &self) == 0 && ::stat((dir + "/..").c_str(), &parent) == 0 &&
         self.st_dev != parent.st_dev;
}

// "add@PATH ACTION=add ... SEQNUM=7" as the list of its strings.
std::vector<std::string> strings_of(const std::string& line) {
  std::vector<std::string> strings;
  std::istringstream in{line};
  for (std::string word; in >> word;) {
    strings.push_back(word);
  }
  return strings;
}

}  // namespace

bool eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds deadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) {
      return false;
    }
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

machine_under_test::machine_under_test(const std::string& program,
                                       const std::vector<std::string>& options) {
  std::string work = (fs::temp_directory_path() / "memhp-oracle-XXXXXX").string();
  if (::mkdtemp(work.data()) == nullptr) {
    throw std::runtime_error{"cannot make a temporary directory"};
  }
  work_ = work;
  root_ = work_ + "/sys";
  scratch_ = work_ + "/scratch";
  fs::permissions(work_, fs::perms{0755});
  fs::create_directories(root_);
  fs::create_directories(scratch_ + "/tmp");
  fs::create_directories(scratch_ + "/mnt");
  try {
    start(program, options);
  } catch (...) {
    stop();
    throw;
  }
}

machine_under_test::~machine_under_test() {
  stop();
}

void machine_under_test::start(const std::string& program,
                               const std::vector<std::string>& options) {
  std::vector<std::string> words{program, "up",       "--foreground", "--mount",
                                 root_,   "--commit", "touch"};
  words.insert(words.end(), options.begin(), options.end());
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  const std::string log_file = work_ + "/log";
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    const int out = ::open(log_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (out >= 0) {
      ::dup2(out, STDOUT_FILENO);
      ::dup2(out, STDERR_FILENO);
    }
    ::execv(program.c_str(), argv.data());
    ::dprintf(STDERR_FILENO, "cannot run %s: %s\n", program.c_str(), strerror(errno));
    ::_exit(127);
  }
  const bool up = eventually([&] {
    return ::waitpid(pid_, nullptr, WNOHANG) == pid_ ||
           (is_mount_point(root_) && exists("devices/system/memory/memory0/state"));
  });
  if (!up || ::kill(pid_, 0) != 0) {
    throw std::runtime_error{fmt::format("memhp did not come up: {}", log())};
  }
}

void machine_under_test::stop() {
  if (pid_ > 0 && ::kill(pid_, SIGTERM) == 0) {
    if (!eventually([&] { return ::waitpid(pid_, nullptr, WNOHANG) == pid_; })) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  pid_ = -1;
  if (eventually([&] { return !is_mount_point(root_); })) {
    std::error_code ignored;
    fs::remove_all(work_, ignored);
  }
}

bool machine_under_test::died() const {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) !=
             0 ||
         info.si_pid != 0;
}

std::string machine_under_test::log() const {
  return slurp(work_ + "/log");
}

std::string machine_under_test::read(const std::string& path) const {
  return slurp(root_ + "/" + path);
}

bool machine_under_test::exists(const std::string& path) const {
  struct stat st{};
  return ::lstat((root_ + "/" + path).c_str(), &st) == 0;
}

void machine_under_test::debug(const std::string& file, const std::string& text) const {
  const std::string path = root_ + "/kernel/debug/memhp/" + file;
  const int out = ::open(path.c_str(), O_WRONLY);
  const long wrote = out < 0 ? -1 : ::write(out, text.data(), text.size());
  const int error = errno;
  ::close(out);
  if (wrote != static_cast<long>(text.size())) {
    throw std::runtime_error{
        fmt::format("writing '{}' to {}: {}", text, path, strerror(error))};
  }
}

void machine_under_test::plug(const std::string& device, const std::string& size,
                              int node) {
  pending_uevents(0);
  const std::size_t before = uevents_.size();
  debug("plug_dimm", fmt::format("size={} node={}", size, node));
  // The new blocks are those that the kernel announces. Listing the directory instead
  // would show up in recorded inotify events.
  dimm& plugged = dimms_[device];
  plugged = {};
  const auto announced = [&] {
    pending_uevents(0);
    for (std::size_t i = before; i < uevents_.size(); ++i) {
      const std::string name = uevents_[i].at(0);
      constexpr std::string_view prefix = "add@/devices/system/memory/memory";
      if (name.starts_with(prefix)) {
        plugged.blocks.push_back(std::stoull(name.substr(prefix.size())));
      }
    }
    return !plugged.blocks.empty();
  };
  if (!eventually(announced)) {
    throw std::runtime_error{fmt::format("no block appeared of {}", device)};
  }
  const fs::path dir =
      fmt::format("{}/devices/system/memory/memory{}", root_, plugged.blocks.front());
  std::error_code error;
  const fs::path target = fs::read_symlink(dir / "firmware_node", error);
  if (error) {
    throw std::runtime_error{
        fmt::format("firmware_node of {}: {}", dir.string(), error.message())};
  }
  plugged.acpi_device = (dir / target).lexically_normal().string();
}

void machine_under_test::eject(const std::string& device) {
  const std::string file = dimms_.at(device).acpi_device + "/eject";
  std::ofstream out{file};
  if (!(out << "1" << std::flush)) {
    throw std::runtime_error{fmt::format("cannot write to {}", file)};
  }
}

std::vector<std::uint64_t> machine_under_test::blocks_of(
    const std::string& device) const {
  return dimms_.at(device).blocks;
}

bool machine_under_test::wait_for_removal(const std::string& device) {
  // Looking the blocks up would already change what the kernel tells of a process that
  // works in one of them.
  const std::string status = dimms_.at(device).acpi_device + "/status";
  return eventually([&] { return slurp(status) == "0\n"; });
}

bool machine_under_test::pending_uevents(std::size_t count) {
  std::istringstream log{read("kernel/debug/memhp/uevents")};
  for (std::string line; std::getline(log, line);) {
    std::vector<std::string> strings = strings_of(line);
    if (strings.empty() || !strings.back().starts_with("SEQNUM=")) {
      throw std::runtime_error{fmt::format("not a uevent: '{}'", line)};
    }
    const std::uint64_t seqnum = std::stoull(strings.back().substr(7));
    if (seqnum <= last_seqnum_) {
      continue;
    }
    if (seqnum != last_seqnum_ + 1 && last_seqnum_ != 0) {
      throw std::runtime_error{"the log of uevents ran over"};
    }
    last_seqnum_ = seqnum;
    strings.pop_back();
    uevents_.emplace_back(strings);
  }
  return uevents_.size() >= count;
}

std::vector<json> machine_under_test::take_uevents(std::size_t expected) {
  eventually([&] { return pending_uevents(expected); }, 5s);
  return std::exchange(uevents_, {});
}

}  // namespace memhp::oracle
