// The least that any FUSE server must do: the floor under the figures of tree_bench.
//
// One directory with one file of a few bytes, answered by a loop around read(2) and
// write(2) of /dev/fuse: no libfuse, no tree, no locks. What memhp takes beyond this is
// memhp's own; what this takes beyond sysfs is the price of a file system in user space
// on this host.
#pragma once

namespace memhp {

// The file's name in the top directory. Whatever is written to it is accepted.
inline constexpr const char* floor_file = "state";

// Serves the mount of `device` until it is unmounted; closes `ready` when the kernel has
// been answered for the first time. Returns an exit status.
int serve_floor(int device, int ready);

}  // namespace memhp
