#include "emu/uevent.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "locks/guards.h"

namespace memhp {
namespace {

constexpr std::array<std::string_view, 8> actions = {
    "add", "remove", "change", "move", "online", "offline", "bind", "unbind"};

bool is_alnum(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}
bool is_xdigit(char c) {
  return std::isxdigit(static_cast<unsigned char>(c)) != 0;
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !is_xdigit(text[i])) return false;
  }
  return true;
}

// KEY=VALUE, both of letters and digits only, becomes SYNTH_ARG_KEY=VALUE.
result<std::string> synth_argument(std::string_view pair) {
  const auto equals = pair.find('=');
  if (equals == 0 || equals == pair.npos) return fail(errc::invalid_argument);
  const std::string_view key = pair.substr(0, equals);
  const std::string_view value = pair.substr(equals + 1);
  if (value.empty() || !std::ranges::all_of(key, is_alnum) ||
      !std::ranges::all_of(value, is_alnum))
    return fail(errc::invalid_argument);
  return "SYNTH_ARG_" + std::string{pair};
}

std::string_view next_token(std::string_view& rest) {
  const auto blank = rest.find(' ');
  const std::string_view token = rest.substr(0, blank);
  rest.remove_prefix(blank == rest.npos ? rest.size() : blank + 1);
  return token;
}

}  // namespace

result<synthetic_uevent> kobject_synth_uevent(std::string_view data) {
  if (data.ends_with('\n') || data.ends_with('\0')) data.remove_suffix(1);
  const bool bare = data.find(' ') == data.npos;
  const bool data_ends_blank = data.ends_with(' ');
  const std::string_view action = next_token(data);
  if (std::ranges::find(actions, action) == actions.end())
    return fail(errc::invalid_argument);

  synthetic_uevent out{.action = std::string{action}, .variables = {}};
  if (bare) {
    out.variables.emplace_back("SYNTH_UUID=0");
    return out;
  }
  const std::string_view uuid = next_token(data);
  // A blank promises one more argument.
  if (!is_uuid(uuid) || data_ends_blank) return fail(errc::invalid_argument);
  out.variables.push_back("SYNTH_UUID=" + std::string{uuid});
  while (!data.empty()) {
    auto argument = synth_argument(next_token(data));
    if (!argument) return fail(argument.error());
    out.variables.push_back(std::move(*argument));
  }
  return out;
}

void uevent_log::send(std::string_view action, std::string_view devpath,
                      std::string_view subsystem, const std::vector<std::string>& extra) {
  guard hold{lock_};
  std::vector<std::string> strings = {
      fmt::format("{}@{}", action, devpath), fmt::format("ACTION={}", action),
      fmt::format("DEVPATH={}", devpath), fmt::format("SUBSYSTEM={}", subsystem)};
  strings.insert(strings.end(), extra.begin(), extra.end());
  strings.push_back(fmt::format("SEQNUM={}", ++seqnum_));

  messages_.push_back(fmt::format("{}", fmt::join(strings, " ")));
  if (messages_.size() > kept) messages_.pop_front();
  if (listener_) listener_(fmt::format("{}", fmt::join(strings, "\n")));
}

std::string uevent_log::text() const {
  guard hold{lock_};
  return messages_.empty() ? "" : fmt::format("{}\n", fmt::join(messages_, "\n"));
}

}  // namespace memhp
