// devices/system/cpu: the machine's CPUs. All but CPU 0 can go offline.
//
// Mirrors drivers/base/cpu.c and topology.c (6.1).
#pragma once

#include <memory>
#include <vector>

#include "emu/device.h"
#include "emu/kernel.h"

namespace memhp {

class node_device;

class cpu_device final : public device {
 public:
  cpu_device(kernel& k, const bus_type& bus, unsigned number, int nid);
  const unsigned number;
  const int nid;

  // As on x86, CPU 0 stays, and has no `online`.
  bool supports_offline() const override { return number != 0; }
  result<> bus_online(task& by) override REQUIRES(lock);
  result<> bus_offline(task& by) override REQUIRES(lock);
};

class cpu_subsystem final : public device {
 public:
  explicit cpu_subsystem(kernel& k);
  ~cpu_subsystem() override;

  // How many CPUs there are, which is also the highest number + 1.
  unsigned count() const { return static_cast<unsigned>(devices.size()); }

  const bus_type cpu_bus;
  std::vector<std::unique_ptr<cpu_device>> devices;  // by number

 private:
  // cpuN/topology is there while the CPU is online.
  const cpuhp_step topology_;
};

// The links cpuN/nodeM and nodeM/cpuN of a node that has just got its directory.
void link_cpus_to_node(kernel& k, node_device& node);

}  // namespace memhp
