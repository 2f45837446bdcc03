#include "stress/ring_driver.h"

#include <algorithm>
#include <csignal>

namespace memhp::stress {

ring_driver::ring_driver(shared_run& shared, std::deque<worker>& workers,
                         unsigned in_flight)
    : shared_{shared}, workers_{workers} {
  const std::size_t calls = std::max<std::size_t>(in_flight, workers.size());
  for (std::size_t i = 0; i < calls && !workers.empty(); ++i) {
    flights_.emplace_back().chain.number = i;
    free_.push_back(&flights_.back());
    turns_.push_back(&workers[i % workers.size()]);
  }
}

void ring_driver::run() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  auto made = ring::create(flights_.size(), workers_.size() * kept_files);
  if (made) {
    ring_.emplace(std::move(*made));
    lister_.emplace(shared_.sys);
    ring_->watch(lister_->event_fd());
  } else {
    shared_.findings.add({.what = made.error()});
    turns_.clear();
  }
  for (;;) {
    start_calls();
    finish_idle();
    if (under_way_ == 0 && turns_.empty() && waiting_.empty()) break;
    const auto part_is_back = [&](std::size_t number, unsigned part, int result) {
      flight& each = flights_[number];
      each.chain.results[part] = result;
      ++each.chain.back;
      if (each.chain.under_way()) return;
      each.doing->go_on(ring::answer_of(each.chain, each.complaint));
      go_on(each);
    };
    ring_->wait(time_to_wait(), part_is_back, [&] {
      for (auto& [number, found] : lister_->take()) {
        flights_[number].listing = false;
        flights_[number].doing->go_on(std::move(found));
        go_on(flights_[number]);
      }
    });
  }
  lister_.reset();
  ring_.reset();
  finish_idle();
}

// Once nobody has more calls: those whose calls are all back. They do not wait for a call
// of another worker that hangs.
void ring_driver::finish_idle() {
  if (!turns_.empty() || !waiting_.empty()) return;
  for (worker& each : workers_)
    if (!each.ended() && std::ranges::none_of(flights_, [&](const flight& one) {
          return one.who == &each;
        }))
      each.finish();
}

// A worker whose turn it is begins a call, or waits until it is due.
void ring_driver::start_calls() {
  if (shared_.stop.load(std::memory_order_relaxed)) {
    turns_.clear();
    waiting_.clear();
    return;
  }
  const std::uint64_t ended = shared_.ended_calls.load(std::memory_order_relaxed);
  const auto now = run_clock::now();
  std::vector<waiting_call> due;
  std::erase_if(waiting_, [&](const waiting_call& each) {
    if (!each.next.is_due(now, ended)) return false;
    due.push_back(each);
    return true;
  });
  for (const waiting_call& each : due) start(*each.who, each.next.what);
  for (std::size_t left = turns_.size(); left != 0; --left) {
    worker& who = *turns_.front();
    turns_.pop_front();
    const auto next = who.next();
    if (!next) continue;
    if (next->is_due(now, ended))
      start(who, next->what);
    else
      waiting_.push_back({&who, *next});
  }
}

void ring_driver::start(worker& who, const call& what) {
  flight& each = *free_.back();
  free_.pop_back();
  ++under_way_;
  each.who = &who;
  each.made = who.begin(what);
  each.complaint.clear();
  if (what.op == operation::interrupt) interrupt(what.target);
  each.doing.emplace(who.performs().perform(what));
  if (what.op == operation::interrupt) each.doing->result() = {};
  go_on(each);
}

// The next request of a call, or its end.
void ring_driver::go_on(flight& each) {
  if (each.doing->done()) {
    end(each);
    return;
  }
  each.chain.what = each.doing->wanted();
  if (each.chain.what.what == request::kind::list) {
    each.listing = true;
    lister_->ask(each.chain.number, each.chain.what.path);
    return;
  }
  const std::size_t kept =
      each.who->index() * kept_files + each.chain.what.kept.value_or(0);
  ring_->start(each.chain, shared_.sys.root.get(), kept);
}

void ring_driver::end(flight& each) {
  worker& who = *each.who;
  outcome result = std::move(each.doing->result());
  if (!each.complaint.empty()) result.complaint = each.complaint;
  each.made.end_ns = who.now_ns();
  each.doing.reset();
  each.who = nullptr;
  free_.push_back(&each);
  --under_way_;
  turns_.push_back(&who);
  who.end(each.made, result);
}

// The call of that worker that has been under way for longest.
void ring_driver::interrupt(std::size_t worker) {
  const flight* oldest = nullptr;
  for (const flight& each : flights_)
    if (each.who != nullptr && each.who->index() == worker &&
        each.who->can_be_interrupted() && !each.listing && each.chain.under_way() &&
        (oldest == nullptr || each.made.start_ns < oldest->made.start_ns))
      oldest = &each;
  if (oldest == nullptr) return;
  shared_.signals_sent[worker].fetch_add(1, std::memory_order_release);
  ring_->interrupt(oldest->chain);
}

std::chrono::nanoseconds ring_driver::time_to_wait() const {
  constexpr std::chrono::nanoseconds look_every = std::chrono::milliseconds{50};
  if (!turns_.empty()) return std::chrono::nanoseconds{0};
  const auto now = run_clock::now();
  auto until = now + look_every;
  for (const waiting_call& each : waiting_)
    until = std::min(
        until, each.next.not_before > now ? each.next.not_before : each.next.at_last);
  return std::max<std::chrono::nanoseconds>(until - now, std::chrono::nanoseconds{0});
}

}  // namespace memhp::stress
