#include "emu/kernfs.h"

#include <sys/xattr.h>

#include <algorithm>
#include <boost/intrusive/set.hpp>
#include <map>

#include "locks/guards.h"

namespace memhp {
namespace {

constexpr mode_t permission_bits = 07777;
constexpr std::uint64_t file_size = 4096;  // what sysfs says of every attribute

struct timespec to_timespec(std::int64_t ns) {
  return {.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
}

// kernfs_name_hash(): 31 bits, and never one of the three values that "." and ".." and
// the end of a listing stand for.
std::uint64_t name_hash(std::string_view name) {
  std::uint64_t hash = 0;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    hash = (hash + (std::uint64_t{byte} << 4) + (byte >> 4)) * 11;
  }
  hash = (hash * 0x61C8864680B583EB) >> 32 & 0x7fffffff;
  return std::clamp<std::uint64_t>(hash < 2 ? hash + 2 : hash, 2, 0x7ffffffe);
}

// The VFS asks the handler of a name's prefix, and sysfs has these three. A prefix alone
// is no name.
result<> xattr_resolve_name(std::string_view xattr) {
  for (const std::string_view prefix : {"user.", "trusted.", "security."})
    if (xattr.starts_with(prefix))
      return xattr == prefix ? fail(errc::invalid_argument) : result<>{};
  return fail(errc::operation_not_supported);
}

result<> stored_by_sysfs(std::string_view xattr) {
  if (auto known = xattr_resolve_name(xattr); !known) return known;
  if (xattr.starts_with("user.")) return fail(errc::operation_not_supported);
  return {};
}

}  // namespace

struct kernfs_node::inode_attributes {
  uid_t uid = 0;
  gid_t gid = 0;
  struct timespec atime{}, mtime{}, ctime{};
  bool times_set = false;
  std::map<std::string, std::string> xattrs;
};

// The children: a red-black tree in the order in which they are listed. A reader that
// goes on after the last cookie it saw misses and repeats nothing.
struct kernfs_node::directory {
  struct before {
    bool operator()(const kernfs_node& a, const kernfs_node& b) const {
      return a.cookie_ < b.cookie_;
    }
    bool operator()(const kernfs_node& a, std::uint64_t b) const { return a.cookie_ < b; }
    bool operator()(std::uint64_t a, const kernfs_node& b) const { return a < b.cookie_; }
  };
  using siblings = boost::intrusive::set<
      kernfs_node,
      boost::intrusive::member_hook<kernfs_node, decltype(kernfs_node::rb_),
                                    &kernfs_node::rb_>,
      boost::intrusive::compare<before>, boost::intrusive::constant_time_size<false>>;

  siblings children;     // each holds a reference
  unsigned subdirs = 0;  // kept, because stat must not count

  // The first child after a cookie.
  siblings::iterator after(std::uint64_t cookie) {
    return children.upper_bound(cookie, before{});
  }

  kernfs_node* find(std::string_view name) {
    const std::uint64_t hash = name_hash(name);
    for (auto i = after((hash << 32) - 1); i != children.end(); ++i) {
      if (i->cookie_ >> 32 != hash) return nullptr;
      if (i->name_ == name) return &*i;
    }
    return nullptr;
  }

  std::vector<kernfs_ref> list() {
    std::vector<kernfs_ref> all;
    for (kernfs_node& child : children) all.emplace_back(&child);
    return all;
  }

  void insert(kernfs_node& child) {
    intrusive_ptr_add_ref(&child);
    children.insert(child);
    if (child.type() == kernfs_type::directory) ++subdirs;
  }

