// The log of --record: a header, the command line, then 32 bytes a call, appended.
//
// A log that was cut off (its writer was killed) is read up to its last whole record.
// Byte order is the machine's: a log is replayed where it was made.
//
// Thread safety: append() from any thread.
#pragma once

#include <cstdint>
#include <expected>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "blocks/owned_fd.h"
#include "stress/call.h"

namespace memhp::stress {

struct recorded_run {
  std::uint64_t seed = 0;
  std::string command_line;
  std::vector<record> calls;
};

class op_log {
 public:
  // Replaces what is at `path`. The error is one line.
  static std::expected<op_log, std::string> create(const std::string& path,
                                                   std::uint64_t seed,
                                                   const std::string& command_line);
  op_log(op_log&& other) noexcept : file_{std::move(other.file_)} {}

  // False once the disk is full.
  bool append(std::span<const record> calls);

  static std::expected<recorded_run, std::string> read(const std::string& path);

 private:
  explicit op_log(owned_fd file) : file_{std::move(file)} {}

  std::mutex lock_;  // one record is never inside another
  owned_fd file_;
};

}  // namespace memhp::stress
