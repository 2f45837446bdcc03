// Does the calls of one worker.
//
// Thread safety: one thread uses a performer; what it refers to is constant, or, like the
// table of threads, guarded by itself.
#pragma once

#include <pthread.h>

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "blocks/owned_fd.h"
#include "stress/call.h"
#include "stress/tree.h"

namespace memhp::stress {

// Which threads a signal may interrupt, for the workers that send them. A thread is only
// in it while it is inside a call, so that none gets a signal after its end.
class writer_threads {
 public:
  explicit writer_threads(std::size_t workers) : threads_(workers) {}
  void enter(std::size_t worker);
  void leave(std::size_t worker);
  void interrupt(std::size_t worker);

 private:
  std::mutex lock_;
  std::vector<std::optional<pthread_t>> threads_;  // guarded by lock_
};

class performer {
 public:
  // Both must outlive this.
  performer(const tree& sys, writer_threads& threads, unsigned worker)
      : sys_{sys}, threads_{threads}, worker_{worker} {}

  outcome perform(const call& what);

 private:
  struct kept_fd {
    std::uint64_t id = 0;
    owned_fd fd;
    bool dead = false;  // it has answered ENODEV
  };
  static constexpr std::size_t kept = 64;  // so a worker has at most twice as many files

  outcome write_state(std::uint64_t id, std::string_view word);
  outcome read_attribute(const call& what) const;
  outcome list_blocks() const;
  outcome scan_blocks() const;
  outcome hold_call(const call& what);
  outcome plug_dimm();
  outcome eject_dimm(std::uint32_t variant) const;
  outcome rebind(operation op, std::uint32_t variant) const;
  outcome veto_changes(std::uint32_t variant) const;
  outcome cache(operation op, std::uint32_t variant) const;
  std::vector<std::string> plugged_slots() const;

  const tree& sys_;
  writer_threads& threads_;
  const unsigned worker_;
  std::array<kept_fd, kept> states_{};
  std::array<kept_fd, kept> held_{};
};

}  // namespace memhp::stress
