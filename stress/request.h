// What a call asks of the tree's files, one request after the other, whoever carries them
// out: a thread in system calls, or a ring.
//
// Thread safety: plain data; a `steps` is for one thread.
#pragma once

#include <coroutine>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stress/call.h"

namespace memhp::stress {

struct request {
  enum class kind : std::uint8_t {
    write,  // all of `text` in one write
    read,   // an attribute, which is at most a page, in one read
    stat,   // of the name itself, not of what it links to
    list,   // a directory's names
  };
  kind what = kind::read;
  std::string path;  // below the tree's root
  std::string text;
  // Which of the worker's files it uses and leaves open; none: one of its own, which is
  // opened and closed.
  std::optional<std::size_t> kept;
  bool reopen = false;  // the kept file is opened anew first
};

struct answer {
  int error = 0;         // errno; ECANCELED: it was called off before it began
  bool opened = true;    // false: `error` is what the open said
  std::size_t size = 0;  // bytes written
  std::string text;
  std::vector<std::string> names;  // sorted
};

// The files that a worker may keep open, in two halves: to write states, to hold.
inline constexpr std::size_t kept_files = 128;
inline constexpr std::size_t page_bytes = 4096;

// A call under way: runs up to its next request, goes on with the answer.
class steps {
 public:
  struct promise_type {
    struct awaiter {
      promise_type& promise;
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> /*waits*/) const noexcept {}
      answer await_resume() const { return std::move(promise.given); }
    };

    steps get_return_object() {
      return steps{std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_always final_suspend() const noexcept { return {}; }
    awaiter await_transform(request next) {
      wanted = std::move(next);
      return {*this};
    }
    void return_value(outcome end) { result = std::move(end); }
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }

    request wanted;
    answer given;
    outcome result;
  };

  steps(steps&& other) noexcept : at_{std::exchange(other.at_, {})} {}
  steps& operator=(steps&& other) noexcept {
    std::swap(at_, other.at_);
    return *this;
  }
  ~steps() {
    if (at_) at_.destroy();
  }

  bool done() const { return at_.done(); }
  const request& wanted() const { return at_.promise().wanted; }  // unless done
  void go_on(answer given) {
    at_.promise().given = std::move(given);
    at_.resume();
  }
  outcome& result() { return at_.promise().result; }  // once done

 private:
  explicit steps(std::coroutine_handle<promise_type> at) : at_{at} {}

  std::coroutine_handle<promise_type> at_;
};

}  // namespace memhp::stress
