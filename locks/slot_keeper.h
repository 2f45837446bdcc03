// A thread that holds robust mutexes for its process: the kernel marks them when the
// process ends or executes another program, and only then. A robust mutex belongs to a
// thread; held by the thread that attached to something it would tell of that thread's
// end, not of the process's.
//
// The thread is started by the first call, blocks all signals, sleeps for ever and is
// never joined: it must live as long as the process. A forked child has none until it
// asks for one.
//
// Thread safety: run() from any thread; one job at a time.
#pragma once

#include <functional>

#include "locks/completion.h"
#include "locks/mutex.h"

namespace memhp {

class slot_keeper {
 public:
  // That of the calling process. fork_prepare() to fork_child() keep it whole over fork.
  static slot_keeper& of_this_process();

  // Runs `job` on the keeper's thread and returns what it returns; an error number of
  // pthread_create, negative, if the thread cannot be started.
  int run(const std::function<int()>& job);

  static void fork_prepare();
  static void fork_parent();
  static void fork_child();

 private:
  int start();
  static void* main(void* self);

  mutex lock_;
  bool started_ GUARDED_BY(lock_) = false;
  // Handed over by the completions.
  const std::function<int()>* job_ = nullptr;
  int answer_ = 0;
  completion asked_;
  completion answered_;
};

}  // namespace memhp
