// shared_percpu_rw_semaphore: a reader/writer lock between processes, for data in shared
// memory that is read on every CPU all the time and written hardly ever.
//
// The lock itself lies in the shared memory (a Boost.Interprocess segment, a memfd, an
// anonymous MAP_SHARED mapping); it has no pointers and may be mapped anywhere. Each
// process makes a shared_percpu_attachment to it, in memory of its own, and locks that:
//
//   auto* sem = segment.find_or_construct<memhp::shared_percpu_rw_semaphore>("sem")();
//   memhp::shared_percpu_attachment mine;
//   if (mine.attach(*sem) != std::errc{}) ...
//   memhp::read_guard hold{mine};
//
// Thread safety: any thread of an attached process, under these rules:
//   1. a write hold is released by the thread that took it; a read hold by any thread of
//      the process, through the same attachment;
//   2. a holder must not take it again, in either mode;
//   3. attach() and detach() must not overlap with other calls on the same attachment;
//   4. the memory stays mapped until detach().
//
// How it works, and why it is right:
//   1. Each attached process owns a slot with a row of counters, two a CPU, `acquired`
//      and `released`. Only the process itself changes its row, so a row says who holds,
//      and the row of a process that died is taken out of the account.
//   2. A row is scanned `released` first: who comes or goes during the scan can make the
//      sums differ, never agree while somebody reads.
//   3. A reader counts itself in and looks at state_ afterwards; a writer changes state_
//      and looks at the rows afterwards. What makes sure that one of them sees the other
//      is MEMBARRIER_CMD_GLOBAL_EXPEDITED on the writer's side (A and B), so that the
//      reader pays no fence. Every process registers for it in attach(): the kernel
//      skips, in silence, those that have not.
//   4. Phase fair: who waits to read is let in by the writer who leaves, before the next
//      writer; a writer keeps out all readers who come later. Among writers the order is
//      the kernel's.
//   5. Who is dead is said by the kernel, not guessed from a pid: a thread of each
//      attached process (the keeper) holds a robust mutex in the slot as long as the
//      process runs this program. So an exec counts as a death, too; a fork does not: the
//      child has no keeper.
//
// Death. A process that dies with a read hold is found by the next writer, who waits
// longer than probe_interval for the readers. One (or one thread) that dies with the
// write hold is found by the next writer at once, and by readers who wait longer than
// probe_interval; the finder calls options::recover with the lock held for writing,
// before anybody else sees the data, which may be half written.
//
// fork: the child is not attached and holds nothing, whatever the parent holds. It may
// attach() anew with the same object; until then every use is reported. (After vfork,
// _Fork or a raw clone, which run no fork handlers, do not touch the lock before exec.)
//
// Limits: max_processes attachments at a time (a process may make several). CPUs from
// max_cpus on, or that were not configured when the lock was made, count with a locked
// instruction in one column of the row. All processes are of one build of this header and
// of one C library. 64-bit counters do not wrap; a row may have 2^32 - 1 read holds and
// 2^31 - 1 waiting readers. All processes are in one pid namespace: robust mutexes know
// their holders by thread numbers, which two containers give out twice; attach() refuses
// others, as far as /proc/self/ns/pid tells. A thread that dies with a read hold in a
// process that lives leaves it held; any thread of the process may release it.
//
// Tiers: without rseq (valgrind, ThreadSanitizer, other CPUs than x86-64) a process
// counts with a locked instruction on its CPU's counters. Without membarrier the lock
// must be constructed as readers::fenced, where every reader executes a full fence; a
// process that cannot register is not let in to a lock of readers::expedited.
//
// Letters mark the barriers' pairs. A model finds what goes wrong without A, B, D, E, F
// or G (shared_percpu_rwsem_model_test); C, which x86 orders by itself, ThreadSanitizer
// misses; H and I are in no model. tests/mutants has each taken out, and who finds it.
//
// Cost: a read pair 4 ns while nobody writes (expedited, rseq), 12 without rseq, 22
// with fences; a write pair one membarrier and a scan of the processes' rows. Memory: 270
// KiB of address space, of which 1 KiB a CPU is touched and some 10 KiB more.
#pragma once

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <system_error>

#include "locks/shared_percpu_count.h"
#include "locks/thread_annotations.h"

namespace memhp {

class shared_percpu_rw_semaphore {
 public:
  static constexpr unsigned max_processes = 64;
  static constexpr unsigned max_cpus = 256;
  // How long somebody waits before it looks whether the others live.
  static constexpr std::chrono::milliseconds probe_interval{10};

  // What stands between a reader's count and its look at the state.
  enum class readers : std::uint32_t {
    expedited,  // nothing: the writer calls membarrier
    fenced,     // a full fence
  };
  // `expedited` if this process may call membarrier, else `fenced`.
  static readers best();

  // Constructs it in shared memory. Nobody may attach before the constructor returns.
  explicit shared_percpu_rw_semaphore(readers how = best());
  // Aborts if a living process is attached.
  ~shared_percpu_rw_semaphore();
  shared_percpu_rw_semaphore(const shared_percpu_rw_semaphore&) = delete;
  shared_percpu_rw_semaphore& operator=(const shared_percpu_rw_semaphore&) = delete;

  // What has happened so far; for tests and statistics.
  struct events {
    std::uint32_t dead_processes;  // found attached, their read holds taken back
    std::uint32_t dead_writers;    // found with the write hold
    std::uint32_t probes;          // looks for dead readers by a waiting writer
  };
  events so_far() const;
  // Attachments, of the dead who have not been found included.
  unsigned attached() const;

