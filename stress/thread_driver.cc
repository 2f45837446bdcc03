#include "stress/thread_driver.h"

#include <algorithm>
#include <csignal>
#include <thread>

#include "stress/file_io.h"

namespace memhp::stress {
namespace {

// Other signals are for the thread that runs the run: they interrupt no worker.
void take_only_our_signal() {
  sigset_t others;
  sigfillset(&others);
  sigdelset(&others, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &others, nullptr);
}

// False if the run has stopped before the call was due.
bool wait_until_due(const planned_call& next, const shared_run& shared) {
  constexpr std::chrono::milliseconds look_every{50};
  for (;;) {
    if (shared.stop.load(std::memory_order_relaxed)) return false;
    if (next.not_before == run_clock::time_point{} && next.after_ended == 0) return true;
    const auto now = run_clock::now();
    if (next.is_due(now, shared.ended_calls.load(std::memory_order_relaxed))) return true;
    if (now < next.not_before)
      std::this_thread::sleep_until(std::min(next.not_before, now + look_every));
    else
      std::this_thread::yield();
  }
}

outcome make_call(worker& each, const call& what, file_io& files) {
  steps doing = each.performs().perform(what);
  while (!doing.done()) doing.go_on(files.carry_out(doing.wanted()));
  return std::move(doing.result());
}

}  // namespace

thread_signals::thread_signals(std::vector<std::atomic<std::uint64_t>>& sent)
    : sent_{sent}, threads_(sent.size()) {
  struct sigaction action{};
  action.sa_handler = [](int) {};
  sigaction(SIGUSR1, &action, nullptr);
}

void thread_signals::enter(std::size_t worker) {
  const std::lock_guard hold{lock_};
  threads_[worker] = pthread_self();
}

void thread_signals::leave(std::size_t worker) {
  const std::lock_guard hold{lock_};
  threads_[worker].reset();
}

void thread_signals::interrupt(std::size_t worker) {
  const std::lock_guard hold{lock_};
  if (worker >= threads_.size() || !threads_[worker]) return;
  sent_[worker].fetch_add(1, std::memory_order_release);  // before any EINTR of it
  pthread_kill(*threads_[worker], SIGUSR1);
}

void run_in_thread(worker& each, shared_run& shared, thread_signals& signals) {
  take_only_our_signal();
  file_io files{shared.sys};
  while (auto next = each.next()) {
    if (!wait_until_due(*next, shared)) break;
    if (each.can_be_interrupted()) signals.enter(each.index());
    record done = each.begin(next->what);
    outcome result;
    if (next->what.op == operation::interrupt)
      signals.interrupt(next->what.target);
    else
      result = make_call(each, next->what, files);
    done.end_ns = each.now_ns();
    if (each.can_be_interrupted()) signals.leave(each.index());
    each.end(done, result);
  }
  each.finish();
}

}  // namespace memhp::stress
