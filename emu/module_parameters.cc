#include "emu/module_parameters.h"

#include <fmt/format.h>

#include <array>
#include <limits>

#include "emu/parse.h"

namespace memhp {
namespace {

// The files' owner: there is one module.
class memory_hotplug_module final : public kobject {
 public:
  explicit memory_hotplug_module(kernel& k) : k{k} {}
  kernel& k;
};

kernel& kernel_of(kobject& object) {
  return static_cast<memory_hotplug_module&>(object).k;
}

std::string_view to_string(online_policy policy) {
  return policy == online_policy::contig_zones ? "contig-zones" : "auto-movable";
}

result<std::string> online_policy_show(kobject& object, task&) {
  return fmt::format("{}\n", to_string(kernel_of(object).parameters.policy));
}
result<std::size_t> online_policy_store(kobject& object, std::string_view data, task&) {
  const auto policy = online_policy_from(written_word(data));
  if (!policy) return fail(errc::invalid_argument);
  kernel_of(object).parameters.policy = *policy;
  return data.size();
}

result<std::string> ratio_show(kobject& object, task&) {
  return fmt::format("{}\n", kernel_of(object).parameters.auto_movable_ratio.load());
}
result<std::size_t> ratio_store(kobject& object, std::string_view data, task&) {
  const auto ratio = kstrtoull(data);
  if (!ratio) return fail(ratio.error());
  if (*ratio > std::numeric_limits<unsigned>::max())
    return fail(errc::result_out_of_range);
  kernel_of(object).parameters.auto_movable_ratio = static_cast<unsigned>(*ratio);
  return data.size();
}

result<std::string> numa_aware_show(kobject& object, task&) {
  return kernel_of(object).parameters.auto_movable_numa_aware ? "Y\n" : "N\n";
}
result<std::size_t> numa_aware_store(kobject& object, std::string_view data, task&) {
  const auto aware = kstrtobool(data);
  if (!aware) return fail(aware.error());
  kernel_of(object).parameters.auto_movable_numa_aware = *aware;
  return data.size();
}

result<std::string> memmap_on_memory_show(kobject& object, task&) {
  return kernel_of(object).config.memmap_on_memory ? "Y\n" : "N\n";
}

result<std::size_t> uevent_store(kobject&, std::string_view data, task&) {
  const auto event = kobject_synth_uevent(data);
  if (!event) return fail(event.error());
  return data.size();
}

constexpr std::array parameter_attrs = {
    attribute{.name = "auto_movable_numa_aware",
              .mode = 0644,
              .show = numa_aware_show,
              .store = numa_aware_store},
    attribute{.name = "auto_movable_ratio",
              .mode = 0644,
              .show = ratio_show,
              .store = ratio_store},
    attribute{.name = "memmap_on_memory", .mode = 0444, .show = memmap_on_memory_show},
    attribute{.name = "online_policy",
              .mode = 0644,
              .show = online_policy_show,
              .store = online_policy_store},
};
constexpr attribute uevent_attr{.name = "uevent", .mode = 0200, .store = uevent_store};

}  // namespace

std::optional<online_policy> online_policy_from(std::string_view word) {
  for (const auto policy : {online_policy::contig_zones, online_policy::auto_movable})
    if (word == to_string(policy)) return policy;
  return std::nullopt;
}

void add_module_parameters(kernel& k) {
  auto module = std::make_unique<memory_hotplug_module>(k);
  const kernfs_ref dir = k.sysfs.make_path("module/memory_hotplug");
  const kernfs_ref parameters = k.sysfs.make_path("module/memory_hotplug/parameters");
  for (const attribute& attr : parameter_attrs)
    (void)k.sysfs.create_file(*parameters, attr, *module);
  (void)k.sysfs.create_file(*dir, uevent_attr, *module);
  k.module = std::move(module);
}

}  // namespace memhp
