// What does a system call on the emulated tree cost, compared with the real /sys?
//
//   tree_bench                                   all of it
//   tree_bench --benchmark_filter=one_file       open + read or write + close
//   tree_bench --benchmark_filter=parked         a reader while 80 others are parked
//   tree_bench --benchmark_filter=tools          ls -l and lsmem
//   tree_bench --benchmark_filter=whole_run      memhp run, from its start to its end
//
// Every round of one_file does the real and the emulated operation in turn, some hundred
// times each, so that both see the same machine; the figures are medians over the rounds
// and the ratio is between medians. "spread" is the 9th decile over the 1st of the
// emulated one. Nothing of the real /sys changes: a module parameter is written with the
// value that it has.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "bench/fuse_floor.h"
#include "bench/served_machine.h"

namespace {

using namespace memhp;
using clock_type = std::chrono::steady_clock;

constexpr int rounds = 25;
constexpr int calls_a_round = 400;
constexpr std::uint64_t few_blocks = 16;
constexpr const char* real_state = "/sys/devices/system/memory/memory0/state";
// Written with the value that it has: a limit for the mounts of ordinary users.
constexpr const char* real_writable = "/sys/module/fuse/parameters/max_user_bgreq";

double us_since(clock_type::time_point start) {
  return std::chrono::duration<double, std::micro>{clock_type::now() - start}.count();
}

double quantile(std::vector<double> values, double q) {
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
}

// open + read or write + close. Aborts if it fails: a benchmark of errors is none.
void call(const std::string& file, const std::string* text, int flags) {
  const int fd =
      open(file.c_str(), (text != nullptr ? O_WRONLY : O_RDONLY) | flags, 0644);
  char content[4096];
  const ssize_t done = text != nullptr ? write(fd, text->data(), text->size())
                                       : read(fd, content, sizeof content);
  if (done <= 0) {
    fmt::print(stderr, "{}: {}\n", file, strerror(errno));
    std::abort();
  }
  close(fd);
}

double median_us(const std::function<void()>& what) {
  std::vector<double> took(calls_a_round);
  for (double& us : took) {
    const auto start = clock_type::now();
    what();
    us = us_since(start);
  }
  return quantile(took, 0.5);
}

std::string first_line(const std::string& file) {
  std::ifstream stream{file};
  std::string line;
  std::getline(stream, line);
  return line;
}

// Keeps client and server on the last CPU of those that they may use while it lives.
class pinned_together {
 public:
  pinned_together(const served_machine& server, bool pin) : server_{server} {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = CPU_SETSIZE - 1; pin && CPU_COUNT(&one) == 0; --cpu)
      if (CPU_ISSET(cpu, &before_)) CPU_SET(cpu, &one);
    set(pin ? one : before_);
  }
  ~pinned_together() { set(before_); }
  pinned_together(const pinned_together&) = delete;
  pinned_together& operator=(const pinned_together&) = delete;

 private:
  void set(const cpu_set_t& cpus) {
    sched_setaffinity(0, sizeof cpus, &cpus);
    server_.set_affinity(cpus);
  }
  const served_machine& server_;
  cpu_set_t before_;
};

struct one_call {
  const char* file;  // below the emulated /sys
  const char* text;  // null: read
  int flags;
};

