#include "emu/proc_files.h"

#include <array>
#include <cstdint>
#include <string>

#include "emu/parse.h"
#include "locks/lock_stat.h"
#include "locks/lockdep.h"
#include "locks/proc_files.h"

namespace memhp {
namespace {

result<std::string> lockdep_show(kobject&, task&) {
  return lockdep_text(lockdep::snapshot());
}

result<std::string> lockdep_chains_show(kobject&, task&) {
  return lockdep_chains_text(lockdep::snapshot());
}

result<std::string> lockdep_stats_show(kobject&, task&) {
  return lockdep_stats_text(lockdep::snapshot());
}

result<std::string> lock_stat_show(kobject&, task&) {
  // Here it counts without the validator, too: nothing is missing then.
  return lock_stat_text(lockdep::lock_stat_rows(), lockdep::on() || lock_stat::on());
}

// As the kernel: 0 clears, everything else is taken and does nothing.
result<std::size_t> lock_stat_store(kobject&, std::string_view data, task&) {
  if (data.starts_with('0')) lock_stat::reset();
  return data.size();
}

result<std::string> kmsg_show(kobject& object, task&) {
  return static_cast<proc_files&>(object).k.messages.text();
}

result<std::string> iomem_show(kobject& object, task&) {
  return static_cast<proc_files&>(object).k.iomem.text();
}

result<std::string> lock_stat_enabled_show(kobject&, task&) {
  return std::string{lock_stat::on() ? "1\n" : "0\n"};
}

result<std::size_t> lock_stat_enabled_store(kobject&, std::string_view data, task&) {
  const auto value = kstrtoull(data);
  if (!value) return fail(value.error());
  if (*value > 1) return fail(errc::invalid_argument);
  lockdep::set_lock_stat(*value == 1);
  return data.size();
}

result<std::string> hung_task_timeout_show(kobject& object, task&) {
  return std::to_string(static_cast<proc_files&>(object).k.hung_tasks.timeout_secs) +
         '\n';
}

result<std::size_t> hung_task_timeout_store(kobject& object, std::string_view data,
                                            task&) {
  constexpr std::uint64_t most = INT64_MAX / 1000;  // as with HZ=1000
  const auto value = kstrtoull(data);
  if (!value || *value > most) return fail(errc::invalid_argument);
  static_cast<proc_files&>(object).k.hung_tasks.timeout_secs = *value;
  return data.size();
}

result<std::string> hung_task_warnings_show(kobject& object, task&) {
  return std::to_string(static_cast<proc_files&>(object).k.hung_tasks.warnings) + '\n';
}

result<std::size_t> hung_task_warnings_store(kobject& object, std::string_view data,
                                             task&) {
  const auto value = kstrtoll(data);
  if (!value || *value < -1 || *value > INT32_MAX) return fail(errc::invalid_argument);
  static_cast<proc_files&>(object).k.hung_tasks.warnings = *value;
  return data.size();
}

constexpr std::array proc_attrs = {
    attribute{.name = "lockdep", .mode = 0400, .show = lockdep_show, .unbounded = true},
    attribute{.name = "lockdep_chains",
              .mode = 0400,
              .show = lockdep_chains_show,
              .unbounded = true},
    attribute{.name = "lockdep_stats",
              .mode = 0444,
              .show = lockdep_stats_show,
              .unbounded = true},
    attribute{.name = "lock_stat",
              .mode = 0600,
              .show = lock_stat_show,
              .store = lock_stat_store,
              .unbounded = true},
    attribute{.name = "kmsg", .mode = 0400, .show = kmsg_show, .unbounded = true},
    attribute{.name = "iomem", .mode = 0444, .show = iomem_show, .unbounded = true},
};

constexpr std::array sysctl_attrs = {
    attribute{.name = "lock_stat",
              .mode = 0644,
              .show = lock_stat_enabled_show,
              .store = lock_stat_enabled_store},
    attribute{.name = "hung_task_timeout_secs",
              .mode = 0644,
              .show = hung_task_timeout_show,
              .store = hung_task_timeout_store},
    attribute{.name = "hung_task_warnings",
              .mode = 0644,
              .show = hung_task_warnings_show,
              .store = hung_task_warnings_store},
};

}  // namespace

proc_files::proc_files(kernel& kern) : k{kern} {
  k.sysfs.hide_sizes(*k.sysfs.make_path("proc"));
  for (const std::string_view top : {"proc", "kernel/debug/memhp/proc"}) {
    const kernfs_ref dir = k.sysfs.make_path(top);
    for (const attribute& attr : proc_attrs) (void)k.sysfs.create_file(*dir, attr, *this);
    const kernfs_ref sys = k.sysfs.make_path(std::string{top} + "/sys/kernel");
    for (const attribute& attr : sysctl_attrs)
      (void)k.sysfs.create_file(*sys, attr, *this);
  }
}

}  // namespace memhp
