#include "emu/eras.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace memhp {
namespace {

// The rules of `from` with one field changed.
template <class T>
consteval lock_rules changed(const lock_rules& from, T lock_rules::* field, T to,
                             std::string_view era, std::string_view what) {
  lock_rules next = from;
  next.*field = to;
  next.era = era;
  next.what = what;
  return next;
}

// --- the rules, oldest first -----------------------------------------------------------

constexpr lock_rules v3_19{
    .era = "v3.19",
    .what = "add and remove under mem_hotplug.lock; onlining takes it inside dev->mutex",
    .design = hotplug_lock_design::home_made,
    .scope = mem_hotplug_scope::changed_pages,
    .add = add_memory_locks::mem_hotplug_lock_only,
    .remove = remove_memory_locks::taken_by_caller,
    .memtrace_online = memtrace_locks::none,
    .memtrace_offline = memtrace_locks::none,
    .removal = remove_devices::under_mem_hotplug_lock,
    .online = online_check::kernfs_only,
    .assertion = removal_assertion::comment_only,
    .drain = drain_report::always,
    .slab = {.create = cache_create_locks::cpu_mem_slab,
             .destroy = cache_destroy_locks::cpu_mem_slab,
             .flush = cache_flush_way::by_interrupt},
    .debug_key = debug_key_enabled::never,
    .cache_files = cache_files_removal::after_locks,
    .cache_store = cache_store_reach::children_under_slab_mutex,
};
constexpr lock_rules c_30467e0b3be8 =
    changed(v3_19, &lock_rules::scope, mem_hotplug_scope::whole_request, "30467e0b3be8",
            "`state` takes mem_hotplug.lock before dev->mutex, `online` not at all");
constexpr lock_rules c_bf5eb3de3847 = changed(
    c_30467e0b3be8, &lock_rules::cache_files, cache_files_removal::under_slab_mutex,
    "bf5eb3de3847", "a slab cache's files are removed under slab_mutex");
constexpr lock_rules c_55adc1d05dca = changed(
    c_bf5eb3de3847, &lock_rules::design, hotplug_lock_design::home_made_one_writer,
    "55adc1d05dca", "memory_add_remove_lock around the writers of mem_hotplug.lock");
constexpr lock_rules c_3b7b314053d0 =
    changed(c_55adc1d05dca, &lock_rules::cache_files, cache_files_removal::by_work_item,
            "3b7b314053d0", "a slab cache's files are removed by a work item");
constexpr lock_rules c_3f906ba23689 = changed(
    c_3b7b314053d0, &lock_rules::design, hotplug_lock_design::cpu_then_mem,
    "3f906ba23689", "percpu rwsems; cpu_hotplug_lock is taken before mem_hotplug_lock");
constexpr lock_rules c_d50d82faa0c9 = changed(
    c_3f906ba23689, &lock_rules::cache_files,
    cache_files_removal::deleted_under_slab_mutex, "d50d82faa0c9",
    "a slab cache's files are removed under slab_mutex again, as names were taken");
constexpr lock_rules c_d15e59260f62 =
    changed(c_d50d82faa0c9, &lock_rules::remove, remove_memory_locks::taken_by_it,
            "d15e59260f62", "remove_memory() takes device_hotplug_lock itself");
constexpr lock_rules c_8df1d0e4a265 = changed(
    c_d15e59260f62, &lock_rules::add, add_memory_locks::device_hotplug_lock,
    "8df1d0e4a265", "add_memory() takes device_hotplug_lock, and so does `probe`");
constexpr lock_rules c_381eab4a6ee8 = changed(
    c_8df1d0e4a265, &lock_rules::scope, mem_hotplug_scope::changed_pages, "381eab4a6ee8",
    "onlining and offlining take mem_hotplug_lock themselves, inside dev->mutex");
constexpr lock_rules c_cec1680591d6 = changed(
    c_381eab4a6ee8, &lock_rules::memtrace_online, memtrace_locks::device_hotplug_lock,
    "cec1680591d6", "memtrace onlines its memory under device_hotplug_lock");
constexpr lock_rules c_5666848774ef = changed(
    c_cec1680591d6, &lock_rules::memtrace_offline, memtrace_locks::device_hotplug_lock,
    "5666848774ef", "memtrace offlines memory under device_hotplug_lock");
constexpr lock_rules c_f1037ec0cc8a = changed(
    c_5666848774ef, &lock_rules::removal, remove_devices::before_it, "f1037ec0cc8a",
    "a removal waits for the users of sysfs files before it takes mem_hotplug_lock");
constexpr lock_rules c_9855609bde03 = changed(
    c_f1037ec0cc8a, &lock_rules::cache_store, cache_store_reach::own_cache_only,
    "9855609bde03", "no slab caches of memory cgroups: stores take no slab_mutex");
constexpr lock_rules c_7e1fa93deff4 =
    changed(c_9855609bde03, &lock_rules::slab,
            {.create = cache_create_locks::cpu_slab,
             .destroy = cache_destroy_locks::cpu_slab,
             .flush = cache_flush_way::by_interrupt},
            "7e1fa93deff4", "slab caches come and go without mem_hotplug_lock");
constexpr lock_rules c_59450bbc12be =
    changed(c_7e1fa93deff4, &lock_rules::slab,
            {.create = cache_create_locks::slab_only,
             .destroy = cache_destroy_locks::slab_only,
             .flush = cache_flush_way::by_interrupt},
            "59450bbc12be", "slab caches come and go without cpu_hotplug_lock");
constexpr lock_rules c_1f0723a4c0df = changed(
    c_59450bbc12be, &lock_rules::debug_key, debug_key_enabled::in_cache_open,
    "1f0723a4c0df", "a debugged slab cache takes cpu_hotplug_lock under slab_mutex");
constexpr lock_rules c_afe0c26d1968 = changed(
    c_1f0723a4c0df, &lock_rules::debug_key, debug_key_enabled::before_slab_mutex,
    "afe0c26d1968", "a debugged slab cache takes cpu_hotplug_lock before slab_mutex");
constexpr lock_rules c_5a836bf6b09f =
    changed(c_afe0c26d1968, &lock_rules::slab,
            {.create = cache_create_locks::slab_only,
             .destroy = cache_destroy_locks::cpu_slab,
             .flush = cache_flush_way::by_work},
            "5a836bf6b09f", "slab flushes by work items, under cpu_hotplug_lock");
constexpr lock_rules c_0495e337b703 =
    changed(c_5a836bf6b09f, &lock_rules::cache_files, cache_files_removal::after_locks,
            "0495e337b703", "a slab cache's files are removed after all locks");
constexpr lock_rules c_2d7f9f8c1815 =
    changed(c_0495e337b703, &lock_rules::drain, drain_report::if_it_waits, "2d7f9f8c1815",
            "lockdep hears of a removal only if it finds somebody inside a file");
constexpr lock_rules c_6b8f0798b85a = changed(
    c_2d7f9f8c1815, &lock_rules::removal, remove_devices::under_mem_hotplug_lock,
    "6b8f0798b85a", "a removal waits for the users of sysfs files under the lock again");

// --- the table -------------------------------------------------------------------------

constexpr std::string_view s_active = "s_active";
constexpr std::string_view kn_count = "kn->count";    // 4.14
constexpr std::string_view kn_active = "kn->active";  // 5.8

// Kernels that were never released, between two commits of one series, have no first one.
constexpr std::array eras = {
    kernel_era{v3_19, "", "3.16-4.0", kernel_version(3, 16), 1, seed_side::before,
               report_format_4_10, s_active},
    kernel_era{c_30467e0b3be8, "30467e0b3be8", "4.1-4.10", kernel_version(4, 1), 1,
               seed_side::after, report_format_4_10, s_active},
    kernel_era{c_bf5eb3de3847, "bf5eb3de3847", "4.11-rc1", 0, 4, seed_side::before,
               report_format_4_10, s_active},
    kernel_era{c_55adc1d05dca, "55adc1d05dca", "4.11", kernel_version(4, 11), -1,
               seed_side::none, report_format_4_11, s_active},
    kernel_era{c_3b7b314053d0, "3b7b314053d0", "4.12", kernel_version(4, 12), 4,
               seed_side::after, report_format_4_11, s_active},
    kernel_era{c_3f906ba23689, "3f906ba23689", "4.13-4.17", kernel_version(4, 13), -1,
               seed_side::none, report_format_4_13, s_active},
    kernel_era{c_d50d82faa0c9, "d50d82faa0c9", "4.18-4.19", kernel_version(4, 18), 2,
               seed_side::before, report_format_4_17, kn_count},
    kernel_era{c_d15e59260f62, "d15e59260f62", "before 4.20", 0, -1, seed_side::none,
               report_format_4_17, kn_count},
    kernel_era{c_8df1d0e4a265, "8df1d0e4a265", "before 4.20", 0, -1, seed_side::none,
               report_format_4_17, kn_count},
    kernel_era{c_381eab4a6ee8, "381eab4a6ee8", "before 4.20", 0, 2, seed_side::after,
               report_format_4_17, kn_count},
    kernel_era{c_cec1680591d6, "cec1680591d6", "before 4.20", 0, -1, seed_side::none,
               report_format_4_17, kn_count},
    kernel_era{c_5666848774ef, "5666848774ef", "4.20-5.5", kernel_version(4, 20), 0,
               seed_side::before, report_format_4_17, kn_count},
    kernel_era{c_f1037ec0cc8a, "f1037ec0cc8a", "5.6-5.8", kernel_version(5, 6), 0,
               seed_side::after, report_format_4_17, kn_count},
    kernel_era{c_9855609bde03, "9855609bde03", "5.9-5.11", kernel_version(5, 9), -1,
               seed_side::none, report_format_5_7, kn_active},
    kernel_era{c_7e1fa93deff4, "7e1fa93deff4", "before 5.12", 0, -1, seed_side::none,
               report_format_5_7, kn_active},
    kernel_era{c_59450bbc12be, "59450bbc12be", "5.12", kernel_version(5, 12), -1,
               seed_side::none, report_format_5_7, kn_active},
    kernel_era{c_1f0723a4c0df, "1f0723a4c0df", "5.13-rc1", 0, 3, seed_side::before,
               report_format_5_7, kn_active},
    kernel_era{c_afe0c26d1968, "afe0c26d1968", "5.13-5.14", kernel_version(5, 13), 3,
               seed_side::after, report_format_5_7, kn_active},
    kernel_era{c_5a836bf6b09f, "5a836bf6b09f", "5.15-5.19", kernel_version(5, 15), -1,
               seed_side::none, report_format_5_7, kn_active},
    kernel_era{c_0495e337b703, "0495e337b703", "6.0", kernel_version(6, 0), -1,
               seed_side::none, report_format_5_16, kn_active},
    kernel_era{c_2d7f9f8c1815, "2d7f9f8c1815", "6.1-6.7", kernel_version(6, 1), -1,
               seed_side::none, report_format_6_1, kn_active},
    kernel_era{c_6b8f0798b85a, "6b8f0798b85a", "6.8-", kernel_version(6, 8), -1,
               seed_side::none, report_format_6_1, kn_active},
};

constexpr bool each_changes_one_field() {
  for (std::size_t i = 1; i < eras.size(); ++i)
    if (differences(eras[i - 1].rules, eras[i].rules) != 1) return false;
  return true;
}
static_assert(each_changes_one_field());

constexpr bool kernels_are_in_order() {
  int last = 0;
  for (const kernel_era& era : eras) {
    if (era.first_kernel == 0) continue;
    if (era.first_kernel <= last) return false;
    last = era.first_kernel;
  }
  return true;
}
static_assert(kernels_are_in_order());

constexpr kernel_era seeds_world{
    patched, "", "none", 0, -1, seed_side::none, report_format_6_1, kn_active};

// "v4.20", "4.20", "4.20.1", "4.20-rc1": 4020.
std::optional<int> version_from(std::string_view text) {
  if (text.starts_with('v')) text.remove_prefix(1);
  int major = 0;
  int minor = 0;
  const auto first = std::from_chars(text.data(), text.data() + text.size(), major);
  if (first.ec != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(first.ptr - text.data()));
  if (!text.starts_with('.')) return std::nullopt;
  text.remove_prefix(1);
  const auto second = std::from_chars(text.data(), text.data() + text.size(), minor);
  constexpr int too_much = 1000;
  if (second.ec != std::errc{} || major >= too_much || minor < 0 || minor >= too_much)
    return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(second.ptr - text.data()));
  if (!text.empty() && !text.starts_with('.')) return std::nullopt;
  return kernel_version(major, minor);
}