void one_file(benchmark::State& state, one_call what) {
  const bool floor = std::string_view{what.file} == floor_file;
  const auto server =
      floor ? served_machine::start_floor() : served_machine::start(few_blocks);
  if (!server) return state.SkipWithError(server.error().c_str());
  const bool writes = what.text != nullptr;
  const std::string real = writes ? real_writable : real_state;
  if (access(real.c_str(), writes ? R_OK | W_OK : R_OK) != 0)
    return state.SkipWithError("no file of the real /sys to compare with");
  const std::string real_text = writes ? first_line(real) : "";
  const std::string text = writes ? what.text : "";
  const std::string emulated = server->path(what.file);
  const pinned_together cpus{*server, state.range(0) == 1};

  std::vector<double> real_us, emulated_us;
  for ([[maybe_unused]] auto _ : state) {
    const auto start = clock_type::now();
    real_us.push_back(median_us(
        [&] { call(real, what.text != nullptr ? &real_text : nullptr, what.flags); }));
    emulated_us.push_back(median_us(
        [&] { call(emulated, what.text != nullptr ? &text : nullptr, what.flags); }));
    state.SetIterationTime(us_since(start) * 1e-6);
  }
  state.counters["real_us"] = quantile(real_us, 0.5);
  state.counters["memhp_us"] = quantile(emulated_us, 0.5);
  state.counters["ratio"] = quantile(emulated_us, 0.5) / quantile(real_us, 0.5);
  state.counters["spread"] = quantile(emulated_us, 0.9) / quantile(emulated_us, 0.1);
}

// Threads that do one call each, which does not return before the machine lets it.
class parked_clients {
 public:
  void add(std::function<void()> what) { threads_.emplace_back(std::move(what)); }
  ~parked_clients() {
    for (std::thread& client : threads_) client.join();
  }

 private:
  std::vector<std::thread> threads_;
};

void try_write(const std::string& file, const std::string& text) {
  const int fd = open(file.c_str(), O_WRONLY);
  static_cast<void>(!write(fd, text.data(), text.size()));
  close(fd);
}
void try_read(const std::string& file) {
  char content[4096];
  const int fd = open(file.c_str(), O_RDONLY);
  static_cast<void>(!read(fd, content, sizeof content));
  close(fd);
}

// An offline that cannot finish, because a page of its block is pinned; writers of
// `online` everywhere and readers of `online` of that block wait for it. How long does
// somebody else's read take meanwhile?
void parked(benchmark::State& state) {
  constexpr std::uint64_t stuck = 12;
  const auto server = served_machine::start(few_blocks);
  if (!server) return state.SkipWithError(server.error().c_str());
  const std::string page = fmt::format("{:#x}", stuck * 128 * 1024 * 1024);
  const std::string other = server->block(3, "state");
  const auto waits = [&] {
    return first_line(server->block(stuck, "state")) == "going-offline";
  };

  std::vector<double> alone, beside;
  parked_clients clients;
  for (int i = 0; i < 2000; ++i) {
    const auto start = clock_type::now();
    call(other, nullptr, 0);
    alone.push_back(us_since(start));
  }
  try_write(server->path("kernel/debug/memhp/page_pin"), page);
  clients.add([&] { try_write(server->block(stuck, "state"), "offline"); });
  while (!waits()) std::this_thread::yield();
  for (std::uint64_t i = 0; i < 40; ++i) {
    clients.add(
        [&, i] { try_write(server->block(i % 2 == 0 ? stuck : 4, "online"), "1"); });
    clients.add([&] { try_read(server->block(stuck, "online")); });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds{100});  // until all are there
  for ([[maybe_unused]] auto _ : state) {
    const auto start = clock_type::now();
    call(other, nullptr, 0);
    beside.push_back(us_since(start));
    state.SetIterationTime(beside.back() * 1e-6);
  }
  if (!waits()) state.SkipWithError("the offline finished before the measurement did");
  try_write(server->path("kernel/debug/memhp/page_unpin"), page);
  state.counters["alone_us"] = quantile(alone, 0.5);
  state.counters["alone_p99_us"] = quantile(alone, 0.99);
  state.counters["beside_us"] = quantile(beside, 0.5);
  state.counters["beside_p99_us"] = quantile(beside, 0.99);
  state.counters["beside_max_us"] = quantile(beside, 1.0);
}

