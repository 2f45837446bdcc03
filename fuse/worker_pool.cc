#include "fuse/worker_pool.h"

#include <algorithm>
#include <utility>

#include "locks/guards.h"

namespace memhp {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t stack_bytes = 1024UL * 1024;
#else
constexpr std::size_t stack_bytes = 256UL * 1024;
#endif

}  // namespace

worker_pool::worker_pool(unsigned max_threads, std::chrono::milliseconds idle_life)
    : max_threads_{max_threads}, idle_life_{idle_life} {}

worker_pool::~worker_pool() {
  std::vector<worker*> idle;
  bool some_live = false;
  {
    guard hold{lock_};
    stopping_ = true;
    idle.swap(idle_);
    some_live = !workers_.empty();
  }
  for (worker* each : idle) each->told.complete();  // none of them has ended before
  if (some_live) all_ended_.wait();
  join_ended();
}

// The idle worker that has the job now, and is to be told. Null if there was none; the
// job stays then.
worker_pool::worker* worker_pool::give_to_idle(job& work) {
  guard hold{lock_};
  if (idle_.empty()) return nullptr;
  worker* const chosen = idle_.back();
  idle_.pop_back();
  chosen->work = std::move(work);
  ++busy_;
  return chosen;
}

bool worker_pool::submit(job work) {
  if (worker* const chosen = give_to_idle(work)) {
    chosen->told.complete();
    return true;
  }
  join_ended();
  return spawn(std::move(work));
}

bool worker_pool::spawn(job work) {
  guard hold{lock_};
  if (workers_.size() >= max_threads_ || stopping_) return false;
  worker& born = workers_.emplace_back(*this);
  born.self = std::prev(workers_.end());
  born.work = std::move(work);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, stack_bytes);
  const int failed = pthread_create(&born.thread, &attributes, thread_main, &born);
  pthread_attr_destroy(&attributes);
  if (failed != 0) {
    workers_.pop_back();
    return false;
  }
  ++busy_;
  return true;
}

void* worker_pool::thread_main(void* argument) {
  auto& self = *static_cast<worker*>(argument);
  pthread_setname_np(pthread_self(), "memhp-worker");
  self.pool.serve(self);
  return nullptr;
}

// The job of the worker is over. False if the thread is to end.
bool worker_pool::becomes_idle(worker& self) {
  guard hold{lock_};
  if (--busy_ == 0) {
    for (completion* waiting : until_idle_) waiting->complete();
    until_idle_.clear();
  }
  if (stopping_) return false;
  idle_.push_back(&self);
  return true;
}

// Sleeps until the worker is told, or was idle for long enough.
void worker_pool::wait_for_job(worker& self) {
  if (self.told.wait_for(idle_life_)) return;
  {
    guard hold{lock_};
    if (std::erase(idle_, &self) != 0) return;
  }
  // Somebody has just taken us off the list and is about to tell.
  self.told.wait();
}

void worker_pool::serve(worker& self) {
  while (self.work) {
    self.work();
    self.work = nullptr;
    if (!becomes_idle(self)) break;
    wait_for_job(self);
  }
  guard hold{lock_};
  ended_.splice(ended_.end(), workers_, self.self);
  if (stopping_ && workers_.empty()) all_ended_.complete();
}

void worker_pool::join_ended() {
  std::list<worker> ended;
  {
    guard hold{lock_};
    ended.swap(ended_);
  }
  // A thread here has only its return left.
  for (worker& gone : ended) pthread_join(gone.thread, nullptr);
}

bool worker_pool::wait_idle(std::chrono::milliseconds timeout) {
  completion idle;
  {
    guard hold{lock_};
    if (busy_ == 0) return true;
    until_idle_.push_back(&idle);
  }
  if (idle.wait_for(timeout)) return true;
  guard hold{lock_};
  return std::erase(until_idle_, &idle) == 0;  // it came with the end of the time
}

unsigned worker_pool::threads() const {
  guard hold{lock_};
  return static_cast<unsigned>(workers_.size());
}

unsigned worker_pool::busy() const {
  guard hold{lock_};
  return busy_;
}

}  // namespace memhp
