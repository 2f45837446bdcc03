// Names, attributes and directories.
#include <linux/fuse.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "fuse/file_io.h"
#include "fuse/kernfs_ops.h"

namespace memhp {
namespace {

// Offsets in a directory: "." and ".." are followed by the children in the order of
// their inode numbers, so that a reader goes on where it was whatever came and went.
constexpr off_t after_dot = 1;
constexpr off_t after_dotdot = 2;
constexpr off_t offset_after(std::uint64_t ino) {
  return static_cast<off_t>(ino) + after_dotdot;
}

void fail_with(fuse_req_t req, served_tree& tree, int error) {
  reply_error(req, tree.stats, error);
}
void fail_with(fuse_req_t req, served_tree& tree, errc error) {
  reply_error(req, tree.stats, static_cast<int>(error));
}

fuse_entry_param entry_for(served_tree& tree, kernfs_node& node, pid_t tid) {
  return {.ino = tree.nodes.look_up(node, tid),
          .generation = 0,
          .attr = client_stat(tree, node),
          .attr_timeout = for_ever,
          .entry_timeout = for_ever};
}

void do_lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  served_tree& tree = begin_op(req, stats_op::lookup);
  const kernfs_ref dir = tree.nodes.find(parent);
  if (!dir) return fail_with(req, tree, ENOENT);
  const auto child = tree.root.lookup(*dir, name);
  // An error, not an empty entry: names that do not exist must not be remembered.
  if (!child) return fail_with(req, tree, child.error());
  const auto entry = entry_for(tree, **child, fuse_req_ctx(req)->pid);
  if (fuse_reply_entry(req, &entry) != 0) tree.nodes.forget(entry.ino, 1);
}

void do_forget(fuse_req_t req, fuse_ino_t ino, std::uint64_t count) {
  static_cast<served_tree*>(fuse_req_userdata(req))->nodes.forget(ino, count);
  fuse_reply_none(req);
}

void do_forget_multi(fuse_req_t req, std::size_t count, fuse_forget_data* forgets) {
  auto& nodes = static_cast<served_tree*>(fuse_req_userdata(req))->nodes;
  for (std::size_t i = 0; i < count; ++i)
    nodes.forget(forgets[i].ino, forgets[i].nlookup);
  fuse_reply_none(req);
}

void do_getattr(fuse_req_t req, fuse_ino_t ino, fuse_file_info* /*open_file*/) {
  served_tree& tree = begin_op(req, stats_op::getattr);
  const kernfs_ref node = tree.nodes.find(ino);
  if (!node) return fail_with(req, tree, ENOENT);
  const struct stat found = client_stat(tree, *node);
  fuse_reply_attr(req, &found, for_ever);
}

// The kernel has checked that the caller may. A new size is accepted and means nothing.
void do_setattr(fuse_req_t req, fuse_ino_t ino, struct stat* wanted, int to_set,
                fuse_file_info* /*open_file*/) {
  served_tree& tree = begin_op(req, stats_op::other);
  const kernfs_ref node = tree.nodes.find(ino);
  if (!node) return fail_with(req, tree, ENOENT);
  struct timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const auto set = [to_set](int bit) { return (to_set & bit) != 0; };
  const uid_t uid = wanted->st_uid == tree.owner_uid ? 0 : wanted->st_uid;
  const gid_t gid = wanted->st_gid == tree.owner_gid ? 0 : wanted->st_gid;
  kernfs_iattr attr{.ctime = &now};
  if (set(FUSE_SET_ATTR_MODE)) attr.mode = &wanted->st_mode;
  if (set(FUSE_SET_ATTR_UID)) attr.uid = &uid;
  if (set(FUSE_SET_ATTR_GID)) attr.gid = &gid;
  if (set(FUSE_SET_ATTR_ATIME))
    attr.atime = set(FUSE_SET_ATTR_ATIME_NOW) ? &now : &wanted->st_atim;
  if (set(FUSE_SET_ATTR_MTIME))
    attr.mtime = set(FUSE_SET_ATTR_MTIME_NOW) ? &now : &wanted->st_mtim;
  tree.root.setattr(*node, attr);
  // The file's other nodes show the same attributes.
  for (const node_id other : tree.nodes.ids_of(node->ino()))
    if (other != ino) tree.tell_kernel.forget_attributes(other);
  const struct stat found = client_stat(tree, *node);
  fuse_reply_attr(req, &found, for_ever);
}

void do_readlink(fuse_req_t req, fuse_ino_t ino) {
  served_tree& tree = begin_op(req, stats_op::other);
  const kernfs_ref node = tree.nodes.find(ino);
  if (!node) return fail_with(req, tree, ENOENT);
  fuse_reply_readlink(req, tree.root.readlink(*node).c_str());
}

// Nothing to keep between two reads of a directory: its node id says it all. So the
// kernel is told not to ask (ENOSYS); it then also remembers listings, until a
// notification says that one has changed.
void do_opendir(fuse_req_t req, fuse_ino_t /*ino*/, fuse_file_info* dir) {
  const served_tree& tree = begin_op(req, stats_op::open);
  if (!tree.opendir_needed) {
    fuse_reply_err(req, ENOSYS);
    return;
  }
  dir->fh = 0;
  fuse_reply_open(req, dir);
}

void do_releasedir(fuse_req_t req, fuse_ino_t /*ino*/, fuse_file_info* /*dir*/) {
  fuse_reply_err(req, 0);
}

// A directory of sysfs has no fsync(2). Without this operation the kernel says it is
// done.
void do_fsyncdir(fuse_req_t req, fuse_ino_t /*ino*/, int /*datasync*/,
                 fuse_file_info* /*dir*/) {
  fail_with(req, begin_op(req, stats_op::other), EINVAL);
}

// One answer to READDIR or READDIRPLUS.
class listing {
 public:
  listing(fuse_req_t req, served_tree& tree, std::size_t size, bool plus)
      : req_{req}, tree_{tree}, buffer_(size), plus_{plus} {}

