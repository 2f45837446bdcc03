// The options that describe a machine, the same for `memhp run` and `memhp up`.
//
// Thread safety: none; one thread.
#pragma once

#include <CLI/App.hpp>
#include <expected>
#include <string>
#include <vector>

#include "blocks/mapped_memory.h"
#include "emu/machine.h"

namespace memhp {

// A machine as it was ordered: checked, not built yet.
struct machine_setup {
  machine_config config;
  backing_kind backing = backing_kind::automatic;
  commit_mode commit = commit_mode::online;
  bool lockdep = false;    // whether the validator watches the machine's locks
  bool lock_stat = false;  // whether their waits and holds are counted from the start
  int hung_task_timeout_s = 120;  // until a task that waits is reported; 0: never
};

// Texts as typed, until setup() makes values of them. CLI11 only collects them: its own
// conversions could not say what to write instead.
class machine_options {
 public:
  void add_to(CLI::App& app);

  // The error is one line that names the option and says what to write instead.
  std::expected<machine_setup, std::string> setup() const;

 private:
  struct reader;  // turns texts into values, remembers the first error
  static std::string default_lockdep();
  void add_hardware_to(CLI::App& app);
  void add_kernel_to(CLI::App& app);

  std::string nodes_ = "1";
  std::string memory_ = "1G";
  std::string movablecore_ = "0";
  std::vector<std::string> dimms_;
  std::vector<std::string> dax_;
  std::string block_size_ = "128M";
  std::string max_memory_ = "1T";
  std::string possible_nodes_ = "0";
  std::string cpus_ = "2";
  std::string node_cpus_;
  std::string distances_;
  std::string kernel_blocks_;
  std::string auto_online_ = "offline";
  std::string online_policy_ = "contig-zones";
  bool movable_node_ = false;
  bool memmap_on_memory_ = false;
  bool no_probe_ = false;
  bool validate_dev_mutex_ = false;
  std::string platform_ = "none";
  std::string backing_ = "auto";
  std::string commit_ = "online";
  std::string era_ = "patched";
  std::string lockdep_ = default_lockdep();
  std::string lock_stat_ = "off";
  std::string hung_task_timeout_ = "120";
  std::string config_;  // read before the command line, by config_arguments()
};

}  // namespace memhp
