// Collects what the validator reports while it lives; starts from an empty graph.
#pragma once

#include <string>
#include <utility>
#include <variant>
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
  // The last one, if it is of this kind; else an empty one.
  template <class Report>
  Report last() const {
    const Report* found = all_.empty() ? nullptr : std::get_if<Report>(&all_.back());
    return found != nullptr ? *found : Report{};
  }
  template <class Report>
  bool last_is() const {
    return !all_.empty() && std::holds_alternative<Report>(all_.back());
  }

 private:
  lockdep::reporter former_;
  std::vector<lockdep_report> all_;
};

}  // namespace memhp
