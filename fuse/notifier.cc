#include "fuse/notifier.h"

#include <fuse_lowlevel.h>
#include <pthread.h>

#include <utility>

namespace memhp {
namespace {

// Long for a client to take in an answer that it has got.
constexpr auto repeat_after = std::chrono::seconds{1};

}  // namespace

void notifier::start(fuse_session* session) {
  {
    const std::lock_guard hold{lock_};
    running_ = true;
  }
  thread_ = std::thread{[this, session] { serve(session); }};
}

void notifier::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard hold{lock_};
    running_ = false;
  }
  posted_.notify_one();
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
  {
    const std::lock_guard hold{lock_};
    if (!running_) return;
    names_.push_back(std::move(name));
    ++posts_;
  }
  posted_.notify_one();
}

void notifier::forget(node_id node, bool listing) {
  {
    const std::lock_guard hold{lock_};
    if (!running_) return;
    nodes_[node] |= listing;
    ++posts_;
  }
  posted_.notify_one();
}

void notifier::flush() {
  std::unique_lock hold{lock_};
  sent_.wait(hold, [this, until = posts_] { return done_ >= until; });
}

void notifier::serve(fuse_session* session) {
  pthread_setname_np(pthread_self(), "memhp-notifier");
  std::unique_lock hold{lock_};
  const auto has_work = [this] { return !running_ || done_ != posts_; };
  for (;;) {
    if (repetitions_.empty())
      posted_.wait(hold, has_work);
    else
      posted_.wait_until(hold, repetitions_.front().due, has_work);
    if (!running_ && done_ == posts_) return;
    take_due();
    const auto names = std::exchange(names_, {});
    const auto nodes = std::exchange(nodes_, {});
    const std::uint64_t until = posts_;
    hold.unlock();
    send(session, names, nodes);
    hold.lock();
    for (const name_to_expire& name : names)
      if (name.gone)
        repetitions_.push_back(
            {clock::now() + repeat_after, {.parent = name.parent, .name = name.name}});
    done_ = until;
    sent_.notify_all();
  }
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
