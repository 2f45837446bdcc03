// What machine the figures are from, and on which CPUs the threads of a question run.
//
// Thread safety: values; detect_topology() only reads files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace memhp::bench {

struct cpu_place {
  unsigned cpu;
  unsigned socket;
  unsigned node;
};

struct topology {
  std::vector<cpu_place> cpus;  // that this process may use, ordered by socket, then CPU
  std::string model;            // of the processor
  std::string kernel;
  double load = 0;  // average of the minute before

  unsigned sockets() const;
  unsigned nodes() const;
};

// Reads the tree of sysfs at `sysfs`; another root stands for another machine, but its
// CPUs must exist here. What it does not say counts as socket 0, node 0.
topology detect_topology(const std::filesystem::path& sysfs);

// One line: processor, CPUs by socket and node, kernel, load.
std::string describe(const topology& machine);

// A way to spread threads: thread i runs on cpus[i % cpus.size()].
struct placement {
  std::string name;
  std::vector<unsigned> cpus;
};

// "all": every CPU, socket by socket. On several sockets also "one socket" and "across
// sockets", which takes the sockets in turn: the first two threads do not share one.
std::vector<placement> placements(const topology& machine);

}  // namespace memhp::bench