// The last era that began before or with this release.
const kernel_era* era_of_kernel(int version) {
  const kernel_era* found = nullptr;
  for (const kernel_era& era : eras)
    if (era.first_kernel != 0 && era.first_kernel <= version) found = &era;
  return found;
}

// "seed-000-before" and "seed-000-after".
const kernel_era* era_of_seed_name(std::string_view name) {
  for (const kernel_era& era : eras) {
    if (era.seed < 0) continue;
    const std::array number = {'0', '0', static_cast<char>('0' + era.seed)};
    std::string_view rest = name;
    if (!rest.starts_with("seed-")) return nullptr;
    rest.remove_prefix(5);
    if (!rest.starts_with(std::string_view{number.data(), number.size()})) continue;
    rest.remove_prefix(number.size());
    if (rest == (era.side == seed_side::before ? "-before" : "-after")) return &era;
  }
  return nullptr;
}

}  // namespace

std::span<const kernel_era> kernel_eras() {
  return eras;
}
const kernel_era& patched_era() {
  return seeds_world;
}

const kernel_era* find_kernel_era(std::string_view name) {
  constexpr std::size_t least_digits = 7;
  if (name == patched.era) return &seeds_world;
  if (name == "today") return &eras.back();
  for (const kernel_era& era : eras) {
    if (era.rules.era == name) return &era;
    if (name.size() >= least_digits && era.commit.starts_with(name)) return &era;
  }
  if (const kernel_era* era = era_of_seed_name(name)) return era;
  const auto version = version_from(name);
  return version ? era_of_kernel(*version) : nullptr;
}

const lock_rules* find_era(std::string_view name) {
  const kernel_era* const era = find_kernel_era(name);
  return era != nullptr ? &era->rules : nullptr;
}

const kernel_era& era_of(const lock_rules& rules) {
  const auto hit = std::ranges::find(eras, rules.era,
                                     [](const kernel_era& era) { return era.rules.era; });
  return hit != eras.end() ? *hit : seeds_world;
}

const kernel_era& seed_era(int seed, seed_side side) {
  const auto hit = std::ranges::find_if(
      eras, [&](const kernel_era& era) { return era.seed == seed && era.side == side; });
  return hit != eras.end() ? *hit : seeds_world;
}

}  // namespace memhp
