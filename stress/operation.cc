#include "stress/operation.h"

#include <array>
#include <cerrno>
#include <cstring>

namespace memhp::stress {
namespace {

constexpr std::size_t most_answers = 5;

struct facts {
  std::string_view name;
  std::array<int, most_answers> errors;  // besides success; 0 ends them
  bool can_succeed = true;
  bool interruptible = false;  // EINTR if signals are sent
  bool can_be_vetoed = false;  // by a memory notifier
  bool takes_memory = false;   // ENOMEM if the host has none
};

// ENOENT: the block was not there at open(). ENODEV: it went while the file was open.
constexpr std::array<facts, operation_count> table = {{
    {.name = "online",
     .errors = {EINVAL, ENODEV, ENOENT, EBUSY},
     .interruptible = true,
     .can_be_vetoed = true,
     .takes_memory = true},
    {.name = "online_kernel",
     .errors = {EINVAL, ENODEV, ENOENT, EBUSY},
     .interruptible = true,
     .can_be_vetoed = true,
     .takes_memory = true},
    {.name = "online_movable",
     .errors = {EINVAL, ENODEV, ENOENT, EBUSY},
     .interruptible = true,
     .can_be_vetoed = true,
     .takes_memory = true},
    {.name = "offline",
     .errors = {EINVAL, ENODEV, ENOENT, EBUSY},
     .interruptible = true,
     .can_be_vetoed = true},
    // `online` takes the state that there is for success.
    {.name = "switch_on",
     .errors = {ENODEV, ENOENT, EBUSY},
     .interruptible = true,
     .can_be_vetoed = true,
     .takes_memory = true},
    // EINVAL: a block with holes.
    {.name = "switch_off",
     .errors = {EINVAL, ENODEV, ENOENT, EBUSY},
     .interruptible = true,
     .can_be_vetoed = true},
    // Words are looked at before any lock is taken; only the file itself comes first.
    {.name = "garbage", .errors = {EINVAL, ENODEV, ENOENT}, .can_succeed = false},
    // That a block which is added fails to go online is no error of the adding.
    {.name = "probe", .errors = {EEXIST}, .interruptible = true, .takes_memory = true},
    {.name = "remove", .errors = {EBUSY, ENODEV}, .interruptible = true},
    {.name = "plug", .errors = {ENOSPC}, .interruptible = true, .takes_memory = true},
    {.name = "eject", .errors = {ENODEV, ENOENT, EBUSY}},
    {.name = "unbind", .errors = {ENODEV, ENOENT, EBUSY}, .interruptible = true},
    {.name = "bind",
     .errors = {ENODEV, ENOENT, EBUSY},
     .interruptible = true,
     .takes_memory = true},
    {.name = "read", .errors = {ENODEV, ENOENT}, .interruptible = true},
    {.name = "list", .errors = {}},
    {.name = "scan", .errors = {}, .interruptible = true},
    {.name = "hold", .errors = {ENODEV, ENOENT}, .interruptible = true},
    {.name = "cpu_down", .errors = {EBUSY, ENODEV, ENOENT}, .interruptible = true},
    {.name = "cpu_up", .errors = {EBUSY, ENODEV, ENOENT}, .interruptible = true},
    {.name = "cache_create", .errors = {EEXIST}, .interruptible = true},
    {.name = "cache_destroy", .errors = {ENOENT}, .interruptible = true},
    {.name = "veto", .errors = {}},
    {.name = "interrupt", .errors = {}},
    {.name = "cache_tune", .errors = {ENOENT, ENODEV}, .interruptible = true},
}};

const facts& facts_of(operation op) {
  return table[static_cast<std::size_t>(op)];
}

}  // namespace

std::string_view to_string(operation op) {
  return facts_of(op).name;
}

std::optional<operation> operation_from(std::string_view name) {
  for (std::size_t i = 0; i < table.size(); ++i)
    if (table[i].name == name) return static_cast<operation>(i);
  return std::nullopt;
}

bool is_about_block(operation op) {
  using enum operation;
  return op <= remove || op == read || op == hold;
}

circumstances circumstances_of(const std::function<bool(operation)>& does) {
  circumstances now{.signals = does(operation::interrupt),
                    .rebinds = does(operation::unbind)};
  if (does(operation::veto))
    now.vetoes = errno_bit(ENOMEM) | errno_bit(EBUSY) | errno_bit(EPERM);
  return now;
}

bool may_answer(operation op, int error, const circumstances& now) {
  const facts& known = facts_of(op);
  if (error == 0) return known.can_succeed;
  for (const int each : known.errors)
    if (each == error) return true;
  if (error == EINTR) return known.interruptible && now.signals;
  if (error == ENOMEM && known.takes_memory && now.no_memory) return true;
  constexpr int bits = 64;
  return known.can_be_vetoed && error < bits && (now.vetoes & errno_bit(error)) != 0;
}

std::string errno_name(int error) {
  if (error == 0) return "ok";
  const char* name = strerrorname_np(error);
  return name != nullptr ? name : std::to_string(error);
}

}  // namespace memhp::stress
