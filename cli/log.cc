#include "cli/log.h"

#include <fmt/format.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

namespace memhp {
namespace {

std::shared_ptr<spdlog::logger> make_logger(spdlog::sink_ptr sink) {
  auto logger = std::make_shared<spdlog::logger>("memhp", std::move(sink));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l [%P] %v");
  // A machine that dies leaves nothing unwritten.
  logger->flush_on(spdlog::level::trace);
  return logger;
}

std::string environment_or(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

}  // namespace

std::string default_log_path(const std::string& mount) {
  const std::string directory =
      geteuid() == 0 ? "/var/log/memhp"
                     : environment_or("XDG_STATE_HOME",
                                      environment_or("HOME", "/tmp") + "/.local/state") +
                           "/memhp";
  std::string name = mount.substr(std::min(mount.find_first_not_of('/'), mount.size()));
  std::ranges::replace(name, '/', '-');
  return fmt::format("{}/{}.log", directory, name);
}

std::expected<std::shared_ptr<spdlog::logger>, std::string> log_to_file(
    const std::string& path) {
  try {
    return make_logger(std::make_shared<spdlog::sinks::basic_file_sink_mt>(path));
  } catch (const spdlog::spdlog_ex&) {
    return std::unexpected{
        fmt::format("cannot write the log {}: name another with --log FILE", path)};
  }
}

std::shared_ptr<spdlog::logger> log_to_stderr() {
  return make_logger(std::make_shared<spdlog::sinks::stderr_sink_mt>());
}

std::shared_ptr<spdlog::logger> log_to_nowhere() {
  return make_logger(std::make_shared<spdlog::sinks::null_sink_mt>());
}

}  // namespace memhp
