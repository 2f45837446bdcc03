// The host's ACPI devices in the machine's list of them.
//
// bus/acpi/devices has to list the devices of both, and every DIMM when it is plugged. So
// it is a part of the machine's tree, to which links like the host's are added.
//
// Thread safety: none; one thread, before the tree is served.
#pragma once

#include <string>

#include "emu/kernfs.h"

namespace memhp {

// Repeats the links of the host's bus/acpi/devices in `tree`, but those to devices which
// the machine replaces. They lead nowhere until bus/acpi/devices lies in the host's /sys.
// Devices that the host gets later are missed.
void link_host_acpi_devices(kernfs_root& tree, const std::string& sys = "/sys");

}  // namespace memhp
