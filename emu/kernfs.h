// kernfs: the tree of directories, attribute files and links that sysfs shows, with
// active references and drain.
//
// Thread safety: every function may be called by any thread. Locks: kernfs_rwsem of
// the root guards the shape of the tree and the inode attributes; it is never held
// while a show or store runs or while a removal waits.
// Invariants:
//   1. A show or store runs only between get_active() and put_active() of its node.
//   2. remove() first makes every get_active() below the node fail, then waits until
//      the references that were out are back (the drain), then unlinks. Whoever comes
//      later gets no_such_device; a removed node never comes back to life.
//   3. An inode number is used once in the life of a root.
//
// Mirrors fs/kernfs/dir.c, file.c and fs/sysfs/file.c (6.1).
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <boost/intrusive/set_hook.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "blocks/result.h"
#include "emu/active_reference.h"
#include "emu/task.h"
#include "locks/tracked.h"

namespace memhp {

class kernfs_root;
class kernfs_node;
using kernfs_ref = boost::intrusive_ptr<kernfs_node>;

// What an attribute file belongs to (a device, a bus, a module). Only a type to derive
// from: kernfs hands it back to show and store.
class kobject {
 public:
  kobject() = default;
  kobject(const kobject&) = delete;
  kobject& operator=(const kobject&) = delete;
  virtual ~kobject() = default;
};

// One attribute file of a kind of kobject. Static: its address is its lock class, so
// all files made from it are one class, as in the kernel.
struct attribute {
  std::string_view name;
  mode_t mode = 0;
  // Returns the whole content, cut to a page unless `unbounded`. Null: reading is EIO.
  result<std::string> (*show)(kobject&, task&) = nullptr;
  // Consumes one write, at most a page, and returns the bytes taken. Null: EIO.
  result<std::size_t> (*store)(kobject&, std::string_view, task&) = nullptr;
  // Whether show or store may sleep: the edge then runs them on a thread of its own.
  bool show_sleeps = false;
  bool store_sleeps = false;
  // Longer than a page, as debugfs files may be.
  bool unbounded = false;
};

enum class kernfs_type : std::uint8_t { directory, file, link };

// What stat shows of a node. Times in seconds since the epoch.
struct kernfs_stat {
  std::uint64_t ino = 0;
  mode_t mode = 0;  // with the file type bits
  uid_t uid = 0;
  gid_t gid = 0;
  std::uint64_t size = 0;
  unsigned nlink = 1;
  struct timespec atime{}, mtime{}, ctime{};
};

// Attributes to change; an empty field stays.
struct kernfs_iattr {
  const mode_t* mode = nullptr;  // permission bits only
  const uid_t* uid = nullptr;
  const gid_t* gid = nullptr;
  const struct timespec* atime = nullptr;
  const struct timespec* mtime = nullptr;
  const struct timespec* ctime = nullptr;
};

// A node. Held by reference count: it stays readable (name, inode number, stat) after
// its removal for as long as somebody keeps a kernfs_ref.
class kernfs_node : public boost::intrusive_ref_counter<kernfs_node> {
 public:
  kernfs_node(kernfs_root& root, kernfs_node* parent, std::string_view name,
              kernfs_type type, std::uint64_t ino);
  ~kernfs_node();

  kernfs_root& root() const { return root_; }
  kernfs_node* parent() const { return parent_.get(); }  // null for the root directory
  std::string_view name() const { return name_; }
  kernfs_type type() const { return type_; }
  std::uint64_t ino() const { return ino_; }
  // Place among its siblings: first by a hash of the name, as the kernel keeps (and
  // lists) them, then by age. Never 0; below 2^63.
  std::uint64_t readdir_cookie() const { return cookie_; }
  const attribute* attr() const { return attr_; }  // null unless a file
  kobject* owner() const { return owner_; }

  // Takes an active reference: false once removal has begun.
  bool get_active();
  void put_active();
  // True until removal begins.
  bool active() const { return active_.active(); }

 private:
  friend class kernfs_root;
  struct inode_attributes;  // only for nodes that chmod, utimes or setxattr touched
  struct directory;         // children, only for directories

  // Constant after construction.
  kernfs_root& root_;
  const kernfs_ref parent_;  // a removed child keeps its ancestors' memory
  const std::string name_;
  const kernfs_type type_;
  const std::uint64_t ino_;
  const std::uint64_t cookie_;
  const attribute* attr_ = nullptr;
  kobject* owner_ = nullptr;
  kernfs_ref target_;  // of a link

  // Synchronize themselves.
  active_reference active_;
  std::atomic<std::int64_t> first_seen_ns_ = 0;  // when stat() first met the node

  // Guarded by kernfs_rwsem of the root.
  mode_t mode_ = 0;
  bool linked_ = false;        // reachable from its parent
  bool sizes_hidden_ = false;  // what comes below it has it from its parent
  std::unique_ptr<inode_attributes> iattr_;
  std::unique_ptr<directory> dir_;
  boost::intrusive::set_member_hook<boost::intrusive::optimize_size<true>> rb_;
};

// Told about every change of the tree's shape, by the thread that changed it, with no
// lock held. Must not wait for requests on the same tree.
class kernfs_observer {
 public:
  virtual ~kernfs_observer() = default;
  // `node` appeared; its parent's link count may have changed.
  virtual void node_added(kernfs_node& node) = 0;
  // Removal of the node and what is below it begins: lookups fail from now on, though it
  // stays linked until those who use it have left.
  virtual void removal_begins(kernfs_node& /*node*/) {}
  // `node` is gone from its parent. Children are reported before their directory.
  virtual void node_removed(kernfs_node& node) = 0;
};

// One mounted tree.
class kernfs_root {
 public:
  // `now` stamps inodes when they are first looked at; injected because the kernel
  // model has no clock of its own.
  using clock_fn = struct timespec (*)();
  explicit kernfs_root(clock_fn now = nullptr, active_dep dep = {});
  ~kernfs_root();
  kernfs_root(const kernfs_root&) = delete;
  kernfs_root& operator=(const kernfs_root&) = delete;

