#include "stress/ring.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

namespace memhp::stress {
namespace {

constexpr std::size_t queue_entries = 1024;
constexpr std::uint64_t of_cancel = ~std::uint64_t{0};
constexpr std::uint64_t of_event = of_cancel - 1;
constexpr unsigned part_bits = 2;

// The kernel refuses a table of more files than RLIMIT_NOFILE.
void raise_file_limit(std::size_t wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, wanted);
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

bool is_transfer(const request& what) {
  return what.what == request::kind::read || what.what == request::kind::write;
}
bool opens(const request& what) {
  return is_transfer(what) && (!what.kept || what.reopen);
}

const char* hint_for(int error) {
  switch (error) {
    case EPERM:
    case ENOSYS: return " (kernel.io_uring_disabled, or a container that forbids it)";
    case EINVAL: return " (Linux 5.19 has what is needed)";
    default: return "";
  }
}

}  // namespace

std::string why_no_ring(std::size_t chains, std::size_t kept) {
  const auto tried = ring::create(chains, kept);
  return tried ? "" : tried.error();
}

std::expected<ring, std::string> ring::create(std::size_t chains, std::size_t kept) {
  ring made;
  made.chains_ = chains;
  io_uring_params params{};
  params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_COOP_TASKRUN;
  params.cq_entries = static_cast<unsigned>(
      std::bit_ceil(std::max<std::size_t>(2 * queue_entries, 4 * chains)));
  if (const int error = -io_uring_queue_init_params(static_cast<unsigned>(queue_entries),
                                                    &made.ring_, &params))
    return std::unexpected{
        fmt::format("no io_uring here: {}{}", strerror(error), hint_for(error))};
  made.owned_ = true;
  constexpr std::size_t others = 64;
  raise_file_limit(chains + kept + others);
  if (const int error = -io_uring_register_files_sparse(
          &made.ring_, static_cast<unsigned>(chains + kept)))
    return std::unexpected{fmt::format("a table of {} files: {}: raise ulimit -n",
                                       chains + kept, strerror(error))};
  // Every call on the tree may sleep, so that each chain under way takes a thread of the
  // kernel's. Without this there are four a CPU, and a few waiting stores stop the rest.
  std::array<unsigned, 2> threads = {static_cast<unsigned>(chains), 0};
  (void)io_uring_register_iowq_max_workers(&made.ring_, threads.data());
  return made;
}

ring::ring(ring&& other) noexcept
    : ring_{other.ring_},
      owned_{std::exchange(other.owned_, false)},
      chains_{other.chains_} {}

ring::~ring() {
  if (owned_) io_uring_queue_exit(&ring_);
}

// A chain must be submitted in one go.
void ring::make_room(unsigned entries) {
  while (io_uring_sq_space_left(&ring_) < entries) {
    const int error = io_uring_submit(&ring_);
    if (error < 0 && error != -EINTR && error != -EAGAIN && error != -EBUSY) return;
  }
}

void ring::start(chain& each, int root, std::size_t kept) {
  make_room(longest_chain);
  each.parts = each.back = 0;
  const request& what = each.what;
  const auto next = [&](unsigned flags, auto prepare, auto... arguments) {
    io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
    prepare(entry, arguments...);
    entry->flags |= flags;
    io_uring_sqe_set_data64(entry, each.number << part_bits | each.parts++);
  };
  if (what.what == request::kind::stat) {
    next(0, io_uring_prep_statx, root, what.path.c_str(), AT_SYMLINK_NOFOLLOW,
         STATX_BASIC_STATS, &each.status);
    return;
  }
  // IOSQE_ASYNC: every call on the tree may sleep; to ask first whether it does would
  // cost another way into it.
  const auto file = static_cast<unsigned>(what.kept ? chains_ + kept : each.number);
  const bool writes = what.what == request::kind::write;
  const unsigned transfer =
      IOSQE_FIXED_FILE | IOSQE_ASYNC | (what.kept ? 0U : IOSQE_IO_HARDLINK);
  if (opens(what))
    next(IOSQE_IO_LINK | IOSQE_ASYNC, io_uring_prep_openat_direct, root,
         what.path.c_str(), writes ? O_WRONLY : O_RDONLY, mode_t{0}, file);
  if (writes)
    next(transfer, io_uring_prep_write, static_cast<int>(file), what.text.data(),
         static_cast<unsigned>(what.text.size()), std::uint64_t{0});
  else
    next(transfer, io_uring_prep_read, static_cast<int>(file), each.text.data(),
         static_cast<unsigned>(page_bytes), std::uint64_t{0});
  if (!what.kept) next(0, io_uring_prep_close_direct, file);
}

void ring::interrupt(const chain& each) {
  make_room(1);
  io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
  io_uring_prep_cancel64(entry, each.number << part_bits | each.back, 0);
  io_uring_sqe_set_data64(entry, of_cancel);
}

void ring::watch(int event_fd) {
  event_fd_ = event_fd;
  make_room(1);
  io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
  io_uring_prep_read(entry, event_fd, &event_count_, sizeof event_count_, 0);
  io_uring_sqe_set_data64(entry, of_event);
}

void ring::wait(std::chrono::nanoseconds limit, const back_fn& part_is_back,
                const std::function<void()>& event) {
  constexpr std::int64_t ns_per_s = 1'000'000'000;
  __kernel_timespec time{.tv_sec = limit.count() / ns_per_s,
                         .tv_nsec = limit.count() % ns_per_s};
  io_uring_cqe* entry = nullptr;
  // EINTR, ETIME, EAGAIN and EBUSY alike: what has come back is there to be seen, and
  // what was not submitted is submitted next time.
  (void)io_uring_submit_and_wait_timeout(&ring_, &entry, 1, &time, nullptr);
  unsigned seen = 0;
  unsigned head = 0;
  bool woken = false;
  io_uring_for_each_cqe(&ring_, head, entry) {
    ++seen;
    if (entry->user_data == of_event)
      woken = true;
    else if (entry->user_data != of_cancel)
      part_is_back(static_cast<std::size_t>(entry->user_data >> part_bits),
                   static_cast<unsigned>(entry->user_data & ((1U << part_bits) - 1)),
                   entry->res);
  }
  io_uring_cq_advance(&ring_, seen);
  if (!woken) return;
  watch(event_fd_);
  event();
}

answer ring::answer_of(const chain& each, std::string& complaint) {
  answer got;
  unsigned part = 0;
  if (opens(each.what)) {
    const int opened = each.results[part++];
    if (opened < 0) {
      for (; part < each.parts; ++part)
        if (each.results[part] != -ECANCELED)
          complaint = fmt::format("the open failed, and part {} of its chain gave {}",
                                  part, each.results[part]);
      return {.error = -opened, .opened = false};
    }
  }
  const int result = each.results[part++];
  got.error = std::max(-result, 0);
  got.size = static_cast<std::size_t>(std::max(result, 0));
  if (each.what.what == request::kind::read) {
    // io_uring reads on after a short read. What it finds there may be of another text:
    // "going-offline" is longer than the "online" that was answered first.
    got.text.assign(each.text.data(), got.size);
    if (const auto at = got.text.find('\n'); at != std::string::npos)
      got.text.resize(at + 1);
  }
  if (part < each.parts && each.results[part] < 0)
    complaint =
        fmt::format("close of a direct descriptor: {}", strerror(-each.results[part]));
  return got;
}

}  // namespace memhp::stress
