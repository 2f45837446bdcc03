// The kernel's log: what pr_info() and friends said, kept for whoever reads it.
//
// Thread safety: any thread. A leaf: takes no other lock while it holds its own.
// Mirrors the record format of /dev/kmsg (Documentation/ABI/testing/dev-kmsg, 6.1). Other
// than there, information makes no room in warnings: each lock report is printed once,
// and somebody's loop of mistakes must not wash it away.
#pragma once

#include <time.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "locks/thread_annotations.h"
#include "locks/tracked.h"

namespace memhp {

enum class log_level : std::uint8_t { error = 3, warning = 4, info = 6 };

class kmsg_ring {
 public:
  using clock_fn = struct timespec (*)();
  static constexpr std::size_t kept = 4096;  // records, and as many warnings and errors

  // Times count from now on; without a clock they stay 0.
  explicit kmsg_ring(clock_fn clock);

  // A record for each line of `text`; the oldest ones of its sort make room.
  void print(log_level level, std::string_view text);

  // Every record kept, oldest first: "PRIORITY,SEQUENCE,MICROSECONDS,-;TEXT". A gap in
  // the sequence says that records were lost. Bytes that are not printable, and
  // backslashes, come as \xNN.
  std::string text() const;

 private:
  struct record {
    log_level level;
    std::uint64_t seq;
    std::int64_t usec;
    std::string text;
  };
  std::int64_t now_usec() const;

  const clock_fn clock_;
  const std::int64_t boot_usec_;
  static constexpr lock_class_key lock_key{.name = "logbuf_lock"};
  mutable tracked_mutex lock_{lock_key};
  std::uint64_t next_seq_ GUARDED_BY(lock_) = 0;
  // In the order of their numbers.
  std::deque<record> information_ GUARDED_BY(lock_);
  std::deque<record> warnings_ GUARDED_BY(lock_);
};

}  // namespace memhp
