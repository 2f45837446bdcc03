// A machine without memory, served on a real mount by a child of the benchmark.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <functional>
#include <string>

namespace memhp {

class served_machine {
 public:
  // A machine of `blocks` boot blocks of 128 MiB at a new directory with a "sys" in it.
  // The error is one line.
  // With `lockdep` its own locks are validated.
  static std::expected<served_machine, std::string> start(std::uint64_t blocks,
                                                          bool lockdep = false);
  // Instead of a machine, the floor of fuse_floor.h: path(floor_file) is its only file.
  static std::expected<served_machine, std::string> start_floor();
  served_machine(served_machine&& other) noexcept;
  served_machine& operator=(served_machine&&) = delete;
  ~served_machine();

  // For programs that want a system root: what lies below is `sys`.
  const std::string& sysroot() const { return root_; }
  // Path of a file, e.g. "devices/system/memory/block_size_bytes".
  std::string path(const std::string& file) const { return root_ + "/sys/" + file; }
  std::string block(std::uint64_t id, const std::string& file) const {
    return path("devices/system/memory/memory" + std::to_string(id) + "/" + file);
  }
  // Where the server's threads may run.
  void set_affinity(const cpu_set_t& cpus) const;

 private:
  static std::expected<served_machine, std::string> start_child(
      const std::function<int(const std::string& dir, int ready)>& what);
  served_machine(std::string root, pid_t server)
      : root_{std::move(root)}, server_{server} {}

  std::string root_;
  pid_t server_;
};

}  // namespace memhp
