#include "fuse/worker_pool.h"

#include <algorithm>
#include <utility>

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
  std::unique_lock hold{lock_};
  stopping_ = true;
  for (worker* idle : idle_) idle->wake.notify_one();
  thread_ended_.wait(hold, [this] { return workers_.empty(); });
  hold.unlock();
  join_ended();
}

bool worker_pool::submit(job work) {
  {
    const std::lock_guard hold{lock_};
    if (!idle_.empty()) {
      worker& chosen = *idle_.back();
      idle_.pop_back();
      chosen.work = std::move(work);
      ++busy_;
      chosen.wake.notify_one();
      return true;
    }
  }
  join_ended();
  return spawn(std::move(work));
}

bool worker_pool::spawn(job work) {
  const std::lock_guard hold{lock_};
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

// Sleeps until there is a job. False if the thread is to end.
bool worker_pool::wait_for_job(worker& self, std::unique_lock<std::mutex>& hold) {
  if (self.work) return true;
  idle_.push_back(&self);
  self.wake.wait_for(hold, idle_life_, [&] { return self.work || stopping_; });
  if (self.work) return true;  // submit() has taken us off the idle list
  std::erase(idle_, &self);
  return false;
}

void worker_pool::serve(worker& self) {
  std::unique_lock hold{lock_};
  while (wait_for_job(self, hold)) {
    job work = std::exchange(self.work, nullptr);
    hold.unlock();
    work();
    work = nullptr;
    hold.lock();
    if (--busy_ == 0) no_job_runs_.notify_all();
  }
  ended_.splice(ended_.end(), workers_, self.self);
  if (workers_.empty()) thread_ended_.notify_all();
}

void worker_pool::join_ended() {
  std::list<worker> ended;
  {
    const std::lock_guard hold{lock_};
    ended.swap(ended_);
  }
  // A thread here has only its return left.
  for (worker& gone : ended) pthread_join(gone.thread, nullptr);
}

bool worker_pool::wait_idle(std::chrono::milliseconds timeout) {
  std::unique_lock hold{lock_};
  return no_job_runs_.wait_for(hold, timeout, [this] { return busy_ == 0; });
}

unsigned worker_pool::threads() const {
  const std::lock_guard hold{lock_};
  return static_cast<unsigned>(workers_.size());
}

unsigned worker_pool::busy() const {
  const std::lock_guard hold{lock_};
  return busy_;
}

}  // namespace memhp
