#include "fuse/notifier.h"

#include <fuse_lowlevel.h>
#include <pthread.h>

#include <optional>
#include <utility>

#include "locks/guards.h"

namespace memhp {
namespace {

// Long for a client to take in an answer that it has got.
constexpr auto repeat_after = std::chrono::seconds{1};

}  // namespace

void notifier::start(fuse_session* session) {
  {
    guard hold{lock_};
    running_ = true;
  }
  thread_ = std::thread{[this, session] { serve(session); }};
}

void notifier::stop() {
  if (!thread_.joinable()) return;
  bool tell = false;
  {
    guard hold{lock_};
    running_ = false;
    tell = must_tell();
  }
  if (tell) news_.complete();
  thread_.join();
}

void notifier::expire_name(node_id parent, std::string_view name) {
  post({.parent = parent, .name = std::string{name}});
}

void notifier::expire_gone_name(node_id parent, std::string_view name) {
  post({.parent = parent, .name = std::string{name}, .gone = true});
}

void notifier::drop_name(node_id parent, std::string_view name) {
  post({.parent = parent, .name = std::string{name}, .drop = true});
}

void notifier::post(name_to_expire name) {
  bool tell = false;
  {
    guard hold{lock_};
    if (!running_) return;
    names_.push_back(std::move(name));
    ++posts_;
    tell = must_tell();
  }
  if (tell) news_.complete();
}

void notifier::forget(node_id node, bool listing) {
  bool tell = false;
  {
    guard hold{lock_};
    if (!running_) return;
    nodes_[node] |= listing;
    ++posts_;
    tell = must_tell();
  }
  if (tell) news_.complete();
}

// There is news. True for the first who has some: it wakes the thread, once lock_ is
// free.
bool notifier::must_tell() {
  return !std::exchange(told_, true);
}

void notifier::flush() {
  std::uint64_t until = 0;
  {
    guard hold{lock_};
    until = posts_;
  }
  sent_.wait([this, until] { return done_.load(std::memory_order_acquire) >= until; });
}

// Returns once there is news, or a repetition is due.
void notifier::wait_for_news() {
  std::optional<clock::time_point> due;
  {
    guard hold{lock_};
    if (!repetitions_.empty()) due = repetitions_.front().due;
  }
  const bool timed_out = due && !news_.wait_until(*due);
  if (timed_out) {
    guard hold{lock_};
    if (!told_) return;
  }
  if (!due || timed_out) news_.wait();  // in the latter case it is about to come
  guard hold{lock_};
  told_ = false;
}

void notifier::serve(fuse_session* session) {
  pthread_setname_np(pthread_self(), "memhp-notifier");
  for (bool running = true; running;) {
    wait_for_news();
    std::deque<name_to_expire> names;
    nodes_to_forget nodes;
    std::uint64_t until = 0;
    {
      guard hold{lock_};
      take_due();
      names.swap(names_);
      nodes.swap(nodes_);
      until = posts_;
      running = running_;  // once it is false nobody posts
    }
    send(session, names, nodes);
    repeat_later(names);
    done_.store(until, std::memory_order_release);
    sent_.wake_all();
  }
}

void notifier::repeat_later(const std::deque<name_to_expire>& names) {
  const auto due = clock::now() + repeat_after;
  guard hold{lock_};
  for (const name_to_expire& name : names)
    if (name.gone)
      repetitions_.push_back({due, {.parent = name.parent, .name = name.name}});
}

// The repetitions whose time has come join the names to send.
void notifier::take_due() {
  const auto now = clock::now();
  while (!repetitions_.empty() && repetitions_.front().due <= now) {
    names_.push_back(std::move(repetitions_.front().name));
    repetitions_.pop_front();
  }
}

// Errors are no news: the kernel does not know the name or node (ENOENT), or the mount
// has ended.
void notifier::send(fuse_session* session, const std::deque<name_to_expire>& names,
                    const nodes_to_forget& nodes) {
  // An offset of 0 means all of the data, -1 none of it.
  for (const auto& [node, listing] : nodes)
    fuse_lowlevel_notify_inval_inode(session, node, listing ? 0 : -1, 0);
  for (const name_to_expire& name : names)
    if (name.drop)
      fuse_lowlevel_notify_inval_entry(session, name.parent, name.name.c_str(),
                                       name.name.size());
    else
      fuse_lowlevel_notify_expire_entry(session, name.parent, name.name.c_str(),
                                        name.name.size(), FUSE_LL_EXPIRE_ONLY);
}

}  // namespace memhp
