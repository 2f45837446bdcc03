// proc/: what the validator and lock_stat know, and the kernel's log, in the files and
// formats that a kernel with CONFIG_LOCKDEP and CONFIG_LOCK_STAT has under /proc.
//
//   lockdep, lockdep_chains, lockdep_stats   classes, orders, figures of the validator
//   lock_stat                                waits and holds by class; writing 0 clears
//   kmsg                                     the log; reading never waits
//   iomem                                    who owns which physical addresses
//   sys/kernel/lock_stat                     0 or 1: whether waits and holds are counted,
//                                            which needs the validator too
//   sys/kernel/hung_task_timeout_secs   after how long who waits is reported; 0: never
//   sys/kernel/hung_task_warnings       how many still are; -1: any number
//
// They stand beside devices/ in the tree, and once more in kernel/debug/memhp/proc, which
// is where `memhp run` shows them, since the host's /proc stays as it is there.
//
// Thread safety: any thread. Mirrors kernel/locking/lockdep_proc.c (6.1).
#pragma once

#include "emu/kernel.h"

namespace memhp {

class proc_files final : public kobject {
 public:
  explicit proc_files(kernel& k);

  kernel& k;
};

}  // namespace memhp
