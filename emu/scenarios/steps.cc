#include "emu/scenarios/steps.h"

#include <fmt/format.h>

#include "emu/cpu_hotplug.h"
#include "emu/kernel.h"

namespace memhp::steps {
namespace {

std::string file_of(unsigned block, std::string_view file) {
  return fmt::format("devices/system/memory/memory{}/{}", block, file);
}

}  // namespace

void write(machine& m, std::string_view path, std::string_view text) {
  (void)m.write(path, text);
}

void online_and_offline(machine& m, unsigned block) {
  write(m, file_of(block, "state"), "online");
  write(m, file_of(block, "state"), "offline");
}

void probe_block_48(machine& m) {
  write(m, "devices/system/memory/probe", "0x180000000");
}

void bring_a_cpu_up(machine& m) {
  (void)remove_cpu(m.kernel(), 1);
  (void)add_cpu(m.kernel(), 1);
}

void give_to_kmem(machine& m, std::string_view dax) {
  write(m, "bus/dax/drivers/device_dax/unbind", dax);
  write(m, "bus/dax/drivers/kmem/new_id", dax);
}

std::string lost_pages(machine& m, std::initializer_list<unsigned> blocks) {
  std::uint64_t pages = 0;
  for (const unsigned block : blocks) {
    const auto online = m.read(file_of(block, "online"));
    if (online && *online == "1\n") pages += m.config().block_size / page_size;
  }
  const auto present = m.kernel().nodes[0]->of(zone_type::normal).pages().present;
  if (present == pages) return {};
  return fmt::format(
      "zone Normal: present_pages is {}, but its online blocks have {} pages", present,
      pages);
}

}  // namespace memhp::steps
