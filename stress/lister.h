// Lists directories for a ring, which cannot: io_uring has no getdents. In a thread of
// its own, so that a listing that waits holds up nothing else.
//
// Thread safety: ask() and take() in one thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "blocks/owned_fd.h"
#include "stress/request.h"
#include "stress/tree.h"

namespace memhp::stress {

class lister {
 public:
  // `sys` must outlive this.
  explicit lister(const tree& sys);
  lister(const lister&) = delete;
  lister& operator=(const lister&) = delete;
  ~lister();  // nothing may be asked and not answered

  void ask(std::size_t number, std::string directory);
  // An eventfd, readable when there are answers.
  int event_fd() const { return event_.get(); }
  // The answers that there are, each with its number.
  std::vector<std::pair<std::size_t, answer>> take();

 private:
  void serve();

  const tree& sys_;
  const owned_fd event_;
  std::mutex lock_;
  std::condition_variable asked_;
  std::deque<std::pair<std::size_t, std::string>> questions_;  // guarded by lock_
  std::vector<std::pair<std::size_t, answer>> answers_;        // guarded by lock_
  bool ends_ = false;                                          // guarded by lock_
  std::thread thread_;
};

}  // namespace memhp::stress
