// What the tests of real memory share: a host that can be told to be another one, a
// hugetlb pool for the length of a test, and code run in a process of its own.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "blocks/host_memory.h"
#include "blocks/owned_fd.h"

namespace memhp {

inline std::string read_all(const std::string& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

// This host, except for what a test sets.
class fake_host final : public host_memory {
 public:
  struct bind_call {
    std::byte* at;
    std::uint64_t size;
    int node;
    binding how;
  };

  std::optional<host_topology> nodes;
  std::atomic<std::int64_t> available = -1;  // bytes; -1: the host's own
  std::optional<std::uint64_t> huge_pages;
  bool strict_overcommit = false;
  errc bind_error{};  // refused with it if set
  // Called before pages are given; an error is given back instead.
  std::function<result<>()> before_giving = [] { return result<>{}; };

  std::vector<bind_call> binds() const {
    const std::scoped_lock hold{lock_};
    return binds_;
  }

  host_topology topology() const override {
    return nodes ? *nodes : this_host().topology();
  }
  std::uint64_t available_bytes(std::optional<int> node) const override {
    if (available >= 0) return static_cast<std::uint64_t>(available);
    // The nodes of a made-up topology have whatever the host has.
    return this_host().available_bytes(nodes ? std::nullopt : node);
  }
  std::uint64_t free_huge_pages() const override {
    return huge_pages ? *huge_pages : this_host().free_huge_pages();
  }
  bool gives_what_is_available() const override { return !strict_overcommit; }
  result<> bind(std::byte* at, std::uint64_t size, int node, binding how) override {
    const std::scoped_lock hold{lock_};
    binds_.push_back({at, size, node, how});
    if (bind_error != errc{}) return fail(bind_error);
    return {};
  }
  result<> allocate(int file, std::uint64_t offset, std::uint64_t size) override {
    if (auto allowed = before_giving(); !allowed) return allowed;
    return this_host().allocate(file, offset, size);
  }
  result<> populate(std::byte* at, std::uint64_t size) override {
    if (auto allowed = before_giving(); !allowed) return allowed;
    return this_host().populate(at, size);
  }

 private:
  mutable std::mutex lock_;
  std::vector<bind_call> binds_;
};

// `pages` more pages in the host's 2 MiB pool while it lives. One test at a time has
// it, whatever process the test runs in.
class hugetlb_pool {
 public:
  explicit hugetlb_pool(std::uint64_t pages) : file_{open(path, O_RDWR | O_CLOEXEC)} {
    if (!file_) return;
    flock(file_.get(), LOCK_EX);
    before_ = std::stoull(read_all(path));
    const auto free_before = this_host().free_huge_pages();
    set(before_ + pages);
    usable_ = this_host().free_huge_pages() >= free_before + pages;
  }
  ~hugetlb_pool() {
    if (file_) set(before_);
  }
  hugetlb_pool(const hugetlb_pool&) = delete;
  hugetlb_pool& operator=(const hugetlb_pool&) = delete;

  // False without the right to change the pool or without contiguous memory for it.
  bool usable() const { return usable_; }

 private:
  static constexpr auto path = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
  void set(std::uint64_t pages) const {
    const std::string text = std::to_string(pages);
    (void)!pwrite(file_.get(), text.data(), text.size(), 0);
  }

  owned_fd file_;
  std::uint64_t before_ = 0;
  bool usable_ = false;
};

// Runs `body` in a child process; true if it returned true there.
inline bool in_child(const std::function<bool()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body() ? 0 : 1);
  int status = -1;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Makes this process an ordinary user's, if it is not yet.
inline bool become_ordinary_user() {
  constexpr unsigned nobody = 65534;
  if (geteuid() == 0 && (setresgid(nobody, nobody, nobody) != 0 ||
                         setresuid(nobody, nobody, nobody) != 0)) {
    return false;
  }
  // As after an exec: without it /proc/self stays root's.
  return prctl(PR_SET_DUMPABLE, 1) == 0;
}

// True if this process may write to an address; asks the kernel, so that it is no crash.
inline bool writable(const std::byte* at) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  const owned_fd from{ends[0]};
  const owned_fd to{ends[1]};
  const char byte = 0;
  return write(to.get(), &byte, 1) == 1 &&
         read(from.get(), const_cast<std::byte*>(at), 1) == 1;
}

}  // namespace memhp