  kernfs_node& top() const { return *top_; }
  // At most one; set before the first change that it must see, cleared before it dies.
  void set_observer(kernfs_observer* observer);

  // Building. All fail with file_exists if the name is taken, no_such_device if the
  // parent is being removed.
  result<kernfs_ref> create_dir(kernfs_node& parent, std::string_view name,
                                kobject* owner = nullptr, mode_t mode = 0755);
  result<kernfs_ref> create_file(kernfs_node& parent, const attribute& attr,
                                 kobject& owner);
  result<kernfs_ref> create_link(kernfs_node& parent, std::string_view name,
                                 kernfs_node& target);
  // Files created below `dir` from now on have the size 0 in stat, as those of debugfs
  // and proc, which know it only when they are read. Elsewhere it is a page, as in sysfs.
  void hide_sizes(kernfs_node& dir);
  // create_dir() for every missing component of "a/b/c"; returns the last.
  kernfs_ref make_path(std::string_view path);

  // Removes the node and everything below it. Waits for active references, so the
  // caller must hold none of them and no lock that a show or store takes.
  void remove(kernfs_node& node);
  // remove() of a child by name; does nothing if there is none.
  void remove_by_name(kernfs_node& parent, std::string_view name);

  // Looking. lookup(): no_such_file_or_directory, also for a node under removal.
  result<kernfs_ref> lookup(kernfs_node& dir, std::string_view name);
  // lookup() along "a/b/c" from the top; links are not followed.
  result<kernfs_ref> find(std::string_view path);
  // Calls visit(child) for children with a readdir_cookie() above `after`, in that order,
  // until it returns false. The lock is held for reading: visit must not change the tree.
  void for_each_child(kernfs_node& dir, std::uint64_t after,
                      const std::function<bool(kernfs_node&)>& visit);
  kernfs_stat stat(kernfs_node& node);
  // Target of a link, relative to the directory that holds it.
  std::string readlink(kernfs_node& link);
  // Path from the top, without a leading slash.
  std::string path_of(kernfs_node& node);

  void setattr(kernfs_node& node, const kernfs_iattr& attr);
  // Extended attributes as sysfs keeps them: trusted.* and security.* are stored.
  // user.* can be asked for, but not set. operation_not_supported for others,
  // no_message_available (ENODATA) if not set, invalid_argument for a prefix alone.
  result<> setxattr(kernfs_node& node, const std::string& name, std::string_view value,
                    int flags);
  result<std::string> getxattr(kernfs_node& node, const std::string& name);
  std::vector<std::string> listxattr(kernfs_node& node);
  result<> removexattr(kernfs_node& node, const std::string& name);

 private:
  friend class kernfs_node;
  kernfs_ref new_node(kernfs_node& parent, std::string_view name, kernfs_type type);
  result<kernfs_ref> link_new(const kernfs_ref& node);
  void deactivate_subtree(kernfs_node& node) REQUIRES(kernfs_rwsem_);
  void remove_subtree(kernfs_node& node);
  void unlink(kernfs_node& node);
  kernfs_node::inode_attributes& iattr_of(kernfs_node& node) REQUIRES(kernfs_rwsem_);

  const clock_fn now_;
  const active_dep dep_;  // what the validator is told
  std::atomic<std::uint64_t> next_ino_ = 1;
  std::atomic<kernfs_observer*> observer_ = nullptr;
  // Woken when an active reference of a dying node ends.
  tracked_wait_queue deactivate_waitq_{"&root->deactivate_waitq"};
  static constexpr lock_class_key kernfs_rwsem_key{.name = "&root->kernfs_rwsem"};
  tracked_rw_semaphore kernfs_rwsem_{kernfs_rwsem_key};
  kernfs_ref top_;
};

// An open file: the position and the content that seq_file keeps between reads.
//
// Thread safety: read() and write() of one open file are the caller's to serialize
// where they run on several threads (the kernel has of->mutex; take `tracked_mutex`).
class kernfs_open_file {
 public:
  // open(2). permission_denied if the wanted access has no mode bit at all (root too),
  // invalid_argument for O_DIRECT, no_such_device once removal has begun.
  static result<std::unique_ptr<kernfs_open_file>> open(kernfs_node& node, int flags);

  kernfs_node& node() const { return *node_; }
  bool writable() const { return writable_; }

  // Whether a read at `offset` would call show (and thus may sleep), rather than serve
  // what an earlier read fetched.
  bool read_calls_show(std::uint64_t offset) const;

  // read(2)/pread(2): content is generated at offset 0 and kept; reading on from where
  // the last read ended returns the rest of it, even of a removed file.
  result<std::string> read(std::uint64_t offset, std::size_t size, task& by);

  // write(2): one command, the offset does not matter. Longer than a page is cut to a
  // page. restart_no_intr: repeat the whole call later, nothing is held meanwhile.
  result<std::size_t> write(std::string_view data, task& by);

 private:
  kernfs_open_file(kernfs_node& node, bool writable)
      : node_{&node}, writable_{writable} {}
  result<> generate(task& by);

  const kernfs_ref node_;
  const bool writable_;
  std::string content_;         // what show returned last
  std::uint64_t read_pos_ = 0;  // where the next sequential read goes on
  bool fetched_ = false;
};

}  // namespace memhp
