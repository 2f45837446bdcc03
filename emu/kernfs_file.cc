// Open attribute files: the seq_file and kernfs_ops part of fs/kernfs/file.c (6.1).
#include <fcntl.h>

#include <algorithm>

#include "emu/kernfs.h"

namespace memhp {
namespace {

constexpr std::size_t page = 4096;

// Holds an active reference of a node; false if its removal has begun.
class active_hold {
 public:
  explicit active_hold(kernfs_node& node) : node_{node}, got_{node.get_active()} {}
  ~active_hold() {
    if (got_) node_.put_active();
  }
  active_hold(const active_hold&) = delete;
  active_hold& operator=(const active_hold&) = delete;
  explicit operator bool() const { return got_; }

 private:
  kernfs_node& node_;
  const bool got_;
};

}  // namespace

result<std::unique_ptr<kernfs_open_file>> kernfs_open_file::open(kernfs_node& node,
                                                                 int flags) {
  const active_hold active{node};
  if (!active) return fail(errc::no_such_device);
  if ((flags & O_DIRECT) != 0) return fail(errc::invalid_argument);

  // kernfs_fop_open(): whoever may override permissions still cannot read what has no
  // read bit, or write what has no write bit.
  const int access = flags & O_ACCMODE;
  const mode_t mode = node.root().stat(node).mode;
  const bool read = access == O_RDONLY || access == O_RDWR;
  const bool write = access == O_WRONLY || access == O_RDWR;
  if (write && (mode & 0222) == 0) return fail(errc::permission_denied);
  if (read && (mode & 0444) == 0) return fail(errc::permission_denied);
  return std::unique_ptr<kernfs_open_file>{new kernfs_open_file{node, write}};
}

bool kernfs_open_file::read_calls_show(std::uint64_t offset) const {
  const bool goes_on = fetched_ && offset == read_pos_;
  return offset == 0 || !goes_on;
}

result<> kernfs_open_file::generate(task& by) {
  const active_hold active{*node_};
  if (!active) return fail(errc::no_such_device);
  const attribute& attr = *node_->attr();
  if (attr.show == nullptr) return fail(errc::io_error);
  auto text = attr.show(*node_->owner(), by);
  if (!text) return fail(text.error());
  content_ = std::move(*text);
  if (!attr.unbounded) content_.resize(std::min(content_.size(), page));
  fetched_ = true;
  return {};
}

result<std::string> kernfs_open_file::read(std::uint64_t offset, std::size_t size,
                                           task& by) {
  if (read_calls_show(offset)) {
    if (auto ok = generate(by); !ok) return fail(ok.error());
  }
  if (offset >= content_.size()) {
    // At the end nothing is shown again, but a removed file is noticed.
    if (const active_hold active{*node_}; !active) return fail(errc::no_such_device);
    read_pos_ = offset;
    return std::string{};
  }
  std::string part = content_.substr(offset, size);
  read_pos_ = offset + part.size();
  return part;
}

result<std::size_t> kernfs_open_file::write(std::string_view data, task& by) {
  data = data.substr(0, page);
  const active_hold active{*node_};
  if (!active) return fail(errc::no_such_device);
  if (data.empty()) return 0;
  const attribute& attr = *node_->attr();
  if (attr.store == nullptr) return fail(errc::io_error);
  return attr.store(*node_->owner(), data, by);
}

}  // namespace memhp
