// Uevents: what the kernel tells user space about devices, with a memory of the last
// ones.
//
// Thread safety: any thread. Mirrors lib/kobject_uevent.c (6.1).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "blocks/result.h"
#include "locks/tracked.h"

namespace memhp {

// The arguments of a synthetic uevent, as "KEY=value" strings.
struct synthetic_uevent {
  std::string action;
  std::vector<std::string> variables;
};

// Reads what was written to a `uevent` file: ACTION [UUID [KEY=VALUE ...]].
result<synthetic_uevent> kobject_synth_uevent(std::string_view data);

class uevent_log {
 public:
  using listener = std::function<void(const std::string&)>;
  explicit uevent_log(listener listener) : listener_{std::move(listener)} {}

  // kobject_uevent_env(): tells the listener and keeps the message. `devpath` starts
  // with /devices.
  void send(std::string_view action, std::string_view devpath, std::string_view subsystem,
            const std::vector<std::string>& extra = {});

  // The last messages, oldest first, one a line, their strings joined by blanks.
  std::string text() const;

 private:
  static constexpr std::size_t kept = 1024;

  const listener listener_;
  static constexpr lock_class_key lock_key{.name = "uevent_sock_mutex"};
  mutable tracked_mutex lock_{lock_key};
  std::uint64_t seqnum_ GUARDED_BY(lock_) = 0;
  std::deque<std::string> messages_ GUARDED_BY(lock_);
};

}  // namespace memhp
