// The validator, on and empty for one run, and off and empty afterwards.
//
// Thread safety: one in a process at a time, made while nobody holds a lock.
#pragma once

#include <utility>
#include <vector>

#include "locks/lockdep.h"

namespace memhp {

class listening {
 public:
  // `to` gets what is reported; it must outlive this.
  explicit listening(std::vector<lockdep_report>& to) {
    lockdep::set_on(false);
    lockdep::reset();
    lockdep::set_on(true);
    lockdep::set_on_error(lockdep::on_error::go_on);
    former_ = lockdep::set_reporter([this, &to](const lockdep_report& report) {
      if (!deaf_) to.push_back(report);
    });
  }
  ~listening() {
    stop();
    lockdep::set_reporter(std::move(former_));
    lockdep::set_on_error(lockdep::on_error::abort);
    lockdep::reset();
  }
  listening(const listening&) = delete;
  listening& operator=(const listening&) = delete;

  // From here on locks are taken down, not taken. What was learned stays.
  void stop() {
    deaf_ = true;
    lockdep::set_on(false);
  }

 private:
  bool deaf_ = false;
  lockdep::reporter former_;
};

}  // namespace memhp
