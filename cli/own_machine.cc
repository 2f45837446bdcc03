#include "cli/own_machine.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "cli/mount_path.h"
#include "emu/stats_segment.h"

namespace memhp {
namespace {

// Runs this program with other arguments; its exit status, -1 if it could not be run.
int run_self(std::vector<std::string> arguments, const std::string& errors) {
  arguments.insert(arguments.begin(), "memhp");
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& each : arguments) argv.push_back(each.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, errors.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t pid = -1;
  const int error =
      posix_spawn(&pid, "/proc/self/exe", &files, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  int status = 0;
  if (error != 0 || waitpid(pid, &status, 0) != pid) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string first_line_of(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  std::array<char, 1024> text{};
  const ssize_t size = fd >= 0 ? read(fd, text.data(), text.size()) : 0;
  if (fd >= 0) close(fd);
  const std::string all{text.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
  std::string line = all.substr(0, all.find('\n'));
  constexpr std::string_view prefix = "memhp up: ";
  if (line.starts_with(prefix)) line.erase(0, prefix.size());
  return line;
}

}  // namespace

own_machine::own_machine(std::string directory)
    : directory_{std::move(directory)}, mount_{directory_ + "/sys"} {}

own_machine::own_machine(own_machine&& other) noexcept
    : directory_{std::exchange(other.directory_, {})}, mount_{std::move(other.mount_)} {}

std::expected<own_machine, std::string> own_machine::start(
    const std::vector<std::string>& options) {
  std::error_code no_directory;
  std::string pattern = std::filesystem::temp_directory_path(no_directory).string() +
                        "/memhp-stress.XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr)
    return std::unexpected{fmt::format("{}: {}", pattern, strerror(errno))};
  own_machine machine{pattern};
  if (mkdir(machine.mount_.c_str(), 0700) != 0)
    return std::unexpected{fmt::format("{}: {}", machine.mount_, strerror(errno))};
  std::vector<std::string> arguments{"up", "--mount", machine.mount_, "--log",
                                     machine.directory_ + "/log"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  const std::string errors = machine.directory_ + "/errors";
  if (run_self(arguments, errors) != 0)
    return std::unexpected{"no machine: " + first_line_of(errors)};
  return machine;
}

void own_machine::kill() const {
  if (const auto view = stats_view::of_mount(mount_))
    if (view->stats().pid > 0) ::kill(static_cast<pid_t>(view->stats().pid), SIGKILL);
}

own_machine::~own_machine() {
  if (directory_.empty()) return;
  if (find_mounted_tree(mount_))
    (void)run_self({"down", "--mount", mount_}, directory_ + "/errors");
  if (find_mounted_tree(mount_)) return;  // never walk into a tree that is still there
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

}  // namespace memhp
