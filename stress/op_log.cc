#include "stress/op_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace memhp::stress {
namespace {

struct header {
  std::array<char, 8> magic;
  std::uint64_t seed;
  std::uint32_t record_size;
  std::uint32_t command_line_size;
};
constexpr std::array<char, 8> log_magic = {'m', 'e', 'm', 'h', 'p', 'l', 'o', '1'};
constexpr std::uint32_t longest_command_line = 1U << 20;

bool write_all(int fd, const void* data, std::size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = write(fd, at, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    at += written;
    size -= static_cast<std::size_t>(written);
  }
  return true;
}

// As much as there is, up to `size`.
std::size_t read_all(int fd, void* data, std::size_t size) {
  std::size_t got = 0;
  while (got < size) {
    const ssize_t more = read(fd, static_cast<char*>(data) + got, size - got);
    if (more < 0 && errno == EINTR) continue;
    if (more <= 0) break;
    got += static_cast<std::size_t>(more);
  }
  return got;
}

}  // namespace

std::expected<op_log, std::string> op_log::create(const std::string& path,
                                                  std::uint64_t seed,
                                                  const std::string& command_line) {
  owned_fd file{
      open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644)};
  const header head{.magic = log_magic,
                    .seed = seed,
                    .record_size = sizeof(record),
                    .command_line_size = static_cast<std::uint32_t>(command_line.size())};
  if (!file || !write_all(file.get(), &head, sizeof head) ||
      !write_all(file.get(), command_line.data(), command_line.size()))
    return std::unexpected{fmt::format("{}: {}", path, strerror(errno))};
  return op_log{std::move(file)};
}

bool op_log::append(std::span<const record> calls) {
  const std::lock_guard hold{lock_};
  return write_all(file_.get(), calls.data(), calls.size_bytes());
}

std::expected<recorded_run, std::string> op_log::read(const std::string& path) {
  const owned_fd file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat st{};
  if (!file || fstat(file.get(), &st) != 0)
    return std::unexpected{fmt::format("{}: {}", path, strerror(errno))};
  header head{};
  if (read_all(file.get(), &head, sizeof head) != sizeof head ||
      head.magic != log_magic || head.record_size != sizeof(record) ||
      head.command_line_size > longest_command_line)
    return std::unexpected{
        fmt::format("{} is no log of memhp stress: write one of --record", path)};
  recorded_run run{.seed = head.seed};
  run.command_line.resize(head.command_line_size);
  (void)read_all(file.get(), run.command_line.data(), run.command_line.size());
  const auto rest = static_cast<std::size_t>(st.st_size) - sizeof head;
  run.calls.resize(rest / sizeof(record));
  const std::size_t got =
      read_all(file.get(), run.calls.data(), run.calls.size() * sizeof(record));
  run.calls.resize(got / sizeof(record));
  std::erase_if(run.calls, [](const record& each) {
    return static_cast<std::size_t>(each.op) >= operation_count;
  });
  return run;
}

}  // namespace memhp::stress