bool run_quietly(const std::string& command) {
  const int status = std::system((command + " >/dev/null").c_str());
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// A tool on a tree of so many blocks: the first run after the mount, and the best of
// some later ones.
void tools(benchmark::State& state, const char* tool) {
  const auto blocks = static_cast<std::uint64_t>(state.range(0));
  std::vector<double> first, again;
  for ([[maybe_unused]] auto _ : state) {
    const auto server = served_machine::start(blocks);
    if (!server) return state.SkipWithError(server.error().c_str());
    const std::string command =
        fmt::format(fmt::runtime(tool), fmt::arg("root", server->sysroot()));
    for (int run = 0; run < 4; ++run) {
      const auto start = clock_type::now();
      if (!run_quietly(command)) return state.SkipWithError("the tool failed");
      (run == 0 ? first : again).push_back(us_since(start) * 1e-3);
    }
    state.SetIterationTime(first.back() * 1e-3);
  }
  state.counters["first_ms"] = quantile(first, 0.5);
  state.counters["again_ms"] = quantile(again, 0.5);
  state.counters["us_a_block"] = quantile(first, 0.5) * 1e3 / static_cast<double>(blocks);
}

// memhp run, from its start until its machine is gone. The program is the one built
// beside this benchmark.
void whole_run(benchmark::State& state) {
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const std::string command =
      (here.parent_path() / "memhp").string() + " run --commit touch -- true";
  std::vector<double> took;
  for ([[maybe_unused]] auto _ : state) {
    const auto start = clock_type::now();
    if (!run_quietly(command)) return state.SkipWithError("memhp run failed");
    took.push_back(us_since(start) * 1e-3);
    state.SetIterationTime(took.back() * 1e-3);
  }
  state.counters["median_ms"] = quantile(took, 0.5);
  state.counters["p10_ms"] = quantile(took, 0.1);
  state.counters["p90_ms"] = quantile(took, 0.9);
  state.counters["max_ms"] = quantile(took, 1.0);
}

void each_call(benchmark::internal::Benchmark* what) {
  what->ArgName("pinned")->Arg(0)->Arg(1)->UseManualTime()->Iterations(rounds)->Unit(
      benchmark::kMillisecond);
}
void each_size(benchmark::internal::Benchmark* what) {
  what->ArgName("blocks")->Arg(1000)->Arg(10'000)->Arg(100'000);
  what->UseManualTime()->Iterations(3)->Unit(benchmark::kMillisecond);
}

constexpr const char* state_file = "devices/system/memory/memory3/state";
constexpr const char* online_file = "devices/system/memory/memory3/online";
constexpr const char* auto_online = "devices/system/memory/auto_online_blocks";

BENCHMARK_CAPTURE(one_file, read, {state_file, nullptr, 0})->Apply(each_call);
BENCHMARK_CAPTURE(one_file, write, {auto_online, "offline", 0})->Apply(each_call);
BENCHMARK_CAPTURE(one_file, echo, {auto_online, "offline", O_CREAT | O_TRUNC})
    ->Apply(each_call);
// Takes device_lock, so it runs on a thread of its own and is answered late.
BENCHMARK_CAPTURE(one_file, write_that_may_sleep, {online_file, "1", 0})
    ->Apply(each_call);
// The same calls on the least server there can be: "memhp" is the floor in these rows.
BENCHMARK_CAPTURE(one_file, floor_read, {floor_file, nullptr, 0})->Apply(each_call);
BENCHMARK_CAPTURE(one_file, floor_write, {floor_file, "offline", 0})->Apply(each_call);
BENCHMARK_CAPTURE(one_file, floor_echo, {floor_file, "offline", O_CREAT | O_TRUNC})
    ->Apply(each_call);
BENCHMARK(parked)->UseManualTime()->Iterations(5000)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(tools, ls_l, "ls -l {root}/sys/devices/system/memory")
    ->Apply(each_size);
BENCHMARK_CAPTURE(tools, ls_U, "ls -U {root}/sys/devices/system/memory")
    ->Apply(each_size);
BENCHMARK_CAPTURE(tools, lsmem, "lsmem --sysroot {root}")->Apply(each_size);
BENCHMARK(whole_run)->UseManualTime()->Iterations(rounds)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