 private:
  friend class shared_percpu_attachment;

  enum state : std::uint32_t { idle = 0, always_fenced = 1, blocked = 2 };

  struct slot {
    pthread_mutex_t alive;  // robust; held by the keeper of the process that owns it
    std::atomic<std::uint32_t> used = 0;
    // Readers who sleep, as word of waiting_readers, and those let in by writers.
    std::atomic<std::uint64_t> queue = 0;
    percpu_pair beyond{};  // CPUs from max_cpus on; locked instructions only
  };

  std::uint32_t open_state() const {
    return how_ == readers::expedited ? idle : always_fenced;
  }
  void close_gate();
  void open_gate();
  void drain();
  bool row_is_empty(unsigned index);
  percpu_row row(unsigned index);
  std::int32_t holds(unsigned index);
  void take_over(bool owner_died, const std::function<void()>& recover);
  void look_for_dead_readers();
  void look_for_dead_writer(const std::function<void()>& recover);
  void wake_drainer();
  bool wait_for_admission(slot& mine, const std::function<void()>& recover);
  int claim_slot();
  void bury(unsigned index);
  static void wait_for_siblings_to_die();

  // Constant after construction.
  std::atomic<std::uint64_t> magic_;
  const std::uint64_t pid_namespace_;  // of the one who made it
  const readers how_;
  const unsigned cpus_;  // that have counters of their own

  // Synchronize themselves. state_ has a cache line of its own, as every reader reads it:
  // by padding, since Boost.Interprocess does not align more than malloc does.
  static constexpr std::size_t line = 64;
  std::byte padding_before_[line];
  std::atomic<std::uint32_t> state_;
  std::byte padding_behind_[line];
  std::atomic<std::uint32_t> drain_ = 0;        // bumped when a reader leaves
  std::atomic<std::uint32_t> writing_ = 0;      // a writer may have begun to write
  std::atomic<std::uint64_t> write_holds_ = 0;  // so far; numbers them
  std::atomic<std::uint32_t> slots_ever_used_ = 0;
  std::atomic<std::uint32_t> dead_processes_ = 0;
  std::atomic<std::uint32_t> dead_writers_ = 0;
  std::atomic<std::uint32_t> probes_ = 0;
  pthread_mutex_t writer_;    // robust: held by the writer
  pthread_mutex_t registry_;  // robust: who attaches, detaches or buries

  slot slots_[max_processes];
  // percpu_pair [max_cpus][max_processes] from the first cache line on, which is at the
  // same place in every mapping. A row is initialized when its slot is claimed: memory
  // of CPUs that do not exist is never touched. Accessed by percpu_add() and its
  // siblings only.
  static_assert(max_processes == percpu_row::percpu_stride);
  std::byte counters_[sizeof(percpu_pair) * max_cpus * max_processes + line];
};

// A process's access to a shared_percpu_rw_semaphore.
class CAPABILITY("percpu_rw_semaphore") shared_percpu_attachment {
 public:
  struct options {
    // Called with the lock held for writing after a writer died: makes the data whole.
    // Must not use the lock. If this process dies in it, the next one calls its own.
    std::function<void()> recover = [] {};
    // False: count with locked instructions although rseq works; for tests.
    bool use_rseq = true;
  };

  shared_percpu_attachment() = default;
  ~shared_percpu_attachment() { detach(); }
  shared_percpu_attachment(const shared_percpu_attachment&) = delete;
  shared_percpu_attachment& operator=(const shared_percpu_attachment&) = delete;

  // Errors: already_connected; invalid_argument (no lock of this build lies there);
  // operation_not_supported (the lock is readers::expedited, and this process may not
  // register for membarrier); no_such_process (this process and the one that made the
  // lock are in different pid namespaces); resource_unavailable_try_again (max_processes
  // are attached, and alive); or what pthread_create says, as the first attachment starts
  // the keeper.
  std::errc attach(shared_percpu_rw_semaphore& sem) { return attach(sem, options{}); }
  std::errc attach(shared_percpu_rw_semaphore& sem, options how);
  // Aborts if this attachment is held. A write hold of a thread that has ended is none:
  // it stays for the next writer to find.
  void detach();
  bool attached() const { return sem_ != nullptr; }

  void lock_shared() ACQUIRE_SHARED();
  // Fails only while a writer holds or waits.
  bool try_lock_shared() TRY_ACQUIRE_SHARED(true);
  void unlock_shared() RELEASE_SHARED();
  void lock() ACQUIRE();
  void unlock() RELEASE();

 private:
  friend struct attached_in_this_process;

  void count(counter which);
  void lock_shared_slow();
  void unlock_shared_slow();
  bool held_for_writing() const;
  void forget();

  // Constant while attached. sem_ is null when not: the one test in the fast path.
  shared_percpu_rw_semaphore* sem_ = nullptr;
  percpu_row row_{};
  bool use_rseq_ = false;
  unsigned slot_ = 0;
  std::function<void()> recover_;

  // The write hold through us: its thread, 0 for none; that one's number in the kernel;
  // and the hold's number. A thread that dies with it leaves all three behind.
  std::atomic<std::uint64_t> writer_ = 0;
  std::atomic<pid_t> writer_tid_ = 0;
  std::atomic<std::uint64_t> write_hold_ = 0;

  shared_percpu_attachment* next_ = nullptr;  // guarded by the list of this process
};

}  // namespace memhp
