// Code that changes the process it runs in (namespaces, users) and so needs one of its
// own.
#pragma once

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <functional>

namespace memhp {

// Runs `body` in a forked child and returns whether it returned without a failed
// expectation. Only EXPECT_* and ASSERT_* inside `body` count.
inline bool passes_in_child(const std::function<void()>& body) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    try {
      body();
    } catch (const std::exception& e) {  // must not reach the parent's test runner
      ADD_FAILURE() << e.what();
    }
    std::fflush(nullptr);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Empty where a process may make a user namespace; else why this one may not.
inline const char* no_user_namespace() {
#ifdef __SANITIZE_THREAD__
  return "ThreadSanitizer has a thread, with which a process cannot make a user "
         "namespace";
#else
  return "";
#endif
}

// Makes root of the caller an ordinary user; anybody else stays who they are.
inline void become_ordinary_user() {
  constexpr uid_t nobody = 65534;
  if (geteuid() != 0) return;
  ASSERT_EQ(setresgid(nobody, nobody, nobody), 0);
  ASSERT_EQ(setresuid(nobody, nobody, nobody), 0);
  // Its files in /proc are its own again, as after execve().
  ASSERT_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
}

}  // namespace memhp
