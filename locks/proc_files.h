// The texts of /proc/lockdep, /proc/lockdep_chains, /proc/lockdep_stats and
// /proc/lock_stat, made from snapshots.
//
// Pure, like lockdep_report.h: a snapshot is plain data, a function makes the text. The
// layouts are those of Linux 6.1 (kernel/locking/lockdep_proc.c), column by column, with
// two exceptions: versions of names are never cut ("kn->active#12", where the kernel's
// buffer makes "kn->active#1" of it), and keys are printed as they are, not hashed.
//
// Thread safety: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "locks/lock_stat.h"
#include "locks/lockdep_report.h"

namespace memhp {

// What /proc shows of one class. Indices are into lockdep_snapshot::classes.
struct proc_class {
  reported_class lock;
  const void* key = nullptr;
  // Acquisitions, as kernels with CONFIG_DEBUG_LOCKDEP count them.
  std::optional<std::uint64_t> ops = std::nullopt;
  std::uint64_t forward = 1;            // classes reachable from it, itself included
  std::uint64_t backward = 1;           // classes that reach it, itself included
  std::vector<std::size_t> successors;  // taken directly while it was held
  bool validated = true;
};

// A sequence of classes that some task held at once, outermost first.
using proc_chain = std::vector<std::size_t>;

// A number and how large it may get before a table grows.
struct proc_level {
  std::uint64_t used = 0;
  std::uint64_t max = 0;
};

struct lockdep_snapshot {
  std::vector<proc_class> classes;
  std::vector<proc_chain> chains;

  std::uint64_t max_classes = 0;
  proc_level direct_dependencies;
  proc_level dependency_chains;
  proc_level chain_hlocks;
  std::uint64_t chain_hlocks_lost = 0;
  proc_level stack_trace_entries;
  std::uint64_t stack_traces = 0;
  std::uint64_t stack_hash_chains = 0;
  std::uint64_t max_depth = 0;      // locks held at once by one task
  std::uint64_t max_bfs_queue = 0;  // classes waiting to be visited in one search
  std::uint64_t chain_lookup_misses = 0;
  std::uint64_t chain_lookup_hits = 0;
  std::uint64_t cyclic_checks = 0;
  std::uint64_t redundant_checks = 0;
  std::uint64_t redundant_links = 0;
  bool debug_locks = true;  // whether the validator is on
  std::uint64_t zapped_classes = 0;
  std::uint64_t zapped_chains = 0;
  std::uint64_t large_chain_blocks = 0;
};

// One class's line, or lines, of lock_stat.
struct lock_stat_row {
  reported_class lock;
  lock_class_stats stats;
};

// The most contended class first; equals keep their order.
void sort_by_contentions(std::vector<lock_stat_row>& rows);

// /proc/lockdep: every class with its direct successors.
std::string lockdep_text(const lockdep_snapshot& snapshot);
// /proc/lockdep_chains
std::string lockdep_chains_text(const lockdep_snapshot& snapshot);
// /proc/lockdep_stats. What only interrupts can cause is 0.
std::string lockdep_stats_text(const lockdep_snapshot& snapshot);
// /proc/lock_stat: the most contended class first; classes never held are left out.
// `debug_locks` false adds the kernel's warning that figures may be missing.
std::string lock_stat_text(std::vector<lock_stat_row> rows, bool debug_locks = true);

}  // namespace memhp
