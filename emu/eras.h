// The kernels whose locking can be had: one era for each commit that changed an order.
//
// An era is named after its commit and holds until the next one's. Two neighbours differ
// in exactly one field of lock_rules; `patched`, the default, stands apart: no kernel was
// ever locked like that.
//
// Thread safety: constants.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "emu/lock_rules.h"
#include "locks/lockdep_report.h"

namespace memhp {

// What an era is to one of the documents that this project began with.
enum class seed_side : std::uint8_t { none, before, after };

struct kernel_era {
  lock_rules rules;          // rules.era is the name, rules.what the change in one line
  std::string_view commit;   // twelve digits; empty: a release
  std::string_view kernels;  // the releases that had it, for people: "5.6-5.8"
  int first_kernel;          // the first of them, as kernel_version() has it; 0: none
  int seed;                  // 0 to 4; -1: none
  seed_side side;
  report_format words;           // how its reports look
  std::string_view kernfs_name;  // and what they call an active reference
};

// MAJOR.MINOR as one number that can be compared.
constexpr int kernel_version(int major, int minor) {
  return major * 1000 + minor;
}

// Oldest first; `patched` is not among them.
std::span<const kernel_era> kernel_eras();
// `patched`, in the words of 6.1.
const kernel_era& patched_era();

// An era by its name, by seven or more digits of its commit, by a kernel ("v4.20",
// "5.4"; the era that this release had), or by an alias: "patched", "today",
// "seed-000-before", "seed-000-after" and so on. Null if there is none.
const kernel_era* find_kernel_era(std::string_view name);
// Its rules.
const lock_rules* find_era(std::string_view name);
// The era that rules were taken from, by their name: `patched` for unknown ones.
const kernel_era& era_of(const lock_rules& rules);
// The era of a seed's document without and with its change.
const kernel_era& seed_era(int seed, seed_side side);

}  // namespace memhp
