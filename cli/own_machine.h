// A machine that a command starts for itself: `memhp up` in a temporary directory, ended
// with its owner.
//
// Thread safety: none; one thread.
#pragma once

#include <CLI/App.hpp>
#include <expected>
#include <string>
#include <vector>

namespace memhp {

class own_machine {
 public:
  // `options` are those of memhp up, without --mount. The error is one line.
  static std::expected<own_machine, std::string> start(
      const std::vector<std::string>& options);
  own_machine(own_machine&& other) noexcept;
  own_machine& operator=(own_machine&&) = delete;
  ~own_machine();

  const std::string& mount() const { return mount_; }
  // Kills the machine's process: every call on the tree then fails.
  void kill() const;

 private:
  explicit own_machine(std::string directory);

  std::string directory_;  // "" once moved from
  std::string mount_;
};

}  // namespace memhp
