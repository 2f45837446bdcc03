// A whole machine: CPUs, nodes, memory, DIMM slots, the locks of one kernel era, and
// the tree that shows them. The composition root of emu/.
//
// Thread safety: construct and destroy on one thread while no other uses it; every
// other function may be called by any thread.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "blocks/phys_memory.h"
#include "blocks/result.h"
#include "blocks/units.h"
#include "emu/kernfs.h"
#include "emu/lock_rules.h"
#include "emu/machine_stats.h"

namespace memhp {

struct kernel;  // emu/kernel.h

// A memory module plugged into node `node`.
struct dimm_spec {
  std::uint64_t size = 0;  // bytes
  int node = 0;
};

// Whose guest the machine is, beyond what every PC has: which way of adding memory it has
// besides DIMMs.
enum class platform_kind : std::uint8_t {
  pc,
  hyperv,   // emu/hv_balloon.h
  xen,      // emu/xen_balloon.h
  pseries,  // emu/dlpar.h
};
// "none" for a PC, and the other names; nullopt for anything else.
std::optional<platform_kind> platform_from(std::string_view word);

struct machine_config {
  int nodes = 1;           // nodes with boot memory
  int possible_nodes = 0;  // nodes that memory may be plugged into; 0: no more than
                           // `nodes` and `dimms` name
  std::uint64_t memory = 1 * GiB;  // boot memory of each node, bytes
  std::uint64_t movablecore = 0;   // boot memory that goes to zone Movable, bytes
  std::vector<dimm_spec> dimms;    // plugged at start
  std::vector<dimm_spec> dax;      // dax devices, bound to device_dax; after the DIMMs
  std::uint64_t block_size = 128 * MiB;
  std::uint64_t max_memory = 1 * TiB;  // size of the physical address space, bytes
  // CPU numbers of each node. Empty: `cpus` CPUs dealt out to the nodes in turn.
  std::vector<std::vector<unsigned>> node_cpus;
  unsigned cpus = 2;
  // Row by row; empty: 10 on the diagonal, 20 elsewhere.
  std::vector<std::vector<int>> distances;
  // Boot blocks (by number) that hold unmovable kernel pages: offlining them is EBUSY,
  // as on a machine that has been running for a while.
  std::vector<std::uint64_t> kernel_blocks;
  std::string auto_online = "offline";
  std::string online_policy = "contig-zones";
  bool movable_node = false;      // fresh memory goes to zone Movable by default
  bool memmap_on_memory = false;  // a block of its own holds its memmap
  bool probe = true;              // memory/probe exists, as with CONFIG_ARCH_MEMORY_PROBE
  platform_kind platform = platform_kind::pc;
  // Lets the validator check dev->mutex as it does other locks. Kernels do not.
  bool validate_dev_mutex = false;
  lock_rules rules = patched;
};

// Checks a configuration. The error is one line that says what to write instead.
std::expected<void, std::string> validate(const machine_config& config);

// What the machine needs from the world outside the kernel model. Everything has a
// default that works alone, without threads, clocks and memory.
struct machine_environment {
  phys_memory* memory = nullptr;   // null: no_memory
  machine_stats* stats = nullptr;  // null: a private one
  // Runs work of the kernel's workqueues, now or later, on any thread. Null: work
  // waits in the machine until flush_workqueues().
  std::function<void(std::function<void()>)> run_work;
  // Runs a function after so many milliseconds, as a timer would, with no lock held; it
  // may be forgotten when the machine ends. Null: never.
  std::function<void(unsigned ms, std::function<void()>)> after;
  // Returns after so many milliseconds, for injected delays. Null: there are none.
  std::function<void(unsigned ms)> pause;
  kernfs_root::clock_fn now = nullptr;
  // Told every uevent: "add@/devices/..." and its KEY=value lines, newline separated.
  std::function<void(const std::string&)> uevent;
  // Told every line that the kernel would print to its log.
  std::function<void(const std::string&)> printk;
};

class machine {
 public:
  // Boots: memory0... of every node online, then the DIMMs plugged in order. The
  // configuration must be valid. not_enough_memory if the host cannot back it.
  static std::expected<std::unique_ptr<machine>, std::string> boot(
      machine_config config, machine_environment environment = {});
  ~machine();
  machine(const machine&) = delete;
  machine& operator=(const machine&) = delete;

  // The tree; its top is /sys.
  kernfs_root& sysfs();
  const machine_config& config() const;
  machine_stats& stats();

  // open + write + close of a file, e.g. write("devices/system/memory/memory8/state",
  // "online"). A write that the kernel would restart is repeated at once.
  result<std::size_t> write(std::string_view path, std::string_view text);
  result<std::size_t> write(std::string_view path, std::string_view text, task& by);
  // open + read + close.
  result<std::string> read(std::string_view path);
  result<std::string> read(std::string_view path, task& by);

  // Runs queued work until none is left.
  void flush_workqueues();

  // The kernel model itself, for emu/ and for tests.
  struct kernel& kernel() { return *kernel_; }

 private:
  explicit machine(machine_config config, machine_environment environment);
  std::unique_ptr<struct kernel> kernel_;
};

}  // namespace memhp
