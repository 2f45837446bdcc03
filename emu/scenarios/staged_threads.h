// The stages of a forced run on OS threads: each task waits in front of every lock until
// it is its turn. The locks are the real ones, and so is a hang.
//
//   staged_threads tasks{stages};
//   tasks.add("remove", [&] { m->write(".../eject", "1"); });
//   lockdep::set_listener(&tasks);
//   while (!tasks.all_ended()) {
//     tasks.advance();
//     if (!tasks.stuck().empty()) nobody can go on any more;
//     tasks.wait_for_news(poll);
//   }
//   lockdep::set_listener(nullptr);
//
// While stages are left, the task of the first one goes on and all others wait where they
// are, tasks added later included. A stage is over as fiber_scheduler::forced() has it:
// its task is about to take a lock that the stage names, or sleeps in one, or failed to
// get one that it tried (and will start again), or has ended.
//
// Thread safety: add() and the listener's part are for the tasks too, the rest for the
// one thread that made it. blocked_tasks must be watched, without grace. Tasks that hang
// are never joined: then it must live as long as the process.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emu/explore/fiber_scheduler.h"
#include "locks/completion.h"
#include "locks/lockdep.h"
#include "locks/thread_annotations.h"
#include "locks/wait_queue.h"

namespace memhp {

// A mutex whose waiters are not among the blocked tasks, as waiters for a mutex are: who
// watches those must not take them for others.
class CAPABILITY("mutex") unwatched_mutex {
 public:
  unwatched_mutex() { free_.complete(); }
  void lock() ACQUIRE() { free_.wait(); }
  void unlock() RELEASE() { free_.complete(); }

 private:
  completion free_;
};

class staged_threads final : public lockdep::listener {
 public:
  // `stages` must outlive it.
  explicit staged_threads(std::span<const stage> stages);
  ~staged_threads();  // all have ended
  staged_threads(const staged_threads&) = delete;
  staged_threads& operator=(const staged_threads&) = delete;

  // The first 15 bytes of the name are the thread's.
  void add(std::string name, std::function<void()> body);

  // Ends the stages whose task cannot go on.
  void advance();
  bool all_ended() const;
  // The waits (of locks/blocked_tasks.h) of all that have not ended, if all of them sleep
  // and no stage is left; else none. Nobody is left then who could wake one: the same
  // waits a moment later are a hang.
  std::vector<std::uint64_t> stuck() const;
  // Until a task ends, or so long.
  void wait_for_news(std::chrono::milliseconds timeout);

  // listener
  void before(const dep_map& map) override;
  void failed(const dep_map& map) override;

 private:
  struct participant;
  static thread_local participant* me;

  void run(participant& p);
  void wait_for_turn(const participant& p);
  bool is_turn_of(const participant& p) const;
  void next_stage() REQUIRES(lock_);
  bool ends_before(std::string_view lock_name) REQUIRES(lock_);
  bool can_go_on(std::string_view task) const REQUIRES(lock_);

  const std::span<const stage> stages_;
  std::atomic<std::size_t> stage_ = 0;  // written under lock_
  mutable unwatched_mutex lock_;
  unsigned passed_ GUARDED_BY(lock_) = 0;  // locks that the stage names, taken in it
  std::vector<std::unique_ptr<participant>> all_ GUARDED_BY(lock_);
  wait_queue turns_;
  completion news_;
};

}  // namespace memhp
