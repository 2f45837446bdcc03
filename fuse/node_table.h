// The nodes that the FUSE client (the kernel) knows, by node id, and the policy that
// gives every writer of a file a node of its own.
//
// Why: the kernel holds the inode lock of a FUSE file while a write is on its way, so
// an O_TRUNC, an append, a chmod or (before 6.2) a second write of the same inode would
// hang behind a store that sleeps; sysfs has no such lock. Node ids that differ are
// inodes that differ. So a file has a base node, whose id is its kernfs inode number,
// and as many aliases as it has writers at once:
//   1. Write opens are counted per node. A write open of a node that has one already is
//      told to retry (ESTALE); the kernel then repeats the whole open, and the lookup of
//      that thread gets a node reserved for it. Its second open is always accepted,
//      whatever it names: a reopen through /proc/self/fd comes back to the same node.
//   2. A lookup by anybody else gets a node on which no write is in flight, the base
//      node if it can. A reader whose lookup came before the write is told to retry, for
//      some of what it may do takes the inode lock too: grep looks for holes.
//   3. An id is never used for another file: kernfs inode numbers are not reused.
// A node lives here until the kernel has forgotten every lookup of it.
//
// Thread safety: every function may be called by any thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "emu/kernfs.h"
#include "locks/guards.h"
#include "locks/tracked.h"

namespace memhp {

using node_id = std::uint64_t;

// Alias n of a file has the id ino | n << alias_shift.
inline constexpr unsigned alias_shift = 36;
constexpr std::uint64_t base_ino(node_id id) {
  return id & ((std::uint64_t{1} << alias_shift) - 1);
}

// Retry: answer ESTALE, the kernel will repeat the lookup and the open.
enum class open_answer : std::uint8_t { accepted, retry };

class node_table {
 public:
  // The root node is always known.
  explicit node_table(kernfs_node& top);

  // Counts one more lookup of `node` by thread `tid` (0: unknown) and returns the id
  // under which the kernel is to know it.
  node_id look_up(kernfs_node& node, pid_t tid);
  // The kernel forgot `count` lookups.
  void forget(node_id id, std::uint64_t count);
  // Null for an id that the kernel does not know any more.
  kernfs_ref find(node_id id) const;
  // Whether the kernel knows any node of this file or directory.
  bool known(std::uint64_t ino) const;
  // Every id under which the kernel knows this file.
  std::vector<node_id> ids_of(std::uint64_t ino) const;

  // Thread `tid` opens `id` for writing.
  open_answer open_to_write(node_id id, pid_t tid);
  // Thread `tid` opens `id` only to read.
  open_answer open_to_read(node_id id, pid_t tid);
  // Thread `tid` opens `id`, whose file is gone: retry at first, then accepted.
  open_answer open_removed(node_id id, pid_t tid);
  // The open is over. True if the file's last writer is gone while aliases of it are
  // known: time to expire its name, so that lookups come back to the base node.
  bool release_writer(node_id id);

  // A write that may sleep begins and ends.
  void write_begins(node_id id);
  void write_ends(node_id id);

 private:
  struct entry {
    kernfs_ref node;
    std::uint64_t lookups = 0;
    unsigned writers = 0;    // opens for writing
    unsigned in_flight = 0;  // writes that may sleep
    pid_t reserved_for = 0;  // thread whose open is expected
  };
  // A thread that was told to retry.
  struct ticket {
    std::uint64_t ino = 0;
    node_id reserved = 0;  // 0: its lookup has not come yet
    std::chrono::steady_clock::time_point since;
  };

  node_id choose(std::uint64_t ino, pid_t tid) REQUIRES(lock_);
  template <class Predicate>
  node_id pick(std::uint64_t ino, Predicate suits) const REQUIRES(lock_);
  bool idle(node_id id) const REQUIRES(lock_);
  bool take_ticket(pid_t tid) REQUIRES(lock_);
  open_answer give_ticket(std::uint64_t ino, pid_t tid) REQUIRES(lock_);
  void drop_old_tickets() REQUIRES(lock_);
  void erase_if_unused(node_id id) REQUIRES(lock_);

  static constexpr lock_class_key lock_key{.name = "FUSE node table"};
  mutable tracked_mutex lock_{lock_key};
  std::unordered_map<node_id, entry> nodes_ GUARDED_BY(lock_);
  // Aliases that the kernel knows, by the file's inode number.
  std::unordered_map<std::uint64_t, std::vector<node_id>> aliases_ GUARDED_BY(lock_);
  std::unordered_map<pid_t, ticket> tickets_ GUARDED_BY(lock_);
  std::chrono::steady_clock::time_point last_sweep_ GUARDED_BY(lock_);
};

}  // namespace memhp
