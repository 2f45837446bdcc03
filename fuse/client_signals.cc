#include "fuse/client_signals.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>
#include <initializer_list>

#include "blocks/owned_fd.h"

namespace memhp {
namespace {

constexpr std::uint64_t mask_of(std::initializer_list<int> signals) {
  std::uint64_t mask = 0;
  for (const int signal : signals) mask |= std::uint64_t{1} << (signal - 1);
  return mask;
}

// Neither ends the process by default.
constexpr std::uint64_t harmless =
    mask_of({SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU});

// The mask on the line "field:\t<16 hex digits>".
std::uint64_t mask_field(std::string_view status, std::string_view field) {
  const auto at = status.find(field);
  if (at == std::string_view::npos) return 0;
  const std::string_view digits = status.substr(at + field.size());
  std::uint64_t mask = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), mask, 16);
  return mask;
}

}  // namespace

client_signals parse_signals(std::string_view status) {
  const std::uint64_t waiting =
      mask_field(status, "\nSigPnd:\t") | mask_field(status, "\nShdPnd:\t");
  const std::uint64_t blocked = mask_field(status, "\nSigBlk:\t");
  const std::uint64_t ignored = mask_field(status, "\nSigIgn:\t");
  const std::uint64_t caught = mask_field(status, "\nSigCgt:\t");
  const std::uint64_t kill = mask_of({SIGKILL});

  client_signals found{.pending = waiting & (~blocked | kill)};
  // io_uring that calls a request off interrupts its worker without a signal.
  if (status.starts_with("Name:\tiou-wrk-")) found.pending |= mask_of({SIGURG});
  found.fatal = (found.pending & ~caught & ~ignored & ~harmless) != 0;
  return found;
}

client_signals signals_of(pid_t tid) {
  constexpr client_signals dying{.fatal = true};
  if (tid == 0) return dying;
  const owned_fd file{
      open(fmt::format("/proc/{}/status", tid).c_str(), O_RDONLY | O_CLOEXEC)};
  if (!file) return dying;
  std::array<char, 4096> text;
  const ssize_t size = read(file.get(), text.data(), text.size());
  if (size <= 0) return dying;
  return parse_signals({text.data(), static_cast<std::size_t>(size)});
}

}  // namespace memhp
