// What is wrong, and the bounded memory of what led to it.
//
// Thread safety: any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "stress/call.h"

namespace memhp::stress {

struct finding {
  std::string what;     // one line
  std::string worker;   // "online 3"; "" where no worker saw it
  std::string history;  // the last calls on that block, one a line
  std::string report;   // the kernel's words, if there are any
};

// "memory7: online 3: offline -> EBUSY at 1.204 s, 35 us".
std::string to_line(const record& each, const std::string& worker);

// The last calls on each target.
class block_history {
 public:
  static constexpr std::size_t kept = 24;  // calls of each target

  void add(const record& each);
  std::vector<record> of(std::uint64_t target) const;

 private:
  struct ring {
    std::size_t next = 0;
    std::vector<record> calls;
  };
  static constexpr std::size_t shards = 64;
  static constexpr std::size_t most_targets =
      4096;  // of one shard; further ones: not kept
  struct alignas(64) shard {
    mutable std::mutex lock;
    std::unordered_map<std::uint64_t, ring> rings;  // guarded by lock
  };
  shard shards_[shards];
};

class finding_list {
 public:
  static constexpr std::size_t kept = 32;

  void add(finding each);
  std::vector<finding> all() const;
  std::uint64_t count() const;

 private:
  mutable std::mutex lock_;
  std::vector<finding> findings_;  // guarded by lock_; the first ones
  std::uint64_t count_ = 0;        // guarded by lock_
};

}  // namespace memhp::stress
