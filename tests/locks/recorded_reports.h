// Collects what the validator reports while it lives; starts from an empty graph.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "locks/lockdep.h"
#include "locks/lockdep_report.h"

namespace memhp {

class recorded_reports {
 public:
  recorded_reports() {
    lockdep::reset();
    lockdep::set_on(true);
    lockdep::set_on_error(lockdep::on_error::go_on);
    former_ = lockdep::set_reporter(
        [this](const lockdep_report& report) { all_.push_back(report); });
  }
  ~recorded_reports() {
    lockdep::set_reporter(std::move(former_));
    lockdep::set_on_error(lockdep::on_error::abort);
    lockdep::set_on(false);
    lockdep::reset();
  }
  recorded_reports(const recorded_reports&) = delete;
  recorded_reports& operator=(const recorded_reports&) = delete;

  const std::vector<lockdep_report>& all() const { return all_; }
  std::size_t count() const { return all_.size(); }
  const lockdep_report& last() const { return all_.back(); }

 private:
  lockdep::reporter former_;
  std::vector<lockdep_report> all_;
};

}  // namespace memhp
