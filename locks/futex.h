// The futex system call: sleep while a 32-bit word has a value, wake who sleeps on it.
// And what goes before it: a short spin.
//
// Thread safety: any thread; a wake is safe from signal handlers and with locks held.
// A sleeper tests its condition again after every return, whatever the return says: the
// kernel may end a wait early, and a wake may be meant for an earlier user of the word.
//
// Memory order: none beyond that of the word itself. The kernel compares the word and
// queues the sleeper in one step, so a wake-up cannot fall between the two (A): whoever
// changes the word first and wakes afterwards (B) either makes the compare fail or
// finds the sleeper queued.
//
// Source: futex(2); kernel/futex/waitwake.c (6.1).
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <ctime>

namespace memhp {

using futex_word = std::atomic<std::uint32_t>;
static_assert(sizeof(futex_word) == sizeof(std::uint32_t));
static_assert(futex_word::is_always_lock_free);

// Who may sleep on a word: the threads of one process (cheaper: the kernel needs no
// lookup of the page), or everybody who maps the memory that it lies in.
enum class futex_reach : std::uint8_t { one_process, across_processes };

enum class futex_result : std::uint8_t {
  woken,      // or an early return: test the condition again
  changed,    // the word did not have the value any more
  timed_out,  // the deadline has passed
};

namespace detail {

template <futex_reach Reach>
constexpr int futex_operation(int operation) {
  return Reach == futex_reach::one_process ? operation | FUTEX_PRIVATE_FLAG : operation;
}

inline futex_result futex_outcome(long returned) {
  if (returned == 0) return futex_result::woken;
  if (errno == EAGAIN) return futex_result::changed;
  if (errno == ETIMEDOUT) return futex_result::timed_out;
  return futex_result::woken;  // EINTR; the caller looks again
}

}  // namespace detail

// Sleeps while `word` is `expected`. `word` is any object of 4 bytes, aligned to 4.
template <futex_reach Reach = futex_reach::one_process>
inline futex_result futex_wait(const void* word, std::uint32_t expected) {  // A
  return detail::futex_outcome(syscall(SYS_futex, word,
                                       detail::futex_operation<Reach>(FUTEX_WAIT),
                                       expected, nullptr, nullptr, 0));
}

// The same until `deadline`. A FUTEX_WAIT_BITSET deadline is absolute, on
// CLOCK_MONOTONIC: the clock that std::chrono::steady_clock reads.
template <futex_reach Reach = futex_reach::one_process>
inline futex_result futex_wait_until(const void* word, std::uint32_t expected,
                                     std::chrono::steady_clock::time_point deadline) {
  const auto since_boot = deadline.time_since_epoch();
  if (since_boot.count() < 0) return futex_result::timed_out;  // the kernel says EINVAL
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_boot);
  const timespec when{.tv_sec = static_cast<time_t>(seconds.count()),
                      .tv_nsec = static_cast<long>(
                          std::chrono::nanoseconds{since_boot - seconds}.count())};
  return detail::futex_outcome(syscall(SYS_futex, word,
                                       detail::futex_operation<Reach>(FUTEX_WAIT_BITSET),
                                       expected, &when, nullptr, FUTEX_BITSET_MATCH_ANY));
}

// Wakes up to `count` of the sleepers, longest asleep first. The word itself is not
// read: it is enough that the address was once the word's, so a waker may still be
// here when the owner of the word has been told and has freed it. Another user of the
// address then wakes for nothing, which rule "test again" covers.
template <futex_reach Reach = futex_reach::one_process>
inline void futex_wake(const void* word, int count) {  // B
  syscall(SYS_futex, word, detail::futex_operation<Reach>(FUTEX_WAKE), count, nullptr,
          nullptr, 0);
}

template <futex_reach Reach = futex_reach::one_process>
inline void futex_wake_all(const void* word) {
  futex_wake<Reach>(word, INT_MAX);
}

// Tells the CPU that this is a spin: it saves power and lets a hyperthread run.
inline void cpu_relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

// How often a lock looks again before it sleeps. To sleep and to be woken cost two system
// calls and two switches, some 5 us on one machine and 30 us in a virtual one, so a spin
// of one or two microseconds is lost in it when it fails, and saves it when the sections
// are short. It is 0 where the process may run on one CPU only: there the holder cannot
// run while we spin.
unsigned spin_limit();

// Looks whether `done()`, and again up to spin_limit() times, with pauses that double.
// Few looks and long pauses: each look takes the line from the holder, who then needs
// longer for his section and finds more spinners at its end. False if it never was.
template <class Done>
inline bool spin_until(Done done) {
  if (done()) return true;
  unsigned pauses = 4;
  for (unsigned tries = spin_limit(); tries > 0; --tries) {
    for (unsigned i = 0; i < pauses; ++i) cpu_relax();
    if (done()) return true;
    if (pauses < 32) pauses *= 2;
  }
  return false;
}

}  // namespace memhp
