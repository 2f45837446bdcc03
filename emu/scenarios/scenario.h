// Scenarios: real locking problems of the kernel as short programs that anybody can run,
// before and after their patches, on the functions of emu/ that also serve the tree.
//
// A scenario is a machine and a few tasks. It runs in two ways:
//   lockdep: one task after the other, so that nothing can hang; the validator sees from
//            the orders that it could have;
//   forced:  the interleaving that hangs is made to happen, on fibers of one thread. "No
//            task can run" is then a fact, and the run is taken down again.
// run_on_threads.h forces the same interleaving on OS threads, which then really hang.
// What an era makes of both follows from its lock_rules, and is compared with what
// happened.
//
// Thread safety: a scenario is constant. One run at a time in a process: the validator is
// switched on, and forgets what it knew before.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emu/eras.h"
#include "emu/explore/fiber_scheduler.h"
#include "emu/hung_task_report.h"
#include "emu/machine.h"
#include "locks/lock_orders.h"
#include "locks/lockdep_report.h"

namespace memhp {

// What is wrong with a kernel, if anything is.
enum class scenario_kind : std::uint8_t {
  deadlock,     // a cycle of locks is reported, and the forced run hangs
  lost_update,  // a missing lock is reported, and the forced run loses a count
};

struct scenario_task {
  std::string_view name;
  void (*run)(machine& m);
};

// One line of `memhp scenario show`, in the order of the forced run.
struct scenario_step {
  std::string_view task;
  std::string_view what;
};

struct scenario {
  std::string_view name;
  int seed = -1;  // -1: none
  std::array<std::string_view, 3> story;
  scenario_kind kind = scenario_kind::deadlock;
  lock_rules before;
  lock_rules after;
  machine_config config;
  void (*setup)(machine& m);         // with nobody else there
  std::vector<scenario_task> tasks;  // in the order of the lockdep run
  std::vector<scenario_step> steps;
  std::vector<stage> forced;  // then the tasks go on until nobody can

  // A function that the report is about: reports without it are others' business.
  std::string_view reported_in;
  std::string_view reported_lock;  // and a part of the name of one of its locks
  // What to expect of a kernel.
  bool (*is_reported)(const lock_rules& rules, bool validate_dev_mutex);
  bool (*goes_wrong)(const lock_rules& rules);  // in the forced run
  // What the forced run changes about a kernel, null for nothing.
  void (*adjust_forced)(lock_rules& rules) = nullptr;
  // Of a lost update: one line that says what does not add up; empty if all does.
  std::string (*what_is_lost)(machine& m) = nullptr;
};

// All of them, by seed.
std::span<const scenario* const> all_scenarios();
// Null if there is none of that name.
const scenario* find_scenario(std::string_view name);

// The rules that a scenario's word for an era stands for: "before", "after", "patched",
// or whatever find_kernel_era() takes. Null if it takes none.
const lock_rules* scenario_rules(const scenario& s, std::string_view era);

struct scenario_options {
  bool forced = false;
  bool validate_dev_mutex = false;
  bool record = false;  // fill scenario_run::seen
  bool learn = false;   // fill scenario_run::learned
};

struct scenario_run {
  std::vector<lockdep_report> reports;  // those that are this scenario's business
  std::vector<hung_task> hung;
  std::string lost;  // see what_is_lost
  bool finished = false;
  std::string end;  // how the run ended, if it neither finished nor hung
  std::vector<seen_step> seen;
  std::vector<std::string> task_names;  // of seen_step::task - 1
  lock_orders learned;                  // with those of the boot

  // Empty if the run did what its era says; else what differs.
  std::string differs;
  // Whether something went wrong, as expected or not.
  bool went_wrong() const { return !reports.empty() || !hung.empty() || !lost.empty(); }
};

// Boots, runs, cleans up. The error says why the machine did not boot. Fibers must work
// (fibers_work).
std::expected<scenario_run, std::string> run_scenario(const scenario& s,
                                                      const lock_rules& rules,
                                                      const scenario_options& options);

extern const scenario remove_vs_online;
extern const scenario probe_vs_online;
extern const scenario online_without_lock;
extern const scenario cpu_offline_vs_cache_create;
extern const scenario cache_destroy_vs_sysfs;
extern const scenario blocking_sysfs_lock;

}  // namespace memhp