  // The caller holds a reference of its own.
  void erase(kernfs_node& child) {
    children.erase(child);
    if (child.type() == kernfs_type::directory) --subdirs;
    intrusive_ptr_release(&child);
  }
};

kernfs_node::kernfs_node(kernfs_root& root, kernfs_node* parent, std::string_view name,
                         kernfs_type type, std::uint64_t ino)
    : root_{root},
      parent_{parent},
      name_{name},
      type_{type},
      ino_{ino},
      cookie_{name_hash(name) << 32 | (ino & 0xffffffff)} {
  if (type == kernfs_type::directory) dir_ = std::make_unique<directory>();
}

kernfs_node::~kernfs_node() = default;

bool kernfs_node::get_active() {
  return active_.get();
}

void kernfs_node::put_active() {
  active_.put(root_.deactivate_waitq_);
}

kernfs_root::kernfs_root(clock_fn now, active_dep dep)
    : now_{now},
      dep_{dep},
      top_{new kernfs_node{*this, nullptr, "", kernfs_type::directory, next_ino_++}} {
  top_->mode_ = S_IFDIR | 0755;
  top_->linked_ = true;
}

// Parents own children and children own parents: taking the children out ends that.
kernfs_root::~kernfs_root() {
  std::vector<kernfs_ref> pending{top_};
  while (!pending.empty()) {
    const kernfs_ref node = std::move(pending.back());
    pending.pop_back();
    node->target_.reset();
    if (!node->dir_) continue;
    for (kernfs_ref& child : node->dir_->list()) {
      node->dir_->erase(*child);
      pending.push_back(std::move(child));
    }
  }
}

void kernfs_root::set_observer(kernfs_observer* observer) {
  observer_.store(observer, std::memory_order_release);
}

kernfs_ref kernfs_root::new_node(kernfs_node& parent, std::string_view name,
                                 kernfs_type type) {
  return new kernfs_node{*this, &parent, name, type,
                         next_ino_.fetch_add(1, std::memory_order_relaxed)};
}

result<kernfs_ref> kernfs_root::link_new(const kernfs_ref& node) {
  {
    guard hold{kernfs_rwsem_};
    kernfs_node& parent = *node->parent();
    if (!parent.active()) return fail(errc::no_such_device);
    if (parent.dir_->find(node->name()) != nullptr) return fail(errc::file_exists);
    parent.dir_->insert(*node);
    node->linked_ = true;
    node->sizes_hidden_ = parent.sizes_hidden_;
  }
  if (auto* observer = observer_.load(std::memory_order_acquire))
    observer->node_added(*node);
  return node;
}

result<kernfs_ref> kernfs_root::create_dir(kernfs_node& parent, std::string_view name,
                                           kobject* owner, mode_t mode) {
  kernfs_ref node = new_node(parent, name, kernfs_type::directory);
  node->mode_ = S_IFDIR | mode;
  node->owner_ = owner;
  return link_new(node);
}

result<kernfs_ref> kernfs_root::create_file(kernfs_node& parent, const attribute& attr,
                                            kobject& owner) {
  kernfs_ref node = new_node(parent, attr.name, kernfs_type::file);
  node->mode_ = S_IFREG | attr.mode;
  node->attr_ = &attr;
  node->active_.set_class(&attr, dep_);
  node->owner_ = &owner;
  return link_new(node);
}

result<kernfs_ref> kernfs_root::create_link(kernfs_node& parent, std::string_view name,
                                            kernfs_node& target) {
  kernfs_ref node = new_node(parent, name, kernfs_type::link);
  node->mode_ = S_IFLNK | 0777;
  node->target_ = &target;
  return link_new(node);
}

void kernfs_root::hide_sizes(kernfs_node& dir) {
  guard hold{kernfs_rwsem_};
  dir.sizes_hidden_ = true;
}

kernfs_ref kernfs_root::make_path(std::string_view path) {
  kernfs_ref at = top_;
  while (!path.empty()) {
    const std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), name.size() + 1));
    auto next = lookup(*at, name);
    if (!next) next = create_dir(*at, name);
    if (!next) next = lookup(*at, name);  // somebody else was faster
    at = *next;
  }
  return at;
}

