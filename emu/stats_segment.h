// machine_stats in memory shared between processes, so that anybody who may look can
// read a machine's figures while it is stuck and after it died.
//
// A daemon's segment has a name in /dev/shm made from its user and its mount; a private
// one (of `memhp run`) has no name and vanishes with its last process. Both are
// readable and writable by their owner alone. The process that answers for the machine
// (its keeper) holds a record lock on the whole segment: the kernel drops the lock when
// the process ends, however it ends, so "alive" never depends on a process number.
//
// Thread safety: the counters synchronize themselves; everything else is for one
// thread.
#pragma once

#include <sys/types.h>

#include <boost/interprocess/mapped_region.hpp>
#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "blocks/owned_fd.h"
#include "emu/lock_figures.h"
#include "emu/machine_stats.h"

namespace memhp {

// What a segment holds.
struct stats_segment_content {
  machine_stats stats;
  machine_stats::counter heard_at = 0;  // last heartbeat, seconds since the epoch
  machine_stats::counter died_at = 0;   // 0: alive, or killed with nobody left to notice
  shared_lock_figures locks;            // as of the last heartbeat
};

// A descriptor of a segment and its mapping.
class stats_mapping {
 public:
  stats_mapping(const stats_mapping&) = delete;
  stats_mapping& operator=(const stats_mapping&) = delete;

 protected:
  stats_mapping(owned_fd fd, bool writable);
  stats_mapping(stats_mapping&&) noexcept = default;
  stats_mapping& operator=(stats_mapping&&) noexcept = default;
  ~stats_mapping() = default;

  owned_fd fd_;
  boost::interprocess::mapped_region region_;
};

// The machine's own side.
class stats_segment : stats_mapping {
 public:
  // Creates the segment of the machine that the caller mounts at `mount`, an absolute
  // path without links, and makes the caller its keeper. Replaces the segment of a dead
  // machine there. The error, one line, names the process if a live one has that mount.
  static std::expected<stats_segment, std::string> create(const std::string& mount);
  // The same without a name; other processes open path().
  static std::expected<stats_segment, std::string> create_private();

  stats_segment(stats_segment&&) noexcept = default;

  stats_segment_content& content();
  machine_stats& stats() { return content().stats; }

  // Where a process of the same user can open a private segment while the keeper lives.
  std::string path() const;

  // Removes the name, if there is one; what is mapped stays.
  void remove();

 private:
  stats_segment(owned_fd fd, std::string name);
  static std::expected<stats_segment, std::string> prepared(owned_fd fd,
                                                            std::string name);

  std::string name_;
};

// A reader's side: figures of another process's machine.
class stats_view : stats_mapping {
 public:
  // Segments that the caller may read: its own, or everybody's for root.
  static std::vector<stats_view> all();
  // The segment of the machine mounted at `mount`, dead or alive.
  static std::expected<stats_view, std::string> of_mount(const std::string& mount);
  // A private segment, by stats_segment::path().
  static std::expected<stats_view, std::string> of_file(const std::string& path);

  stats_view(stats_view&&) noexcept = default;
  stats_view& operator=(stats_view&&) noexcept = default;

  const stats_segment_content& content() const;
  const machine_stats& stats() const { return content().stats; }

  // The process that answers for the machine; 0 if it is dead.
  pid_t keeper() const;

  // Removes the name of a segment.
  void remove();

 private:
  stats_view(owned_fd fd, std::string name);
  static std::expected<stats_view, std::string> checked(owned_fd fd, std::string name);

  std::string name_;
};

}  // namespace memhp
