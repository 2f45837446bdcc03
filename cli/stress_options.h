// The command line of memhp stress: what it says, and what is wrong with it.
//
// Thread safety: none; one thread.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "cli/machine_options.h"
#include "stress/plan.h"
#include "stress/run.h"

namespace memhp {

class stress_options {
 public:
  explicit stress_options(CLI::App& app);
  stress_options(const stress_options&) = delete;
  stress_options& operator=(const stress_options&) = delete;

  // After the command line was read. The error is one line that says what to write.
  std::expected<void, std::string> understand();

  // Valid once understood.
  stress::plan plan;
  stress::run_options run;
  std::vector<std::uint64_t> only;  // blocks; empty: all
  std::string tree;
  std::string node;
  std::string replay;
  std::string shrink;
  std::string json;
  std::string junit;
  std::string plot;
  bool hot = false;
  bool quiet = false;
  // Looking at the kernel's log all the time costs something: not unless asked for.
  bool ends_at_complaints = false;

  // Those of memhp up, for a machine of its own.
  std::vector<std::string> machine_to_start() const;

 private:
  void add_run_options();
  std::string understand_faults();
  void understand_circumstances();
  void add_result_options();
  std::string understand_driver();
  unsigned workers() const;
  unsigned calls_at_once() const;
  std::string conflict() const;
  std::vector<std::string> machine_arguments() const;
  std::string command_line() const;

  CLI::App& app_;
  machine_options machine_;
  std::vector<const CLI::Option*> machine_options_;
  std::string workers_ =
      "probe=1,remove=1,online=2,offline=2,online_movable=1,switch=1,read=2,hold=1";
  std::string time_ = "10s";
  std::string stuck_;
  std::string most_findings_;
  std::string calls_;
  std::string seed_ = "1";
  std::string blocks_;
  std::string driver_ = "threads";
  std::string in_flight_;
  std::string open_;
  std::string faults_;
  const CLI::Option* faults_option_ = nullptr;
  bool real_kernel_ = false;
};

}  // namespace memhp