  // False if there is no more room.
  bool add_dots(kernfs_node& dir, off_t offset) {
    kernfs_node& above = dir.parent() != nullptr ? *dir.parent() : dir;
    return (offset >= after_dot || add_dot(".", dir, after_dot)) &&
           (offset >= after_dotdot || add_dot("..", above, after_dotdot));
  }

  bool add(kernfs_node& child, bool with_attributes) {
    const std::string name{child.name()};
    if (!plus_) {
      const struct stat found = type_and_ino(child);
      return append(fuse_add_direntry(req_, at(), room(), name.c_str(), &found,
                                      offset_after(child.readdir_cookie())));
    }
    // Node id 0: no attributes, no reference.
    const auto entry = with_attributes ? entry_for(tree_, child, fuse_req_ctx(req_)->pid)
                                       : fuse_entry_param{.attr = type_and_ino(child)};
    if (append(fuse_add_direntry_plus(req_, at(), room(), name.c_str(), &entry,
                                      offset_after(child.readdir_cookie()))))
      return true;
    if (with_attributes) tree_.nodes.forget(entry.ino, 1);  // the kernel has not seen it
    return false;
  }

  void send() { fuse_reply_buf(req_, buffer_.data(), used_); }

 private:
  char* at() { return buffer_.data() + used_; }
  std::size_t room() const { return buffer_.size() - used_; }
  bool append(std::size_t size) {
    if (size > room()) return false;
    used_ += size;
    return true;
  }
  static struct stat type_and_ino(kernfs_node& node) {
    struct stat out{};
    out.st_ino = node.ino();
    out.st_mode = node.type() == kernfs_type::directory ? S_IFDIR
                  : node.type() == kernfs_type::link    ? S_IFLNK
                                                        : S_IFREG;
    return out;
  }
  bool add_dot(const char* name, kernfs_node& node, off_t next) {
    const struct stat found = type_and_ino(node);
    if (!plus_) return append(fuse_add_direntry(req_, at(), room(), name, &found, next));
    // Node id 0: the kernel takes no reference for these two.
    const fuse_entry_param entry{.attr = found};
    return append(fuse_add_direntry_plus(req_, at(), room(), name, &entry, next));
  }

