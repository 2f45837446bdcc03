#include "locks/slot_keeper.h"

#include <pthread.h>

#include <csignal>

#include "locks/guards.h"

namespace memhp {
namespace {

// Neither is ever freed: threads may use them until the process ends.
slot_keeper* keeper = nullptr;
mutex& keeper_lock() {
  static mutex& lock = *new mutex;
  return lock;
}

}  // namespace

slot_keeper& slot_keeper::of_this_process() {
  guard hold{keeper_lock()};
  if (keeper == nullptr) keeper = new slot_keeper;
  return *keeper;
}

int slot_keeper::run(const std::function<int()>& job) {
  guard hold{lock_};
  if (!started_) {
    if (const int error = start(); error != 0) return -error;
    started_ = true;
  }
  job_ = &job;
  asked_.complete();
  answered_.wait();
  return answer_;
}

int slot_keeper::start() {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // the thread inherits it
  pthread_t thread{};
  const int error = pthread_create(&thread, nullptr, &slot_keeper::main, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error == 0) pthread_detach(thread);
  return error;
}

void* slot_keeper::main(void* self) {
  auto& keeper = *static_cast<slot_keeper*>(self);
  while (true) {
    keeper.asked_.wait();
    keeper.answer_ = (*keeper.job_)();
    keeper.answered_.complete();
  }
}

// No job is under way while the process forks: the child would have half of one.
void slot_keeper::fork_prepare() NO_THREAD_SAFETY_ANALYSIS {
  keeper_lock().lock();
  if (keeper != nullptr) keeper->lock_.lock();
}

void slot_keeper::fork_parent() NO_THREAD_SAFETY_ANALYSIS {
  if (keeper != nullptr) keeper->lock_.unlock();
  keeper_lock().unlock();
}

// The child's copy of the thread's state says that a thread is there: it starts afresh.
// The copy is left alone; its locks and sleepers are the parent's.
void slot_keeper::fork_child() NO_THREAD_SAFETY_ANALYSIS {
  keeper = nullptr;
  keeper_lock().unlock();
}

}  // namespace memhp
