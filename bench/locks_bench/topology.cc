#include "bench/locks_bench/topology.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>

namespace memhp::bench {
namespace {

unsigned number_in(const std::filesystem::path& file) {
  int value = 0;
  std::ifstream{file} >> value;
  return value < 0 ? 0 : static_cast<unsigned>(value);  // VMs may say -1: not known
}

// "0-3,8" as the CPUs 0, 1, 2, 3 and 8.
std::vector<unsigned> parse_cpu_list(const std::filesystem::path& file) {
  std::vector<unsigned> cpus;
  std::ifstream in{file};
  unsigned first = 0;
  while (in >> first) {
    unsigned last = first;
    if (in.peek() == '-') in.ignore() >> last;
    for (unsigned cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
    in.ignore();  // the comma
  }
  return cpus;
}

unsigned node_of(unsigned cpu, const std::filesystem::path& nodes) {
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator{nodes, none}) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("node") || !std::ranges::all_of(name.substr(4), ::isdigit))
      continue;
    const auto cpus = parse_cpu_list(entry.path() / "cpulist");
    if (std::ranges::find(cpus, cpu) != cpus.end())
      return static_cast<unsigned>(std::stoul(name.substr(4)));
  }
  return 0;
}

std::string processor() {
  std::ifstream in{"/proc/cpuinfo"};
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name") || line.starts_with("CPU part"))
      return line.substr(line.find(':') + 2);
  return "unknown processor";
}

template <class Get>
unsigned count_distinct(const std::vector<cpu_place>& cpus, Get get) {
  std::set<unsigned> seen;
  for (const cpu_place& at : cpus) seen.insert(get(at));
  return static_cast<unsigned>(seen.size());
}

}  // namespace

unsigned topology::sockets() const {
  return count_distinct(cpus, [](const cpu_place& at) { return at.socket; });
}

unsigned topology::nodes() const {
  return count_distinct(cpus, [](const cpu_place& at) { return at.node; });
}

topology detect_topology(const std::filesystem::path& sysfs) {
  topology machine{.cpus = {}, .model = processor(), .kernel = "unknown"};
  utsname system{};
  if (uname(&system) == 0) machine.kernel = system.release;
  getloadavg(&machine.load, 1);
  cpu_set_t mine;
  CPU_ZERO(&mine);
  if (sched_getaffinity(0, sizeof mine, &mine) != 0) CPU_SET(0, &mine);
  const auto system_cpus = sysfs / "devices/system/cpu";
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mine)) continue;
    const auto topo = system_cpus / fmt::format("cpu{}/topology", cpu);
    machine.cpus.push_back({.cpu = cpu,
                            .socket = number_in(topo / "physical_package_id"),
                            .node = node_of(cpu, sysfs / "devices/system/node")});
  }
  std::ranges::stable_sort(machine.cpus, {}, &cpu_place::socket);
  return machine;
}

std::string describe(const topology& machine) {
  std::string text = fmt::format(
      "{}, {} CPUs, {} socket{}, {} node{}, Linux {}, load before {:.1f}", machine.model,
      machine.cpus.size(), machine.sockets(), machine.sockets() == 1 ? "" : "s",
      machine.nodes(), machine.nodes() == 1 ? "" : "s", machine.kernel, machine.load);
  if (machine.sockets() < 2) return text;
  unsigned socket = ~0U;
  for (const cpu_place& at : machine.cpus) {
    if (at.socket != socket) text += fmt::format("; socket {}: CPU", at.socket);
    text += fmt::format(" {}", at.cpu);
    socket = at.socket;
  }
  return text;
}

std::vector<placement> placements(const topology& machine) {
  placement all{.name = "all", .cpus = {}};
  std::vector<std::vector<unsigned>> by_socket;
  unsigned socket = ~0U;
  for (const cpu_place& at : machine.cpus) {
    all.cpus.push_back(at.cpu);
    if (at.socket != socket) by_socket.emplace_back();
    socket = at.socket;
    by_socket.back().push_back(at.cpu);
  }
  std::vector<placement> ways{all};
  if (by_socket.size() < 2) return ways;
  ways.push_back({.name = "one socket", .cpus = by_socket.front()});
  placement across{.name = "across sockets", .cpus = {}};
  for (std::size_t turn = 0; across.cpus.size() < all.cpus.size(); ++turn)
    for (const auto& cpus : by_socket)
      if (turn < cpus.size()) across.cpus.push_back(cpus[turn]);
  ways.push_back(across);
  return ways;
}

}  // namespace memhp::bench
