// What does the kernel model itself cost, with no memory and no mount behind it?
//
//   machine_bench                                    all of it
//   machine_bench --benchmark_filter=boot            a machine built and destroyed
//
// Tests and exploration build thousands of machines a second: boot is what bounds them.
#include <benchmark/benchmark.h>
#include <fcntl.h>

#include <memory>
#include <string>

#include "emu/machine.h"

namespace {

using namespace memhp;

machine_config machine_of(std::int64_t blocks) {
  machine_config config;
  config.memory = static_cast<std::uint64_t>(blocks) * config.block_size;
  return config;
}

// Built and destroyed; items are machines.
void boot(benchmark::State& state) {
  for (auto _ : state) {
    auto booted = machine::boot(machine_of(state.range(0)));
    benchmark::DoNotOptimize(booted);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(boot)->Arg(1)->Arg(8)->Arg(64)->Arg(1000)->Unit(benchmark::kMicrosecond);

// One block online and offline again.
void online_offline(benchmark::State& state) {
  machine_config config = machine_of(8);
  config.dimms = {{.size = config.block_size, .node = 0}};
  const auto booted = *machine::boot(config);
  const std::string path = "devices/system/memory/memory32/state";
  for (auto _ : state) {
    if (!booted->write(path, "online_movable") || !booted->write(path, "offline"))
      return state.SkipWithError("the block does not change its state");
  }
}
BENCHMARK(online_offline)->Unit(benchmark::kMicrosecond);

// A block added by probe and removed again: all its files and links.
void probe_remove(benchmark::State& state) {
  const auto booted = *machine::boot(machine_of(8));
  for (auto _ : state) {
    if (!booted->write("devices/system/memory/probe", "0x200000000") ||
        !booted->write("kernel/debug/memhp/remove_block", "64"))
      return state.SkipWithError("the block does not come and go");
  }
}
BENCHMARK(probe_remove)->Unit(benchmark::kMicrosecond);

// What a client does: walk to a file by name, open, read, close.
void lookup_and_read(benchmark::State& state) {
  const auto booted = *machine::boot(machine_of(state.range(0)));
  const std::string path = "devices/system/memory/memory0/state";
  for (auto _ : state) {
    auto text = booted->read(path);
    if (!text || *text != "online\n") return state.SkipWithError("state is not online");
    benchmark::DoNotOptimize(text);
  }
}
BENCHMARK(lookup_and_read)->Arg(8)->Arg(1000);

// The same on a file that is open already.
void read_again(benchmark::State& state) {
  const auto booted = *machine::boot(machine_of(8));
  const auto node = *booted->sysfs().find("devices/system/memory/memory0/state");
  const auto file = std::move(*kernfs_open_file::open(*node, O_RDONLY));
  task by;
  for (auto _ : state) {
    auto text = file->read(0, 4096, by);
    benchmark::DoNotOptimize(text);
  }
}
BENCHMARK(read_again);

}  // namespace

BENCHMARK_MAIN();
