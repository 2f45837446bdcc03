// Open files.
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>

#include <cerrno>
#include <ctime>
#include <string>

#include "fuse/file_io.h"
#include "fuse/kernfs_ops.h"

namespace memhp {
namespace {

constexpr std::size_t page = 4096;

bool opens_to_write(int flags) {
  return (flags & O_ACCMODE) != O_RDONLY;
}

// open(2) with O_TRUNC sets the times, as for every file.
void truncated(served_tree& tree, kernfs_node& node) {
  struct timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tree.root.setattr(node, {.mtime = &now, .ctime = &now});
}

// Valid replies: fuse_open_out. By hand, because fuse_file_info cannot say
// FOPEN_PARALLEL_DIRECT_WRITES.
void do_open(fuse_req_t req, fuse_ino_t ino, fuse_file_info* info) {
  served_tree& tree = begin_op(req, stats_op::open);
  const kernfs_ref node = tree.nodes.find(ino);
  if (!node) return reply_error(req, tree.stats, ESTALE);
  const pid_t tid = fuse_req_ctx(req)->pid;
  const bool writing = opens_to_write(info->flags);

  // A name that the kernel still believed in: ESTALE makes it look again, once, and
  // find that there is none. Who comes back has no name, but an open file.
  if (!node->active() && tree.nodes.open_removed(ino, tid) == open_answer::retry)
    return reply_error(req, tree.stats, ESTALE);
  auto file = kernfs_open_file::open(*node, info->flags);
  if (!file) return reply_error(req, tree.stats, static_cast<int>(file.error()));
  const open_answer answer =
      writing ? tree.nodes.open_to_write(ino, tid) : tree.nodes.open_to_read(ino, tid);
  if (answer == open_answer::retry) return reply_error(req, tree.stats, ESTALE);
  if ((info->flags & O_TRUNC) != 0) truncated(tree, *node);

  const fuse_open_out out{
      .fh = tree.files.add(ino, std::move(*file)),
      .open_flags = FOPEN_DIRECT_IO | FOPEN_NOFLUSH | FOPEN_PARALLEL_DIRECT_WRITES};
  if (fuse_reply_buf(req, reinterpret_cast<const char*>(&out), sizeof out) == 0) return;
  // Interrupted: there will be no release.
  tree.files.remove(out.fh);
  if (writing) tree.nodes.release_writer(ino);
}

void do_release(fuse_req_t req, fuse_ino_t ino, fuse_file_info* info) {
  served_tree& tree = *static_cast<served_tree*>(fuse_req_userdata(req));
  const open_handle_ref closed = tree.files.remove(info->fh);
  if (closed && closed->file->writable() && tree.nodes.release_writer(ino)) {
    const kernfs_node& node = closed->file->node();
    tree.tell_kernel.expire_name(node.parent()->ino(), node.name());
  }
  fuse_reply_err(req, 0);
}

bool may_sleep(const io_request& io) {
  const kernfs_open_file& file = *io.handle->file;
  const attribute& attr = *file.node().attr();
  if (io.writing) return attr.store_sleeps;
  return attr.show_sleeps && file.read_calls_show(io.offset);
}

void read_or_write(served_tree& tree, io_request io) {
  // Who has the mutex may sleep with it.
  if (std::unique_lock mine{io.handle->mutex, std::try_to_lock};
      mine.owns_lock() && !may_sleep(io)) {
    task by{io.tid, io.uid, io.gid};
    const io_outcome outcome = perform(io, by);
    mine.unlock();
    if (outcome.error != restart_error)
      return reply(io.req, tree.stats, io.writing, outcome);
  }
  tree.parked.park(std::move(io));
}

io_request request_of(fuse_req_t req, served_tree& tree, open_handle_ref handle,
                      std::uint64_t offset) {
  const fuse_ctx* client = fuse_req_ctx(req);
  return {.req = req,
          .tid = client->pid,
          .uid = client->uid == tree.owner_uid ? 0 : client->uid,
          .gid = client->gid == tree.owner_gid ? 0 : client->gid,
          .handle = std::move(handle),
          .offset = offset};
}

void do_read(fuse_req_t req, fuse_ino_t /*ino*/, std::size_t size, off_t offset,
             fuse_file_info* info) {
  served_tree& tree = begin_op(req, stats_op::read);
  open_handle_ref handle = tree.files.find(info->fh);
  if (!handle) return reply_error(req, tree.stats, EBADF);
  io_request io =
      request_of(req, tree, std::move(handle), static_cast<std::uint64_t>(offset));
  io.size = size;
  read_or_write(tree, std::move(io));
}

void do_write(fuse_req_t req, fuse_ino_t /*ino*/, const char* data, std::size_t size,
              off_t offset, fuse_file_info* info) {
  served_tree& tree = begin_op(req, stats_op::write);
  open_handle_ref handle = tree.files.find(info->fh);
  if (!handle) return reply_error(req, tree.stats, EBADF);
  io_request io =
      request_of(req, tree, std::move(handle), static_cast<std::uint64_t>(offset));
  io.writing = true;
  io.data.assign(data, std::min(size, page));  // the buffer is the receiver's
  read_or_write(tree, std::move(io));
}

// kernfs_generic_poll(). Nothing ever wakes a poller of these files, so the handle that
// would allow it is given back.
void do_poll(fuse_req_t req, fuse_ino_t /*ino*/, fuse_file_info* info,
             fuse_pollhandle* waker) {
  served_tree& tree = begin_op(req, stats_op::other);
  if (waker != nullptr) fuse_pollhandle_destroy(waker);
  const open_handle_ref handle = tree.files.find(info->fh);
  if (!handle) return reply_error(req, tree.stats, EBADF);
  unsigned events = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
  if (!handle->has_read.load(std::memory_order_relaxed) || !handle->file->node().active())
    events |= POLLPRI | POLLERR;
  fuse_reply_poll(req, events);
}

}  // namespace

void add_file_ops(fuse_lowlevel_ops& ops) {
  ops.open = do_open;
  ops.release = do_release;
  ops.read = do_read;
  ops.write = do_write;
  ops.poll = do_poll;
}

}  // namespace memhp
