// What does a scenario cost? Each one's lockdep run, before its patch: a machine booted,
// its tasks one after the other, the report, and everything taken down again.
//
//   scenario_bench
//
// A run must take less than 50 ms, so that nobody thinks twice about running all.
#include <benchmark/benchmark.h>

#include <string>

#include "emu/scenarios/scenario.h"

int main(int argc, char** argv) {
  using namespace memhp;
  for (const scenario* s : all_scenarios())
    benchmark::RegisterBenchmark(("lockdep_run/" + std::string{s->name}).c_str(),
                                 [s](benchmark::State& state) {
                                   for (auto _ : state) {
                                     const auto done = run_scenario(*s, s->before, {});
                                     if (!done || !done->differs.empty())
                                       state.SkipWithError("not what its era has");
                                   }
                                 })
        ->Unit(benchmark::kMillisecond);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
