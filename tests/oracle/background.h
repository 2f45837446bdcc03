// Calls that run in processes of their own, because they block, need another user or
// race with each other.
//
// Thread safety: one thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/oracle/calls.h"

namespace memhp::oracle {

// One call in a child process. SIGUSR1 is handled there, without SA_RESTART.
class background_call {
 public:
  // Starts `call`; as another user if `uid` is not 0.
  background_call(caller& from, const json& call, uid_t uid = 0);
  ~background_call();  // kills the child if it still runs
  background_call(const background_call&) = delete;
  background_call& operator=(const background_call&) = delete;

  // The result of the call. ETIMEDOUT if it has none yet. ECHILD with the wait status
  // if the child ended without telling one, or it was told already.
  json wait(std::chrono::milliseconds limit);
  // kill(2).
  json signal(int number);

 private:
  void reap();

  pid_t pid_ = -1;
  int results_ = -1;  // read end of a pipe
  int status_ = 0;    // of the child, once reaped
};

// Workers that make calls in random order, each counting what came of them, in the
// form of the recordings: {"ok": 79, "iter": 147, "EINVAL": 68}.
class race {
 public:
  // `iterations` for each worker; 0: until stop().
  race(caller& from, const json& calls, const std::vector<long>& iterations);
  ~race();
  race(const race&) = delete;
  race& operator=(const race&) = delete;

  bool finished();             // every worker has ended
  long ok_of_slowest() const;  // successes so far of the worker that had fewest
  void stop();
  json counts();  // stops and waits first

 private:
  struct shared;
  shared* shared_ = nullptr;
  std::vector<pid_t> workers_;
};

}  // namespace memhp::oracle