void kernfs_root::deactivate_subtree(kernfs_node& node) {
  if (node.active()) node.active_.deactivate();
  if (!node.dir_) return;
  for (kernfs_node& child : node.dir_->children) deactivate_subtree(child);
}

void kernfs_root::remove(kernfs_node& node) {
  const kernfs_ref keep{&node};
  {
    guard hold{kernfs_rwsem_};
    deactivate_subtree(node);
  }
  if (auto* observer = observer_.load(std::memory_order_acquire))
    observer->removal_begins(node);
  remove_subtree(node);
}

// From the leaves up, as __kernfs_remove() does. kernfs_rwsem is not held while a node
// drains, so that what it waits for can look things up.
void kernfs_root::remove_subtree(kernfs_node& node) {
  std::vector<kernfs_ref> children;
  if (node.dir_) {
    read_guard hold{kernfs_rwsem_};
    children = node.dir_->list();
  }
  for (const kernfs_ref& child : children) remove_subtree(*child);
  node.active_.drain(deactivate_waitq_, dep_);
  unlink(node);
}

void kernfs_root::unlink(kernfs_node& node) {
  {
    guard hold{kernfs_rwsem_};
    if (!node.linked_) return;  // another remover was faster
    node.linked_ = false;
    node.parent()->dir_->erase(node);
  }
  if (auto* observer = observer_.load(std::memory_order_acquire))
    observer->node_removed(node);
}

void kernfs_root::remove_by_name(kernfs_node& parent, std::string_view name) {
  kernfs_ref child;
  {
    read_guard hold{kernfs_rwsem_};
    child = parent.dir_->find(name);
  }
  if (child) remove(*child);
}

result<kernfs_ref> kernfs_root::lookup(kernfs_node& dir, std::string_view name) {
  if (dir.type() != kernfs_type::directory) return fail(errc::not_a_directory);
  read_guard hold{kernfs_rwsem_};
  kernfs_node* child = dir.dir_->find(name);
  if (child == nullptr || !child->active()) return fail(errc::no_such_file_or_directory);
  return kernfs_ref{child};
}

result<kernfs_ref> kernfs_root::find(std::string_view path) {
  kernfs_ref at = top_;
  while (!path.empty()) {
    const std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), name.size() + 1));
    auto next = lookup(*at, name);
    if (!next) return next;
    at = *next;
  }
  return at;
}

void kernfs_root::for_each_child(kernfs_node& dir, std::uint64_t after,
                                 const std::function<bool(kernfs_node&)>& visit) {
  if (!dir.dir_) return;
  read_guard hold{kernfs_rwsem_};
  auto& children = dir.dir_->children;
  for (auto child = dir.dir_->after(after); child != children.end(); ++child)
    if (child->active() && !visit(*child)) return;
}

kernfs_stat kernfs_root::stat(kernfs_node& node) {
  std::int64_t born = node.first_seen_ns_.load(std::memory_order_relaxed);
  if (born == 0 && now_ != nullptr) {
    const struct timespec now = now_();
    const std::int64_t ns = now.tv_sec * 1'000'000'000 + now.tv_nsec;
    // Whoever looked first decides; `born` becomes its time if that was not us.
    if (node.first_seen_ns_.compare_exchange_strong(born, ns)) born = ns;
  }

  read_guard hold{kernfs_rwsem_};
  kernfs_stat out{.ino = node.ino(), .mode = node.mode_};
  out.size = node.type() == kernfs_type::file && !node.sizes_hidden_ ? file_size : 0;
  if (node.dir_) out.nlink = 2 + node.dir_->subdirs;
  out.atime = out.mtime = out.ctime = to_timespec(born);
  if (node.iattr_) {
    out.uid = node.iattr_->uid;
    out.gid = node.iattr_->gid;
    if (node.iattr_->times_set) {
      out.atime = node.iattr_->atime;
      out.mtime = node.iattr_->mtime;
      out.ctime = node.iattr_->ctime;
    }
  }
  return out;
}

