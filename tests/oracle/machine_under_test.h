// A running memhp with its tree mounted: what the recordings' QEMU was to the recorder.
//
// Thread safety: one thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace memhp::oracle {

using json = nlohmann::json;
using namespace std::chrono_literals;

// Polls until `condition` holds; false when `deadline` has passed.
bool eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds deadline = 10s);

class machine_under_test {
 public:
  // Starts `memhp up --foreground` with these machine options and waits for the mount.
  // Throws std::runtime_error with the program's own words if it does not come up.
  machine_under_test(const std::string& program, const std::vector<std::string>& options);
  ~machine_under_test();  // SIGTERM, and waits for the program and the mount to be gone
  machine_under_test(const machine_under_test&) = delete;
  machine_under_test& operator=(const machine_under_test&) = delete;

  const std::string& root() const { return root_; }        // stands for /sys
  const std::string& scratch() const { return scratch_; }  // another file system
  pid_t pid() const { return pid_; }
  bool died() const;

  // Hardware. A device is named as in the recordings' QEMU commands.
  void plug(const std::string& device, const std::string& size, int node);
  // Asks the kernel to give the DIMM back; returns at once.
  void eject(const std::string& device);
  bool wait_for_removal(const std::string& device);
  std::vector<std::uint64_t> blocks_of(const std::string& device) const;
  // Writes to a file of kernel/debug/memhp.
  void debug(const std::string& file, const std::string& text) const;

  // Uevents that came since the last take_uevents(), each split as on the netlink
  // socket, without SEQNUM. Waits until there are `expected`.
  std::vector<json> take_uevents(std::size_t expected);
  // Reads the log before it forgets; true when `count` messages wait to be taken.
  bool pending_uevents(std::size_t count);

  std::string read(const std::string& path) const;  // below /sys; empty on error
  bool exists(const std::string& path) const;

 private:
  void start(const std::string& program, const std::vector<std::string>& options);
  void stop();
  std::string log() const;

  std::string work_, root_, scratch_;
  pid_t pid_ = -1;
  struct dimm {
    std::string acpi_device;  // its directory below /sys
    std::vector<std::uint64_t> blocks;
  };
  std::map<std::string, dimm> dimms_;
  std::uint64_t last_seqnum_ = 0;
  std::vector<json> uevents_;
};

}  // namespace memhp::oracle
