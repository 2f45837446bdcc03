#include "tests/oracle/background.h"

#include <fmt/format.h>
#include <grp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <random>
#include <stdexcept>

namespace memhp::oracle {

namespace {

constexpr std::size_t max_workers = 8;
constexpr std::size_t max_errno = 256;

void handle_sigusr1_without_restart() {
  struct sigaction action{};
  action.sa_handler = [](int) {};
  ::sigaction(SIGUSR1, &action, nullptr);
}

std::size_t errno_of(const std::string& name) {
  for (std::size_t number = 1; number < max_errno; ++number) {
    const char* known = strerrorname_np(static_cast<int>(number));
    if (known != nullptr && name == known) {
      return number;
    }
  }
  return 0;
}

void become(uid_t uid) {
  if (uid != 0 &&
      (::setgroups(0, nullptr) != 0 || ::setgid(uid) != 0 || ::setuid(uid) != 0)) {
    ::_exit(126);
  }
}

}  // namespace

background_call::background_call(caller& from, const json& call, uid_t uid) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) {
    throw std::runtime_error{"pipe"};
  }
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::close(ends[0]);
    handle_sigusr1_without_restart();
    become(uid);
    const std::vector<std::uint8_t> told = json::to_cbor(from.call(call));
    const long wrote = ::write(ends[1], told.data(), told.size());
    ::_exit(wrote == static_cast<long>(told.size()) ? 0 : 125);
  }
  ::close(ends[1]);
  results_ = ends[0];
}

background_call::~background_call() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    reap();
  }
  ::close(results_);
}

void background_call::reap() {
  ::waitpid(pid_, &status_, 0);
  pid_ = -1;
}

json background_call::wait(std::chrono::milliseconds limit) {
  pollfd readable{.fd = results_, .events = POLLIN, .revents = 0};
  if (::poll(&readable, 1, static_cast<int>(limit.count())) == 0) {
    errno = ETIMEDOUT;
    return result_of(-1);
  }
  std::vector<std::uint8_t> told(1 << 20);
  std::size_t size = 0;
  long got = 0;
  while ((got = ::read(results_, &told[size], told.size() - size)) > 0) {
    size += static_cast<std::size_t>(got);
  }
  if (pid_ > 0) {
    reap();
  }
  if (size == 0) {
    errno = ECHILD;
    json result = result_of(-1);
    result["wstatus"] = status_;
    return result;
  }
  told.resize(size);
  return json::from_cbor(told);
}

json background_call::signal(int number) {
  if (pid_ < 0) {
    errno = ESRCH;
    return result_of(-1);
  }
  return result_of(::kill(pid_, number));
}

// In memory that the workers share.
struct race::shared {
  std::atomic<bool> stop = false;
  struct worker {
    std::atomic<long> iterations = 0;
    std::atomic<long> ok = 0;
    std::array<std::atomic<long>, max_errno> errors{};
  };
  std::array<worker, max_workers> workers;
};

race::race(caller& from, const json& calls, const std::vector<long>& iterations) {
  void* memory = ::mmap(nullptr, sizeof(shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || iterations.size() > max_workers) {
    throw std::runtime_error{"no memory for a race"};
  }
  shared_ = new (memory) shared;
  for (std::size_t i = 0; i < iterations.size(); ++i) {
    const pid_t pid = ::fork();
    if (pid != 0) {
      workers_.push_back(pid);
      continue;
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    shared::worker& mine = shared_->workers[i];
    std::minstd_rand random{static_cast<unsigned>(i) + 1};
    std::uniform_int_distribution<std::size_t> pick{0, calls.size() - 1};
    while (!shared_->stop && (iterations[i] == 0 || mine.iterations < iterations[i])) {
      const json result = from.call(calls[pick(random)]);
      ++mine.iterations;
      ++(result["errno"].is_null() ? mine.ok : mine.errors[errno_of(result["errno"])]);
      if (iterations[i] == 0) {
        ::usleep(1000);  // no more uevents than the log keeps
      }
    }
    ::_exit(0);
  }
}

race::~race() {
  for (const pid_t pid : workers_) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  ::munmap(shared_, sizeof(shared));
}

bool race::finished() {
  std::erase_if(workers_,
                [](pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) == pid; });
  return workers_.empty();
}

long race::ok_of_slowest() const {
  long fewest = LONG_MAX;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    fewest = std::min(fewest, shared_->workers[i].ok.load());
  }
  return fewest;
}

void race::stop() {
  shared_->stop = true;
}

json race::counts() {
  json all = json::array();
  for (const shared::worker& worker : shared_->workers) {
    if (worker.iterations == 0) {
      continue;
    }
    json counts{{"iter", worker.iterations.load()}, {"ok", worker.ok.load()}};
    for (std::size_t number = 0; number < max_errno; ++number) {
      if (const long times = worker.errors[number]; times != 0) {
        counts[strerrorname_np(static_cast<int>(number))] = times;
      }
    }
    all.push_back(counts);
  }
  return all;
}

}  // namespace memhp::oracle
