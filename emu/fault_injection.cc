#include "emu/fault_injection.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>

#include "emu/kernel.h"
#include "emu/parse.h"
#include "emu/task.h"

namespace memhp {
namespace {

constexpr std::int64_t percent = 100;
constexpr std::int64_t longest_delay_ms = 10'000;
constexpr std::int64_t largest = std::numeric_limits<int>::max();
constexpr std::int64_t max_errno = 4095;

// The finalizer of splitmix64: a number that depends on how many were drawn alone, so
// that a machine that does the same has the same faults.
std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

using fault_field = std::atomic<std::int64_t> fault_attr::*;

template <fault_field Field>
result<std::string> show(kobject& object, task&) {
  return fmt::format("{}\n", (static_cast<fault_attr&>(object).*Field).load());
}

template <fault_field Field, std::int64_t Least, std::int64_t Most>
result<std::size_t> store(kobject& object, std::string_view data, task&) {
  const auto value = kstrtoll(data);
  if (!value) return fail(value.error());
  if (*value < Least || *value > Most) return fail(errc::invalid_argument);
  (static_cast<fault_attr&>(object).*Field).store(*value);
  return data.size();
}

template <fault_field Field, std::int64_t Least, std::int64_t Most>
constexpr attribute file(std::string_view name) {
  return {.name = name,
          .mode = 0644,
          .show = show<Field>,
          .store = store<Field, Least, Most>};
}

constexpr std::array common_attrs = {
    file<&fault_attr::probability, 0, percent>("probability"),
    file<&fault_attr::interval, 1, largest>("interval"),
    file<&fault_attr::times, -1, largest>("times"),
};
constexpr attribute delay_attr =
    file<&fault_attr::delay_ms, 0, longest_delay_ms>("delay_ms");
constexpr attribute error_attr = file<&fault_attr::error, -max_errno, -1>("error");

void add_fault(kernel& k, std::string_view name, fault_attr& fault,
               const attribute* special) {
  const kernfs_ref dir = k.sysfs.make_path(fmt::format("kernel/debug/memhp/{}", name));
  for (const attribute& attr : common_attrs) (void)k.sysfs.create_file(*dir, attr, fault);
  if (special != nullptr) (void)k.sysfs.create_file(*dir, *special, fault);
}

// In slices, so that a signal ends it soon.
void wait_for(const kernel& k, fault_attr& fault, const task* by) {
  constexpr unsigned slice_ms = 10;
  if (!k.pause || !fault.should_fail()) return;
  auto left = static_cast<unsigned>(fault.delay_ms.load());
  while (left != 0 && (by == nullptr || !by->signal_pending())) {
    const unsigned now = std::min(left, slice_ms);
    k.pause(now);
    left -= now;
  }
}

}  // namespace

bool fault_attr::draw() {
  const std::int64_t every = interval.load(std::memory_order_relaxed);
  if (every > 1 && (chances_.fetch_add(1, std::memory_order_relaxed) + 1) %
                           static_cast<std::uint64_t>(every) !=
                       0)
    return false;
  constexpr std::uint64_t golden = 0x9e3779b97f4a7c15;
  const std::uint64_t number =
      mixed(golden * (drawn_.fetch_add(1, std::memory_order_relaxed) + 1));
  if (static_cast<std::int64_t>(number % percent) >= probability.load()) return false;
  std::int64_t left = times.load();
  while (left > 0 && !times.compare_exchange_weak(left, left - 1)) {
  }
  return left != 0;
}

result<> fault_points::before_populate(const kernel& k) {
  wait_for(k, slow_populate, nullptr);
  if (fail_populate.should_fail()) return fail(errc::not_enough_memory);
  return {};
}

void fault_points::before_migrate(const kernel& k, const task& by) {
  wait_for(k, slow_migrate, &by);
}

fault_files::fault_files(kernel& k)
    : k_{k},
      notifier_{.name = "memhp-fault-injection",
                .priority = 0,
                .call = [&k](memory_event event, const memory_notify&) -> result<> {
                  fault_attr& fault = k.faults.fail_notifier;
                  if ((event == memory_event::going_online ||
                       event == memory_event::going_offline) &&
                      fault.should_fail())
                    return fail(static_cast<errc>(-fault.error.load()));
                  return {};
                }} {
  add_fault(k, "fail_populate", k.faults.fail_populate, nullptr);
  add_fault(k, "fail_notifier", k.faults.fail_notifier, &error_attr);
  add_fault(k, "slow_populate", k.faults.slow_populate, &delay_attr);
  add_fault(k, "slow_migrate", k.faults.slow_migrate, &delay_attr);
  k.memory_chain.add(notifier_);
}

fault_files::~fault_files() {
  k_.memory_chain.remove(notifier_);
}

}  // namespace memhp
