// Threads for jobs that may sleep for as long as they like.
//
// A job is never queued behind another one: if no thread is idle, a new one starts, so
// a job that waits for what a later job does cannot deadlock the pool. Stacks are small
// and thousands of threads are fine. A thread that was idle for a while ends.
//
// Thread safety: every function may be called by any thread; the destructor by none of
// the pool's own.
#pragma once

#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <vector>

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
  struct worker {
    explicit worker(worker_pool& owner) : pool{owner} {}
    worker_pool& pool;
    job work;
    std::condition_variable wake;
    pthread_t thread = {};
    std::list<worker>::iterator self;
  };

  static void* thread_main(void* argument);
  void serve(worker& self);
  bool wait_for_job(worker& self, std::unique_lock<std::mutex>& hold);
  bool spawn(job work);
  void join_ended();

  const unsigned max_threads_;
  const std::chrono::milliseconds idle_life_;

  mutable std::mutex lock_;
  // Guarded by lock_.
  std::condition_variable no_job_runs_;
  std::condition_variable thread_ended_;
  std::list<worker> workers_;
  std::vector<worker*> idle_;  // the last one was idle for the shortest time
  std::list<worker> ended_;    // threads to join
  unsigned busy_ = 0;
  bool stopping_ = false;
};

}  // namespace memhp