  const fuse_req_t req_;
  served_tree& tree_;
  std::vector<char> buffer_;
  std::size_t used_ = 0;
  const bool plus_;
};

// At most `limit` children with a cookie above `after`.
std::vector<kernfs_ref> children_after(served_tree& tree, kernfs_node& dir,
                                       std::uint64_t after, std::size_t limit) {
  std::vector<kernfs_ref> children;
  tree.root.for_each_child(dir, after, [&](kernfs_node& child) {
    children.emplace_back(&child);
    return children.size() < limit;
  });
  return children;
}

void list(fuse_req_t req, fuse_ino_t ino, std::size_t size, off_t offset, bool plus) {
  constexpr std::size_t most = 128UL * 1024;
  const std::size_t smallest_entry = plus ? sizeof(fuse_direntplus) : sizeof(fuse_dirent);
  // Attributes of all children cost more than a lookup of those that are used, except
  // where somebody is likely to use many.
  constexpr std::size_t few_children = 32;
  served_tree& tree = begin_op(req, stats_op::readdir);
  const kernfs_ref dir = tree.nodes.find(ino);
  if (!dir) return fail_with(req, tree, ENOENT);
  size = std::min(size, most);
  listing out{req, tree, size, plus};
  if (out.add_dots(*dir, offset)) {
    const auto after =
        static_cast<std::uint64_t>(std::max(offset - after_dotdot, off_t{0}));
    const auto children = children_after(tree, *dir, after, size / smallest_entry);
    const bool with_attributes = after != 0 || children.size() > few_children;
    for (const kernfs_ref& child : children)
      if (!out.add(*child, with_attributes)) break;
  }
  out.send();
}

void do_readdir(fuse_req_t req, fuse_ino_t ino, std::size_t size, off_t offset,
                fuse_file_info* /*dir*/) {
  list(req, ino, size, offset, false);
}

void do_readdirplus(fuse_req_t req, fuse_ino_t ino, std::size_t size, off_t offset,
                    fuse_file_info* /*dir*/) {
  list(req, ino, size, offset, true);
}

// statfs() of sysfs, but for the file system's type, which the kernel fills in.
void do_statfs(fuse_req_t req, fuse_ino_t /*ino*/) {
  static_cast<void>(begin_op(req, stats_op::other));
  const struct statvfs found{.f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255};
  fuse_reply_statfs(req, &found);
}

// EOPNOTSUPP makes ls ask only once.
bool is_asked_by_ls(std::string_view name) {
  return name == "security.selinux";
}
// The kernel asks for ACLs under these names.
bool is_acl(const std::string& name) {
  return name.starts_with("system.posix_acl_");
}

// Answers getxattr and listxattr: a size of 0 asks how much room is needed.
void reply_sized(fuse_req_t req, served_tree& tree, const std::string& value,
                 std::size_t size) {
  if (size == 0)
    fuse_reply_xattr(req, value.size());
  else if (value.size() > size)
    fail_with(req, tree, ERANGE);
  else
    fuse_reply_buf(req, value.data(), value.size());
}

void do_getxattr(fuse_req_t req, fuse_ino_t ino, const char* name, std::size_t size) {
  served_tree& tree = begin_op(req, stats_op::other);
  const kernfs_ref node = tree.nodes.find(ino);
  if (!node) return fail_with(req, tree, ENOENT);
  if (is_acl(name)) return fail_with(req, tree, EOPNOTSUPP);
  const auto value = tree.root.getxattr(*node, name);
  // sysfs says ENODATA, but to ask for each file is a round trip here: ls -l would take
  // three times as long.
  if (!value && is_asked_by_ls(name)) return fail_with(req, tree, EOPNOTSUPP);
  if (!value) return fail_with(req, tree, value.error());
  reply_sized(req, tree, *value, size);
}

void do_listxattr(fuse_req_t req, fuse_ino_t ino, std::size_t size) {
  served_tree& tree = begin_op(req, stats_op::other);
  const kernfs_ref node = tree.nodes.find(ino);
  if (!node) return fail_with(req, tree, ENOENT);
  std::string names;
  for (const std::string& name : tree.root.listxattr(*node)) names.append(name) += '\0';
  reply_sized(req, tree, names, size);
}

void do_setxattr(fuse_req_t req, fuse_ino_t ino, const char* name, const char* value,
                 std::size_t size, int flags) {
  served_tree& tree = begin_op(req, stats_op::other);
  const kernfs_ref node = tree.nodes.find(ino);
  if (!node) return fail_with(req, tree, ENOENT);
  const auto set = tree.root.setxattr(*node, name, {value, size}, flags);
  fail_with(req, tree, set ? errc{} : set.error());
}

void do_removexattr(fuse_req_t req, fuse_ino_t ino, const char* name) {
  served_tree& tree = begin_op(req, stats_op::other);
  const kernfs_ref node = tree.nodes.find(ino);
  if (!node) return fail_with(req, tree, ENOENT);
  const auto removed = tree.root.removexattr(*node, name);
  fail_with(req, tree, removed ? errc{} : removed.error());
}

void refuse(fuse_req_t req, int error) {
  fail_with(req, begin_op(req, stats_op::other), error);
}

// sysfs has no operation that changes the tree. Most system calls find that out after
// they have checked everything else (EPERM); creating a regular file is EACCES.
void add_refusals(fuse_lowlevel_ops& ops) {
  ops.mkdir = [](fuse_req_t req, fuse_ino_t, const char*, mode_t) { refuse(req, EPERM); };
  ops.rmdir = [](fuse_req_t req, fuse_ino_t, const char*) { refuse(req, EPERM); };
  ops.unlink = [](fuse_req_t req, fuse_ino_t, const char*) { refuse(req, EPERM); };
  ops.rename = [](fuse_req_t req, fuse_ino_t, const char*, fuse_ino_t, const char*,
                  unsigned) { refuse(req, EPERM); };
  ops.symlink = [](fuse_req_t req, const char*, fuse_ino_t, const char*) {
    refuse(req, EPERM);
  };
  ops.link = [](fuse_req_t req, fuse_ino_t, fuse_ino_t, const char*) {
    refuse(req, EPERM);
  };
  ops.mknod = [](fuse_req_t req, fuse_ino_t, const char*, mode_t mode, dev_t) {
    refuse(req, S_ISREG(mode) ? EACCES : EPERM);
  };
  ops.create = [](fuse_req_t req, fuse_ino_t, const char*, mode_t, fuse_file_info*) {
    refuse(req, EACCES);
  };
}

}  // namespace

