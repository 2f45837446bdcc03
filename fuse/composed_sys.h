// Puts the parts of an emulated tree at their places below a real /sys, where every
// program looks for them.
//
// A part whose directory the host has is mounted over it. For one that the host lacks,
// the deepest directory above it is replaced by a small tmpfs that shows everything the
// host has there plus the missing directory: a composed level. Nothing is created
// outside the caller's mount namespace, which must be private.
//
// Thread safety: none; one thread, before others look at /sys.
#pragma once

#include <array>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "blocks/owned_fd.h"

namespace memhp {

// What the machine takes over of /sys.
inline constexpr std::array<std::string_view, 17> machine_parts = {
    "devices/system/memory",
    "devices/system/node",
    "devices/system/cpu",
    // Of the ACPI devices the DIMMs' and the dax devices' alone: links of the host's bus
    // and of its PCI and PNP devices point to the others.
    "devices/LNXSYSTM:00/LNXSYBUS:00/PNP0A06:04",
    "devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00",
    "bus/acpi/devices",  // lists the host's too: fuse/host_acpi_devices.h
    "bus/cpu",
    "bus/memory",
    "bus/node",
    "module/memory_hotplug",
    "kernel/debug/memhp",
    "kernel/debug/notifier-error-inject",
    "kernel/slab",
    "bus/dax",
    "module/device_dax",
    "module/kmem",
    "kernel/debug/powerpc",
};

// What only machines of some platform have.
inline constexpr std::array<std::string_view, 3> platform_parts = {
    "devices/system/xen_memory", "bus/xen_memory", "kernel/dlpar"};

// One part of a mounted tree, held as a mount that is not attached anywhere yet.
struct tree_part {
  std::string path;  // relative to /sys
  owned_fd mount;
};

// Takes `parts` of the tree mounted at `mounted_at`, and those of `if_there` that it has.
// The tree itself may be unmounted
// there afterwards; the parts keep it alive.
std::expected<std::vector<tree_part>, std::string> take_parts(
    const std::string& mounted_at, const std::vector<std::string_view>& parts,
    const std::vector<std::string_view>& if_there = {});

// Mounts every part, a directory or a file, at its path below `sys`, composing levels
// where they are missing. Debugfs, if it is such a level, is its owner's alone. The error
// is one line.
std::expected<void, std::string> place_parts(const std::vector<tree_part>& parts,
                                             const std::string& sys = "/sys");

// Mounts the kernel's debugfs at its usual place if nobody has and the caller may, so
// that programs which ask mount(8) for a debugfs find the one that carries our parts.
void ensure_debugfs(const std::string& sys = "/sys");

}  // namespace memhp
