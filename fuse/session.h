// A kernfs tree served over FUSE.
//
// One receiver thread, the one that calls run(), reads the requests and never waits for
// anything else: what cannot sleep is answered at once, the rest is copied, given to a
// pool that grows as far as it must, and answered late. A write that the kernel would
// restart waits 5 ms with no thread and nothing held, and starts again.
//
// Thread safety: construct, run() and destroy on one thread; stop() from any thread and
// from a signal handler. The process must not open the tree that it serves from the
// thread in run(), nor from a show or store.
// Node ids and file handles are plain numbers: the node id of a file is its kernfs inode
// number, so the ids mean the same to whoever serves the same tree next.
#pragma once

#include <sys/types.h>

#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "emu/kernfs.h"
#include "emu/machine_stats.h"

namespace memhp {

struct session_options {
  // Who the tree's root user is outside: files of uid 0 show this owner, and requests of
  // this user run as uid 0. For an ordinary user's own mount: geteuid(), getegid().
  uid_t owner_uid = 0;
  gid_t owner_gid = 0;
  // After a request the receiver looks for the next one this long before it sleeps.
  // Negative: 50 us, and 0 on a host with one CPU.
  int spin_us = -1;
  // While requests come without a pause, ask the host for CPUs that wake up fast
  // (root only; without effect for others).
  bool keep_cpus_awake = true;
  // run() gives operations inside the model this long to end after stop().
  int drain_timeout_ms = 10'000;
  // Called once, by run(), when the kernel has accepted the session. Who then lets others
  // in should look at the root first, from another thread: mounted by fusermount3 it has
  // no permissions yet, and would not get any if it changed during the very first look.
  std::function<void()> on_ready;
  // Told one line about what went wrong and is not told to any client.
  std::function<void(const std::string&)> log;
};

class tree_session {
 public:
  // `fd` comes from mount_tree(); the session works on a copy of it. Root and stats must
  // outlive the session, which observes the root from here on.
  tree_session(kernfs_root& root, machine_stats& stats, int fd,
               session_options options = {});
  ~tree_session();
  tree_session(const tree_session&) = delete;
  tree_session& operator=(const tree_session&) = delete;

  // Serves until the tree is unmounted or stop() is called, then answers every request
  // that still waits (EINTR), and returns when no operation is left inside the model.
  // The error is one line; after "operations are stuck" the machine must not be
  // destroyed any more: leave with _exit().
  std::expected<void, std::string> run();

  // Ends run(). Async-signal-safe.
  void stop() noexcept;

 private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

}  // namespace memhp
