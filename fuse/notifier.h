// Tells the kernel what it must not believe any more: names that are gone, attributes
// that changed.
//
// A thread of its own, because the kernel takes the directory's inode lock to do it,
// and whoever holds that lock may be waiting for the receiver. The receiver only posts;
// a worker may post and then flush().
//
// Thread safety: every function may be called by any thread, flush() not by the
// receiver; start() and stop() by one.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <thread>

#include "fuse/node_table.h"
#include "locks/completion.h"
#include "locks/tracked.h"

struct fuse_session;

namespace memhp {

class notifier {
 public:
  notifier() = default;
  ~notifier() { stop(); }
  notifier(const notifier&) = delete;
  notifier& operator=(const notifier&) = delete;

  // Starts the thread; what is posted before, when the kernel knows nothing yet, and
  // after stop() is dropped. The session must live until stop().
  void start(fuse_session* session);
  // Does what was posted, then ends the thread.
  void stop();

  // The next use of this name asks again. Open files, the working directory and watches
  // stay as they are.
  void expire_name(node_id parent, std::string_view name);
  // The same for a name that is gone, and once more a while later: a client that was
  // told of the name just before may believe in it again after the first time.
  void expire_gone_name(node_id parent, std::string_view name);
  // The kernel drops what it knows under this name, because it means something else now.
  void drop_name(node_id parent, std::string_view name);
  // The next stat() of this node asks again.
  void forget_attributes(node_id node) { forget(node, false); }
  // The same for a directory, and whoever lists it from its beginning asks again, too.
  void forget_listing(node_id directory) { forget(directory, true); }

  // Waits until everything posted so far has reached the kernel.
  void flush();

 private:
  using clock = std::chrono::steady_clock;
  struct name_to_expire {
    node_id parent;
    std::string name;
    bool gone = false;  // to be repeated
    bool drop = false;
  };
  struct repetition {
    clock::time_point due;
    name_to_expire name;
  };
  void post(name_to_expire name);
  bool must_tell() REQUIRES(lock_);
  void wait_for_news();
  void take_due() REQUIRES(lock_);
  void repeat_later(const std::deque<name_to_expire>& names);
  // Whether the listing is to be forgotten, by node. A map: a thousand new blocks are
  // one notification about their directory.
  using nodes_to_forget = std::map<node_id, bool>;

  void forget(node_id node, bool listing);
  void serve(fuse_session* session);
  static void send(fuse_session* session, const std::deque<name_to_expire>& names,
                   const nodes_to_forget& nodes);

  static constexpr lock_class_key lock_key{.name = "notifier"};
  tracked_mutex lock_{lock_key};
  std::deque<name_to_expire> names_ GUARDED_BY(lock_);
  std::deque<repetition> repetitions_ GUARDED_BY(lock_);  // earliest first
  nodes_to_forget nodes_ GUARDED_BY(lock_);
  std::uint64_t posts_ GUARDED_BY(lock_) = 0;
  bool running_ GUARDED_BY(lock_) = false;
  bool told_ GUARDED_BY(lock_) = false;  // news_ is complete, or about to be

  // What the thread waits for, at times with a deadline, which the validator does not
  // know: it never waits with a lock held.
  completion news_;
  std::atomic<std::uint64_t> done_ = 0;  // how many of posts_ the kernel knows
  tracked_wait_queue sent_{"notifier"};

  std::thread thread_;
};

}  // namespace memhp
