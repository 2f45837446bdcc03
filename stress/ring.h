// Requests as chains on an io_uring: openat into a direct descriptor, write or read,
// close; or statx alone.
//
// A chain's parts are linked. If the open fails the kernel calls the rest off with
// ECANCELED, and the answer is what the open said. The transfer is linked hard: whatever
// it answers, and a read that is short always breaks an ordinary link, the file is
// closed.
//
// Thread safety: one thread, except why_no_ring().
#pragma once

#include <liburing.h>
#include <linux/stat.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>

#include "stress/request.h"

namespace memhp::stress {

// Why a ring of that size cannot be made here (ENOSYS, or EPERM as in most containers, or
// too few files allowed), in one line; empty if it can.
std::string why_no_ring(std::size_t chains, std::size_t kept);

class ring {
 public:
  static constexpr std::size_t longest_chain = 3;

  // A request under way. Its memory is the kernel's until it has come back.
  struct chain {
    std::size_t number = 0;  // from 0, below `chains`
    unsigned parts = 0;
    unsigned back = 0;  // parts that have come back
    request what;
    std::array<int, longest_chain> results{};
    std::array<char, page_bytes> text;
    struct statx status;

    bool under_way() const { return back != parts; }
  };

  // For so many chains at a time, and so many files that stay open. The error is one
  // line.
  static std::expected<ring, std::string> create(std::size_t chains, std::size_t kept);
  ring(ring&& other) noexcept;
  ring& operator=(ring&&) = delete;
  ~ring();

  // Starts `each` for each.what, relative to directory `root`; a kept file is `kept`.
  void start(chain& each, int root, std::size_t kept);
  // Asks the kernel to interrupt the part that runs; it comes back with EINTR, or with
  // ECANCELED if it had not begun, or as if nothing had been.
  void interrupt(const chain& each);
  // `done` is called (with 0) once a byte of eight can be read from an eventfd.
  void watch(int event_fd);
  // What came of a chain that is back. `complaint` gets what is wrong with the chain
  // itself.
  static answer answer_of(const chain& each, std::string& complaint);

  // Submits, waits for at least one part to come back, not longer than `limit`, and
  // tells of each: the number of its chain and its part.
  using back_fn = std::function<void(std::size_t number, unsigned part, int result)>;
  void wait(std::chrono::nanoseconds limit, const back_fn& part_is_back,
            const std::function<void()>& event);

 private:
  ring() = default;
  void make_room(unsigned entries);

  io_uring ring_{};
  bool owned_ = false;
  std::size_t chains_ = 0;
  int event_fd_ = -1;
  std::uint64_t event_count_ = 0;
};

}  // namespace memhp::stress
