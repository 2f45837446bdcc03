#include "fuse/host_acpi_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "fuse/composed_sys.h"

namespace memhp {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view list_dir = "bus/acpi/devices";
constexpr std::string_view to_sys = "../../../";  // from there
constexpr std::string_view acpi_dir = "devices/LNXSYSTM:00";
constexpr std::string_view dimm_prefix = "PNP0C80:";

bool in_a_part(std::string_view device) {
  return std::ranges::any_of(machine_parts, [device](std::string_view part) {
    return device.starts_with(part) && device.substr(part.size()).starts_with('/');
  });
}

}  // namespace

void link_host_acpi_devices(kernfs_root& tree, const std::string& sys) {
  const kernfs_ref list = tree.make_path(list_dir);
  std::error_code error;  // of a host without ACPI, which has nothing to list
  for (fs::directory_iterator at{fmt::format("{}/{}", sys, list_dir), error};
       !error && at != fs::directory_iterator{}; at.increment(error)) {
    const std::string name = at->path().filename();
    // Also a DIMM that is not in one of our slots: the number may be needed.
    if (name.starts_with(dimm_prefix)) continue;
    std::error_code no_link;
    std::string device = fs::read_symlink(at->path(), no_link);
    if (!device.starts_with(to_sys)) continue;
    device.erase(0, to_sys.size());
    if (!device.starts_with(acpi_dir) || in_a_part(device)) continue;
    // A directory stands in for the device, so that the link reads as the host's. It is
    // in no part: whoever follows the link meets the device itself.
    (void)tree.create_link(*list, name, *tree.make_path(device));
  }
}

}  // namespace memhp
