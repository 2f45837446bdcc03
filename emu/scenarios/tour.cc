#include "emu/scenarios/tour.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <memory>
#include <string_view>
#include <utility>

#include "emu/machine.h"
#include "emu/scenarios/listening.h"

namespace memhp {
namespace {

// Writes to files of one machine until a write fails. After each, the work that it queued
// is done.
class visitor {
 public:
  explicit visitor(machine& m) : m_{m} {}

  void write(const std::string& path, std::string_view text) {
    if (!failure_.empty()) return;
    const auto done = m_.write(path, text);
    if (!done)
      failure_ =
          fmt::format("write of {} to {}: errno {}", text, path, int(done.error()));
    m_.flush_workqueues();
  }
  std::string read(const std::string& path) {
    auto text = m_.read(path);
    if (!text && failure_.empty())
      failure_ = fmt::format("read of {}: errno {}", path, int(text.error()));
    return text.value_or("");
  }
  void debug(std::string_view file, std::string_view text) {
    write(fmt::format("kernel/debug/memhp/{}", file), text);
  }
  void block(int id, std::string_view file, std::string_view text) {
    write(fmt::format("devices/system/memory/memory{}/{}", id, file), text);
  }
  // Empty, or what failed.
  const std::string& failure() const { return failure_; }

 private:
  machine& m_;
  std::string failure_;
};

void visit_cpus(visitor& v) {
  v.write("devices/system/cpu/cpu1/online", "0");
  v.write("devices/system/cpu/cpu1/online", "1");
}

void visit_slab(visitor& v) {
  v.debug("kmem_cache_create", "box size=256");
  v.debug("kmem_cache_memcg", "box 1");
  v.debug("kmem_cache_alloc", "box 8");
  v.write("kernel/slab/box/min_partial", "7");
  v.write("kernel/slab/box/shrink", "1");
  v.debug("kmem_cache_free", "box 8");
  v.debug("kmem_cache_destroy", "box");
  v.debug("kmem_cache_create", "checked size=256 debug=U");
  v.debug("kmem_cache_destroy", "checked");
  v.debug("torture_onoff", "1");
  v.debug("torture_stats", "1");
}

void visit_blocks(visitor& v, int id) {
  v.block(id, "state", "online");
  v.read(fmt::format("devices/system/memory/memory{}/valid_zones", id));
  v.block(id, "state", "offline");
  v.block(id, "online", "1");
  v.block(id, "online", "0");
}

void visit_probe(visitor& v) {
  const std::string auto_online = "devices/system/memory/auto_online_blocks";
  v.write(auto_online, "online");
  v.write("devices/system/memory/probe", "0x180000000");
  v.write(auto_online, "offline");
  v.block(48, "state", "offline");
  v.debug("remove_block", "48");
}

void visit_dax(visitor& v) {
  const std::string drivers = "bus/dax/drivers/";
  v.write(drivers + "device_dax/unbind", "dax0.0");
  v.write(drivers + "kmem/new_id", "dax0.0");
  visit_blocks(v, 34);
  v.write(drivers + "kmem/unbind", "dax0.0");
}

// What every PC has: a DIMM at blocks 32 and 33, a dax device at 34 and 35.
void visit_pc(visitor& v) {
  visit_cpus(v);
  visit_slab(v);
  visit_blocks(v, 32);
  visit_probe(v);
  visit_dax(v);
  v.read("devices/system/node/node0/meminfo");
  v.write("devices/LNXSYSTM:00/LNXSYBUS:00/PNP0A06:04/PNP0C80:00/eject", "1");
  v.write("kernel/debug/powerpc/memtrace/enable", "128M");
  v.write("kernel/debug/powerpc/memtrace/enable", "0");
  visit_cpus(v);
}

void visit_hyperv(visitor& v) {
  v.debug("hv_balloon", "hot_add 0x180000000 32768");
  visit_blocks(v, 48);
  v.debug("remove_block", "48");
}

void visit_xen(visitor& v) {
  const std::string target = "devices/system/xen_memory/xen_memory0/target_kb";
  const std::string now = v.read(target);
  std::uint64_t kb = 0;
  std::from_chars(now.data(), now.data() + now.size(), kb);
  v.write(target, std::to_string(kb + 128 * MiB / KiB));
  v.block(36, "state", "online");
  v.block(36, "state", "offline");
  v.debug("remove_block", "36");
}

void visit_pseries(visitor& v) {
  v.write("kernel/dlpar", "memory add index 0x80000024");
  v.block(36, "state", "offline");
  v.write("kernel/dlpar", "memory remove index 0x80000024");
}

struct stop_of_tour {
  platform_kind platform;
  void (*visit)(visitor& v);
};
constexpr std::array stops = {stop_of_tour{platform_kind::pc, visit_pc},
                              stop_of_tour{platform_kind::hyperv, visit_hyperv},
                              stop_of_tour{platform_kind::xen, visit_xen},
                              stop_of_tour{platform_kind::pseries, visit_pseries}};

machine_config config_of(const stop_of_tour& stop, const lock_rules& rules,
                         bool validate_dev_mutex) {
  return {.nodes = 2,
          .memory = 512 * MiB,
          .dimms = {{.size = 256 * MiB}},
          .dax = {{.size = 256 * MiB, .node = 1}},
          .cpus = 4,
          .platform = stop.platform,
          .validate_dev_mutex = validate_dev_mutex,
          .rules = rules};
}

}  // namespace

std::expected<tour_findings, std::string> tour_machines(const lock_rules& rules,
                                                        bool validate_dev_mutex) {
  tour_findings found;
  listening validator{found.reports};
  for (const stop_of_tour& stop : stops) {
    auto booted = machine::boot(config_of(stop, rules, validate_dev_mutex));
    if (!booted) return std::unexpected{booted.error()};
    visitor v{**booted};
    stop.visit(v);
    if (!v.failure().empty()) return std::unexpected{v.failure()};
  }
  validator.stop();
  found.learned = lockdep::orders();
  return found;
}

}  // namespace memhp