served_tree& begin_op(fuse_req_t req, stats_op op) {
  auto& tree = *static_cast<served_tree*>(fuse_req_userdata(req));
  tree.stats.operations[static_cast<std::size_t>(op)].fetch_add(
      1, std::memory_order_relaxed);
  return tree;
}

struct stat client_stat(served_tree& tree, kernfs_node& node) {
  const kernfs_stat found = tree.root.stat(node);
  struct stat out{};
  out.st_ino = found.ino;
  out.st_mode = found.mode;
  out.st_nlink = found.nlink;
  out.st_uid = found.uid == 0 ? tree.owner_uid : found.uid;
  out.st_gid = found.gid == 0 ? tree.owner_gid : found.gid;
  out.st_size = static_cast<off_t>(found.size);
  out.st_blksize = 4096;
  out.st_atim = found.atime;
  out.st_mtim = found.mtime;
  out.st_ctim = found.ctime;
  return out;
}

void add_tree_ops(fuse_lowlevel_ops& ops) {
  ops.lookup = do_lookup;
  ops.forget = do_forget;
  ops.forget_multi = do_forget_multi;
  ops.getattr = do_getattr;
  ops.setattr = do_setattr;
  ops.readlink = do_readlink;
  ops.opendir = do_opendir;
  ops.releasedir = do_releasedir;
  ops.fsyncdir = do_fsyncdir;
  ops.readdir = do_readdir;
  ops.readdirplus = do_readdirplus;
  ops.statfs = do_statfs;
  ops.getxattr = do_getxattr;
  ops.listxattr = do_listxattr;
  ops.setxattr = do_setxattr;
  ops.removexattr = do_removexattr;
  add_refusals(ops);
}

}  // namespace memhp
