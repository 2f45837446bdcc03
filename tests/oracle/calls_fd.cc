// The calls on open files.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "tests/oracle/calls.h"

namespace memhp::oracle {

namespace {

constexpr std::size_t page = 4096;

// A pipe whose ends are closed with it.
class pipe_pair {
 public:
  pipe_pair() {
    if (::pipe(ends_.data()) != 0) {
      throw std::system_error{errno, std::generic_category(), "pipe"};
    }
  }
  ~pipe_pair() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  pipe_pair(const pipe_pair&) = delete;
  pipe_pair& operator=(const pipe_pair&) = delete;
  int read_end() const { return ends_[0]; }
  int write_end() const { return ends_[1]; }

 private:
  std::array<int, 2> ends_{};
};

json with_data(long ret, const std::string& buffer) {
  json result = result_of(ret);
  if (ret >= 0) {
    result["data"] = buffer.substr(0, static_cast<std::size_t>(ret));
  }
  return result;
}

}  // namespace

json caller::do_open(const json& op) {
  const int opened = ::open(path(op).c_str(), op.at("flags").get<int>(), 0644);
  if (opened < 0) {
    return result_of(opened);
  }
  // The recorder forgot descriptors that it opened a slot over, so it closed none.
  if (const int old = fd(op); old >= 0) {
    replaced_.push_back(old);
  }
  slots_[op.at("slot")] = opened;
  return result_of(0);
}

json caller::do_close(const json& op) {
  const int descriptor = fd(op);
  slots_.erase(op.at("slot").get<int>());
  return result_of(::close(descriptor));
}

json caller::do_read(const json& op) {
  std::string buffer(op.at("count").get<std::size_t>(), '\0');
  return with_data(::read(fd(op), buffer.data(), buffer.size()), buffer);
}

json caller::do_pread(const json& op) {
  std::string buffer(op.at("count").get<std::size_t>(), '\0');
  const long got =
      ::pread(fd(op), buffer.data(), buffer.size(), op.at("offset").get<off_t>());
  return with_data(got, buffer);
}

json caller::do_readv(const json& op) {
  std::string first(op.at("counts").at(0).get<std::size_t>(), '\0');
  std::string second(op.at("counts").at(1).get<std::size_t>(), '\0');
  const std::array<iovec, 2> parts{
      {{first.data(), first.size()}, {second.data(), second.size()}}};
  const long got = ::readv(fd(op), parts.data(), parts.size());
  json result = result_of(got);
  const auto total = static_cast<std::size_t>(std::max(got, 0L));
  result["data1"] = first.substr(0, total);
  result["data2"] = second.substr(0, total - std::min(total, first.size()));
  return result;
}

json caller::do_write(const json& op) {
  const std::string text = bytes_of(op, "text");
  return result_of(::write(fd(op), text.data(), text.size()));
}

json caller::do_pwrite(const json& op) {
  const std::string text = bytes_of(op, "text");
  return result_of(
      ::pwrite(fd(op), text.data(), text.size(), op.at("offset").get<off_t>()));
}

json caller::do_writev(const json& op) {
  std::string first = op.at("texts").at(0);
  std::string second = op.at("texts").at(1);
  const std::array<iovec, 2> parts{
      {{first.data(), first.size()}, {second.data(), second.size()}}};
  return result_of(::writev(fd(op), parts.data(), parts.size()));
}

json caller::do_write_bad_pointer(const json& op) {
  // An unmapped page, so that the address is certainly bad.
  void* bad = ::mmap(nullptr, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  json result = result_of(::write(fd(op), bad, op.at("count").get<std::size_t>()));
  ::munmap(bad, page);
  return result;
}

json caller::do_splice(const json& op) {
  const pipe_pair pipe;
  const std::string text = bytes_of(op, "text");
  if (::write(pipe.write_end(), text.data(), text.size()) < 0) {
    return result_of(-1);
  }
  return result_of(::splice(pipe.read_end(), nullptr, fd(op), nullptr, text.size(), 0));
}

json caller::do_sendfile(const json& op) {
  const pipe_pair pipe;
  const long sent = ::sendfile(pipe.write_end(), fd(op), nullptr, page);
  json result = result_of(sent);
  if (sent > 0) {
    std::string buffer(page, '\0');
    result = with_data(::read(pipe.read_end(), buffer.data(), buffer.size()), buffer);
  }
  return result;
}

json caller::do_lseek(const json& op) {
  return result_of(
      ::lseek(fd(op), op.at("offset").get<off_t>(), op.at("whence").get<int>()));
}

json caller::do_fstat(const json& op) {
  struct stat st{};
  json result = result_of(::fstat(fd(op), &st));
  result.update(stat_fields(st));
  return result;
}

json caller::do_getfl(const json& op) {
  return result_of(::fcntl(fd(op), F_GETFL));
}

json caller::do_mmap(const json& op) {
  void* at =
      ::mmap(nullptr, page, op.at("prot").get<int>(), op.at("map").get<int>(), fd(op), 0);
  if (at == MAP_FAILED) {
    return result_of(-1);
  }
  ::munmap(at, page);
  return result_of(0);
}

json caller::do_ftruncate(const json& op) {
  return result_of(::ftruncate(fd(op), op.at("length").get<off_t>()));
}

json caller::do_fsync(const json& op) {
  return result_of(::fsync(fd(op)));
}

json caller::do_fallocate(const json& op) {
  return result_of(
      ::fallocate(fd(op), 0, op.at("offset").get<off_t>(), op.at("length").get<off_t>()));
}

json caller::do_flock(const json& op) {
  return result_of(::flock(fd(op), LOCK_EX | LOCK_NB));
}

json caller::do_ioctl(const json& op) {
  int value = 0;
  termios terminal{};
  const bool readable = op.at("request") == "FIONREAD";
  json result = result_of(readable ? ::ioctl(fd(op), FIONREAD, &value)
                                   : ::ioctl(fd(op), TCGETS, &terminal));
  result["val"] = value;
  return result;
}

json caller::do_poll(const json& op) {
  pollfd wait{.fd = fd(op), .events = op.at("wanted").get<short>(), .revents = 0};
  json result = result_of(::poll(&wait, 1, op.at("timeout_ms").get<int>()));
  result["revents"] = wait.revents;
  return result;
}

json caller::do_reopen(const json& op) {
  const int again = ::open(fmt::format("/proc/self/fd/{}", fd(op)).c_str(), O_RDONLY);
  if (again >= 0) {
    ::close(again);
  }
  return result_of(again < 0 ? -1 : 0);
}

json caller::do_fdlink(const json& op) {
  std::string target(page, '\0');
  const long length = ::readlink(fmt::format("/proc/self/fd/{}", fd(op)).c_str(),
                                 target.data(), target.size());
  json result = result_of(length);
  if (length >= 0) {
    target.resize(static_cast<std::size_t>(length));
    result["data"] = sys_path(target);
    result["ret"] = sys_path(target).size();
  }
  return result;
}

json caller::do_inotify_init(const json& op) {
  const int watcher = ::inotify_init1(IN_NONBLOCK);
  if (watcher >= 0) {
    slots_[op.at("slot")] = watcher;
  }
  return result_of(watcher < 0 ? -1 : 0);
}

json caller::do_inotify_add(const json& op) {
  return result_of(::inotify_add_watch(fd(op), path(op).c_str(), IN_ALL_EVENTS));
}

json caller::do_inotify_read(const json& op) {
  alignas(inotify_event) std::array<char, 4 * page> buffer{};
  const long got = ::read(fd(op), buffer.data(), buffer.size());
  json result = result_of(got);
  result["events"] = json::array();
  for (long at = 0; at < got;) {
    inotify_event event{};
    std::memcpy(&event, &buffer[static_cast<std::size_t>(at)], sizeof event);
    const char* name = &buffer[static_cast<std::size_t>(at) + sizeof event];
    result["events"].push_back({{"wd", event.wd},
                                {"mask", fmt::format("0x{:x}", event.mask)},
                                {"name", event.len == 0 ? "" : name}});
    at += static_cast<long>(sizeof event + event.len);
  }
  return result;
}

}  // namespace memhp::oracle
