// Threads for jobs that may sleep for as long as they like.
//
// A job is never queued behind another one: if no thread is idle, a new one starts, so
// a job that waits for what a later job does cannot deadlock the pool. Stacks are small
// and thousands of threads are fine. A thread that was idle for a while ends.
//
// Cost of a job on an idle thread: one system call that wakes it, made with no lock held,
// so that who is woken finds nothing taken.
//
// Thread safety: every function may be called by any thread; the destructor by none of
// the pool's own.
#pragma once

#include <pthread.h>

#include <chrono>
#include <functional>
#include <list>
#include <vector>

#include "locks/completion.h"
#include "locks/thread_annotations.h"
#include "locks/tracked.h"

namespace memhp {

class worker_pool {
 public:
  using job = std::move_only_function<void()>;

  explicit worker_pool(unsigned max_threads = 16'384,
                       std::chrono::milliseconds idle_life = std::chrono::seconds{10});
  // Waits for the jobs that run.
  ~worker_pool();
  worker_pool(const worker_pool&) = delete;
  worker_pool& operator=(const worker_pool&) = delete;

  // Starts `work` on a thread of its own. False, and the job is dropped, if the limit
  // is reached or the host gives no more threads.
  [[nodiscard]] bool submit(job work);

  // Waits until no job runs; false after `timeout`.
  bool wait_idle(std::chrono::milliseconds timeout);

  unsigned threads() const;
  unsigned busy() const;

 private:
  // The completions here are not seen through the validator: it knows no wait that ends
  // by itself, and what a job waits for is told by the locks that it takes.
  struct worker {
    explicit worker(worker_pool& owner) : pool{owner} {}
    worker_pool& pool;
    // The worker's own, but while it is idle: then whoever takes it off the idle list
    // may leave a job here, and tells. Without one the worker ends.
    job work;
    completion told;
    pthread_t thread = {};
    std::list<worker>::iterator self;
  };

  static void* thread_main(void* argument);
  void serve(worker& self);
  bool becomes_idle(worker& self);
  void wait_for_job(worker& self);
  worker* give_to_idle(job& work);
  bool spawn(job work);
  void join_ended();

  const unsigned max_threads_;
  const std::chrono::milliseconds idle_life_;

  static constexpr lock_class_key lock_key{.name = "worker pool"};
  mutable tracked_mutex lock_{lock_key};
  std::list<worker> workers_ GUARDED_BY(lock_);
  std::vector<worker*> idle_ GUARDED_BY(lock_);  // the last one: for the shortest time
  std::list<worker> ended_ GUARDED_BY(lock_);    // threads to join
  std::vector<completion*> until_idle_ GUARDED_BY(lock_);  // of those in wait_idle()
  unsigned busy_ GUARDED_BY(lock_) = 0;
  bool stopping_ GUARDED_BY(lock_) = false;

  completion all_ended_;  // once stopping
};

}  // namespace memhp
