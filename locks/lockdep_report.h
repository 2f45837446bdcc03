// What the validator found, as facts, and the kernel's words for it.
//
// Facts first: tests and tools look at lockdep_report, people read to_text(). The words
// changed over the years; report_style says whose they are, so that a report can be laid
// beside the one of the kernel in question.
//
// Thread safety: values and pure functions.
//
// Mirrors print_circular_bug(), print_deadlock_bug() and their kin in
// kernel/locking/lockdep.c (4.10, 5.5, 5.12, 6.1).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "locks/lock_class.h"
#include "locks/stack_trace.h"

namespace memhp {

struct report_style {
  std::string_view kernel = "memhp";   // the kernel's ident line
  bool info_header = false;            // "[ INFO: ... ]": up to 4.10
  bool reclaim_usage = false;          // six usage characters: up to 4.14
  bool wait_types = true;              // {outer:inner}: since 5.7
  bool read_locks_named = true;        // rlock(: since 6.1
  bool pointers_in_held_lines = true;  // "ADDR (name)": since 4.15
};
inline constexpr report_style style_4_10{.kernel = "4.10.0",
                                         .info_header = true,
                                         .reclaim_usage = true,
                                         .wait_types = false,
                                         .read_locks_named = false,
                                         .pointers_in_held_lines = false};
inline constexpr report_style style_5_5{
    .kernel = "5.5.0", .wait_types = false, .read_locks_named = false};
inline constexpr report_style style_5_12{.kernel = "5.12.0", .read_locks_named = false};
inline constexpr report_style style_6_1{.kernel = "6.1.0"};

// A lock as a line of a report shows it.
struct reported_lock {
  std::string class_name;  // with version and subclass
  std::uint8_t usage = 0;  // lock_class::usage()
  std::uint8_t wait_type = 0;
  const void* instance = nullptr;
  read_kind read = read_kind::write;
  std::string at;  // "function+0x.../0x..."
};

// One "-> #n" of a chain: how the lock came to be wanted under the one of the next entry.
struct chain_entry {
  reported_lock lock;
  std::vector<std::string> stack;
};

enum class report_kind : std::uint8_t {
  circular,      // possible circular locking dependency
  recursive,     // possible recursive locking
  bad_unlock,    // release of what is not held
  held_at_exit,  // a task ended with locks
  held_at_destruction,
  not_held,  // lockdep_assert_held()
  must_not_be_held,
};

struct lockdep_report {
  report_kind kind = report_kind::circular;
  std::string task;  // comm
  std::int64_t pid = 0;
  reported_lock wanted;  // the lock that the report is about
  reported_lock held;    // circular, recursive: what is already held
  // Circular: highest number first, the last one is `wanted` with the current stack.
  std::vector<chain_entry> chain;
  std::vector<reported_lock> held_locks;  // oldest first
  std::vector<std::string> stack;         // the current one
};

// The whole report, lines ended by newlines.
std::string to_text(const lockdep_report& report, const report_style& style = style_6_1);

// "{+.+.}" and so on.
std::string usage_characters(std::uint8_t usage, const report_style& style = style_6_1);

}  // namespace memhp
