#include "bench/fuse_floor.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <string_view>

#include "fuse/latency_request.h"

namespace memhp {
namespace {

using clock = std::chrono::steady_clock;

// As long as memhp's receiver polls before it sleeps.
constexpr std::chrono::microseconds spin{50};
constexpr std::string_view content = "online\n";
constexpr std::uint64_t file_ino = 2;
constexpr std::uint64_t for_ever = 1U << 30;

fuse_attr attributes_of(std::uint64_t ino) {
  const bool file = ino == file_ino;
  return {.ino = ino,
          .size = file ? 4096U : 0U,
          .mode = file ? S_IFREG | 0644U : S_IFDIR | 0755U,
          .nlink = 1,
          .blksize = 4096};
}

// Answers one request into a buffer; the size of what is to be sent, 0 for nothing.
class answering {
 public:
  std::size_t answer(const char* request) {
    const auto* in = reinterpret_cast<const fuse_in_header*>(request);
    out_ = {.len = sizeof out_, .error = 0, .unique = in->unique};
    switch (in->opcode) {
      case FUSE_INIT: add(init(request + sizeof *in)); break;
      case FUSE_LOOKUP: add(entry(request + sizeof *in)); break;
      case FUSE_GETATTR:
      case FUSE_SETATTR:
        add(fuse_attr_out{.attr_valid = for_ever, .attr = attributes_of(in->nodeid)});
        break;
      case FUSE_OPEN:
        add(fuse_open_out{.open_flags = FOPEN_DIRECT_IO | FOPEN_NOFLUSH});
        break;
      case FUSE_READ: add_bytes(content.data(), content.size()); break;
      case FUSE_WRITE: {
        fuse_write_in write{};
        std::memcpy(&write, request + sizeof *in, sizeof write);
        add(fuse_write_out{.size = write.size});
        break;
      }
      case FUSE_RELEASE: break;
      // The kernel asks for security.capability when O_TRUNC cuts a file; a server whose
      // files have attributes cannot answer ENOSYS, after which it would not ask again.
      case FUSE_GETXATTR: out_.error = -ENODATA; break;
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
      case FUSE_INTERRUPT: return 0;
      default: out_.error = -ENOSYS;
    }
    std::memcpy(buffer_.data(), &out_, sizeof out_);
    return out_.len;
  }
  const char* data() const { return buffer_.data(); }

 private:
  static fuse_init_out init(const char* body) {
    fuse_init_in offered{};
    std::memcpy(&offered, body, sizeof offered);
    return {.major = FUSE_KERNEL_VERSION,
            .minor = FUSE_KERNEL_MINOR_VERSION,
            .flags = offered.flags & (FUSE_ATOMIC_O_TRUNC | FUSE_HANDLE_KILLPRIV_V2),
            .max_background = 4096,
            .congestion_threshold = 4096,
            .max_write = 64 * 1024,
            .time_gran = 1};
  }
  fuse_entry_out entry(const char* name) {
    if (std::string_view{name} != floor_file) out_.error = -ENOENT;
    return {.nodeid = file_ino,
            .entry_valid = for_ever,
            .attr_valid = for_ever,
            .attr = attributes_of(file_ino)};
  }
  template <class Body>
  void add(const Body& body) {
    if (out_.error == 0) add_bytes(&body, sizeof body);
  }
  void add_bytes(const void* bytes, std::size_t size) {
    std::memcpy(buffer_.data() + sizeof out_, bytes, size);
    out_.len += static_cast<std::uint32_t>(size);
  }

  fuse_out_header out_{};
  alignas(64) std::array<char, 512> buffer_{};
};

// Polls for a while, as the next request of the same client is near, then sleeps.
void wait_for_request(int device, clock::time_point quiet_since, bool may_spin,
                      latency_request& latency) {
  if (may_spin && clock::now() - quiet_since < spin) {
    sched_yield();
    return;
  }
  pollfd waited{.fd = device, .events = POLLIN};
  const int timeout_ms = latency.held() ? 10 : -1;
  if (poll(&waited, 1, timeout_ms) == 0) latency.quiet();
}

bool alone_on_a_cpu() {
  cpu_set_t mine;
  return sched_getaffinity(0, sizeof mine, &mine) == 0 && CPU_COUNT(&mine) == 1;
}

}  // namespace

int serve_floor(int device, int ready) {
  fcntl(device, F_SETFL, fcntl(device, F_GETFL) | O_NONBLOCK);
  latency_request latency{latency_request::host_device};
  alignas(64) static std::array<char, 128UL * 1024> request;
  answering answers;
  bool announced = false;
  const bool may_spin = !alone_on_a_cpu();
  auto last_request = clock::now();
  for (;;) {
    if (read(device, request.data(), request.size()) > 0) {
      latency.busy();
      const std::size_t size = answers.answer(request.data());
      if (size != 0 && write(device, answers.data(), size) < 0 && errno != ENOENT)
        return 1;
      if (!announced) close(ready);
      announced = true;
      last_request = clock::time_point{};
      continue;
    }
    if (errno == ENODEV) return 0;
    if (errno != EAGAIN && errno != EINTR && errno != ENOENT) return 1;
    if (last_request == clock::time_point{}) last_request = clock::now();
    wait_for_request(device, last_request, may_spin, latency);
  }
}

}  // namespace memhp
