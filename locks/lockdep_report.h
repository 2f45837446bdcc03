// What the validator found, as facts, and those facts in the kernel's words.
//
// Everything here is pure: a report is a plain struct, to_text() makes a string of it and
// asks nobody. So a report can be kept, compared, sent elsewhere, and written in the
// words of any era, whatever the validator does meanwhile.
//
// Layouts as printed by kernel/locking/lockdep.c of the eras that report_format names;
// those of 4.10, 5.5 and 5.12 follow published reports line by line. Texts end with a
// newline, and lines that the kernel prints before its first ruler are left out.
//
// Thread safety: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "locks/stack_trace.h"

namespace memhp {

// How reports of one range of kernels differ from the others'.
struct report_format {
  std::string_view kernels;    // the first one that prints so
  bool info_brackets = false;  // "[ INFO: possible ... ]" instead of "WARNING: possible"
  bool reclaim_usage = false;  // two more usage characters, for use during page reclaim
  bool bracketed_ip = false;   // "[<ip>] function", and no address of the lock
  bool rw_sem_names = false;   // a percpu rwsem is called NAME.rw_sem
  bool wait_types = false;     // {outer:inner} behind the usage
  bool rlock = false;          // rlock() in the scenario where a lock is read
  bool task_marks = false;     // <TASK> around a backtrace
};

// Oldest first.
inline constexpr report_format report_format_4_10{.kernels = "4.10",
                                                  .info_brackets = true,
                                                  .reclaim_usage = true,
                                                  .bracketed_ip = true};
inline constexpr report_format report_format_4_11{
    .kernels = "4.11", .reclaim_usage = true, .bracketed_ip = true};
// The embedded rwsem of percpu rwsems was in 4.10 too; its name shows once the hotplug
// locks are percpu rwsems.
inline constexpr report_format report_format_4_13{
    .kernels = "4.13", .reclaim_usage = true, .bracketed_ip = true, .rw_sem_names = true};
inline constexpr report_format report_format_4_14{
    .kernels = "4.14", .bracketed_ip = true, .rw_sem_names = true};
inline constexpr report_format report_format_4_17{.kernels = "4.17",
                                                  .rw_sem_names = true};
inline constexpr report_format report_format_5_7{.kernels = "5.7", .wait_types = true};
inline constexpr report_format report_format_5_16{
    .kernels = "5.16", .wait_types = true, .task_marks = true};
inline constexpr report_format report_format_6_1{
    .kernels = "6.1.192", .wait_types = true, .rlock = true, .task_marks = true};

// How a class was used in process context. Interrupts do not exist here, so that a place
// is either '.' or '+'.
struct lock_usage {
  bool write = false;
  bool read = false;
  bool reclaim_write = false;  // held while memory could have been reclaimed
  bool reclaim_read = false;

  friend bool operator==(const lock_usage&, const lock_usage&) = default;
};

// A class as a report names it.
struct reported_class {
  std::string name;
  int version = 1;   // from 2 on printed as #version: classes of one name
  int subclass = 0;  // printed as /subclass unless 0
  lock_usage usage;
  int wait_outer = 0;  // 0 where not declared: percpu rwsems, kernfs
  int wait_inner = 0;
  bool percpu_rwsem = false;  // for report_format::rw_sem_names

  friend bool operator==(const reported_class&, const reported_class&) = default;
};

// One lock that a task holds or wants.
struct reported_lock {
  reported_class lock;
  const void* instance = nullptr;
  bool read = false;  // in either read mode
  stack_frame at;     // where it was, or is being, acquired
};

// The task that a report speaks of.
struct reported_task {
  std::string comm;
  int pid = 0;
  int cpu = 0;
};

// Which kernel a report claims to come from. Empty parts are left out.
struct reported_kernel {
  std::string release = "memhp";
  std::string build = "#1";
  std::string taint = "Not tainted";
  std::string hardware;
};

// What all reports have.
struct report_base {
  reported_kernel kernel;
  reported_task task;
  std::vector<reported_lock> held;  // outermost first
  stack_trace backtrace;
};

// A cycle of classes. chain[0] is the wanted lock with the stack that wants it now;
// chain[k] is a lock that was once acquired while chain[k - 1] was held, with the stack
// that did so; the last one is the lock that the task holds.
struct circular_report : report_base {
  struct link {
    reported_class lock;
    stack_trace stack;
  };
  reported_lock wanted;
  reported_lock blocking;  // held, and reached from `wanted`
  std::vector<link> chain;
};

// A task wants a lock of a class that it holds already.
struct recursive_report : report_base {
  reported_lock wanted;
  reported_lock blocking;
};

// A task releases what it does not hold.
struct bad_unlock_report : report_base {
  reported_class lock;
  const void* instance = nullptr;
  stack_frame at;
  // Who holds the lock, if anybody does; `at` of the lock is where it took it.
  std::optional<reported_task> holder;
  std::optional<reported_lock> held_as;
};

// A task ends with locks in `held`.
struct held_at_exit_report : report_base {};

// A lock is destroyed while it is held; from `begin` up to `end` is the memory that goes.
struct held_destroyed_report : report_base {
  reported_lock lock;
  const void* begin = nullptr;
  const void* end = nullptr;
  std::optional<reported_task> holder;  // if not the task itself
};

// A lock is to be taken under a nest lock that the task does not hold.
struct nest_lock_report : report_base {
  reported_lock wanted;
  std::string nest;
};

// An assertion about a lock failed: lockdep_assert_held() and its relatives.
struct assert_report : report_base {
  std::string assertion;  // such as "lockdep_assert_held_write(mem_hotplug_lock)"
  std::string file;
  unsigned line = 0;
  stack_frame at;
};

using lockdep_report = std::variant<circular_report, recursive_report, bad_unlock_report,
                                    held_at_exit_report, held_destroyed_report,
                                    nest_lock_report, assert_report>;

std::string to_text(const circular_report& report, const report_format& format);
std::string to_text(const recursive_report& report, const report_format& format);
std::string to_text(const bad_unlock_report& report, const report_format& format);
std::string to_text(const held_at_exit_report& report, const report_format& format);
std::string to_text(const held_destroyed_report& report, const report_format& format);
std::string to_text(const nest_lock_report& report, const report_format& format);
std::string to_text(const assert_report& report, const report_format& format);
std::string to_text(const lockdep_report& report, const report_format& format);

// The pieces that tables share with reports.
// NAME[#version][/subclass]
std::string name_text(const reported_class& lock, const report_format& format);
// "+.+." or with six characters; without braces.
std::string usage_text(const lock_usage& usage, const report_format& format);
// "N locks held by COMM/PID:" and a line for each.
std::string held_locks_text(const reported_task& task,
                            const std::vector<reported_lock>& held,
                            const report_format& format);

}  // namespace memhp