std::string kernfs_root::path_of(kernfs_node& node) {
  std::string path{node.name()};
  for (kernfs_node* up = node.parent(); up != nullptr && up->parent() != nullptr;
       up = up->parent())
    path.insert(0, std::string{up->name()} + '/');
  return path;
}

std::string kernfs_root::readlink(kernfs_node& link) {
  std::vector<kernfs_node*> from;  // the link's directory and its ancestors
  for (kernfs_node* up = link.parent(); up != nullptr; up = up->parent())
    from.push_back(up);

  // The target below the common ancestor. A target that is an ancestor itself is named
  // all the same.
  std::string down{link.target_->name()};
  for (kernfs_node* up = link.target_->parent(); up != nullptr; up = up->parent()) {
    const auto common = std::ranges::find(from, up);
    if (common != from.end()) {
      std::string path;
      for (auto i = from.begin(); i != common; ++i) path += "../";
      return path + down;
    }
    down.insert(0, std::string{up->name()} + '/');
  }
  return down;
}

kernfs_node::inode_attributes& kernfs_root::iattr_of(kernfs_node& node) {
  if (!node.iattr_) node.iattr_ = std::make_unique<kernfs_node::inode_attributes>();
  return *node.iattr_;
}

void kernfs_root::setattr(kernfs_node& node, const kernfs_iattr& attr) {
  const kernfs_stat before = stat(node);
  guard hold{kernfs_rwsem_};
  auto& iattr = iattr_of(node);
  if (!iattr.times_set) {
    iattr.atime = before.atime;
    iattr.mtime = before.mtime;
    iattr.ctime = before.ctime;
    iattr.times_set = true;
  }
  if (attr.mode != nullptr)
    node.mode_ = (node.mode_ & ~permission_bits) | (*attr.mode & permission_bits);
  if (attr.uid != nullptr) iattr.uid = *attr.uid;
  if (attr.gid != nullptr) iattr.gid = *attr.gid;
  if (attr.atime != nullptr) iattr.atime = *attr.atime;
  if (attr.mtime != nullptr) iattr.mtime = *attr.mtime;
  if (attr.ctime != nullptr) iattr.ctime = *attr.ctime;
}

result<> kernfs_root::setxattr(kernfs_node& node, const std::string& name,
                               std::string_view value, int flags) {
  if (auto stored = stored_by_sysfs(name); !stored) return stored;
  guard hold{kernfs_rwsem_};
  auto& xattrs = iattr_of(node).xattrs;
  const bool there = xattrs.contains(name);
  if (there && (flags & XATTR_CREATE) != 0) return fail(errc::file_exists);
  if (!there && (flags & XATTR_REPLACE) != 0) return fail(errc::no_message_available);
  xattrs[name] = value;
  return {};
}

result<std::string> kernfs_root::getxattr(kernfs_node& node, const std::string& name) {
  if (const auto known = xattr_resolve_name(name); !known) return fail(known.error());
  read_guard hold{kernfs_rwsem_};
  if (!node.iattr_) return fail(errc::no_message_available);
  const auto hit = node.iattr_->xattrs.find(name);
  if (hit == node.iattr_->xattrs.end()) return fail(errc::no_message_available);
  return hit->second;
}

std::vector<std::string> kernfs_root::listxattr(kernfs_node& node) {
  std::vector<std::string> names;
  read_guard hold{kernfs_rwsem_};
  if (!node.iattr_) return names;
  for (const auto& [name, value] : node.iattr_->xattrs) names.push_back(name);
  return names;
}

result<> kernfs_root::removexattr(kernfs_node& node, const std::string& name) {
  if (auto stored = stored_by_sysfs(name); !stored) return stored;
  guard hold{kernfs_rwsem_};
  if (!node.iattr_ || node.iattr_->xattrs.erase(name) == 0)
    return fail(errc::no_message_available);
  return {};
}

}  // namespace memhp
