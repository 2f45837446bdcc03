#include "cli/machine_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <utility>

#include "cli/option_values.h"
#include "cli/unknown_names.h"
#include "emu/eras.h"

namespace memhp {
namespace {

// Puts options into one group of the help text.
class option_group {
 public:
  explicit option_group(CLI::App& app) : app_{app} {}

  // What holds if nothing is said stands in brackets.
  void text(const char* name, std::string& value, const std::string& what,
            const char* kind) {
    app_.add_option(name, value,
                    value.empty() ? what : fmt::format("{} [{}]", what, value))
        ->group("Machine")
        ->type_name(kind)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
  void list(const char* name, std::vector<std::string>& values, const char* what) {
    app_.add_option(name, values, what)
        ->group("Machine")
        ->type_name("SIZE@NODE")
        ->allow_extra_args(false);
  }
  void flag(const char* name, bool& value, const char* what) {
    app_.add_flag(name, value, what)->group("Machine");
  }

 private:
  CLI::App& app_;
};

}  // namespace

// Each member reads one text. After an error the rest is read for nothing: the first
// one is what people get to see.
struct machine_options::reader {
  std::string error;

  template <class T>
  T take(std::string_view option, std::expected<T, std::string> value) {
    if (value) return std::move(*value);
    if (error.empty()) error = fmt::format("{} {}", option, value.error());
    return T{};
  }

  std::uint64_t size(std::string_view option, const std::string& text) {
    return take(option, parse_size(text));
  }

  int number(std::string_view option, const std::string& text, std::uint64_t least,
             std::uint64_t most) {
    return static_cast<int>(take(option, parse_number(text, least, most)));
  }

  // SIZE@NODE of `option`.
  dimm_spec dimm(const std::string& option, const std::string& text) {
    const std::size_t at = text.find('@');
    if (at == std::string::npos) {
      if (error.empty())
        error = fmt::format("{} '{}': write SIZE@NODE, such as 512M@1", option, text);
      return {};
    }
    const std::string size_text = text.substr(0, at);
    const std::string node_text = text.substr(at + 1);
    return {.size = size(option, size_text),
            .node = number(option + " node", node_text, 0, max_nodes - 1)};
  }

  const lock_rules* era(const std::string& name) {
    const lock_rules* rules = find_era(name);
    if (rules == nullptr && error.empty()) error = unknown_era(name);
    return rules;
  }

  backing_kind backing(const std::string& name) {
    const auto kind = parse_backing(name);
    if (!kind && error.empty())
      error = fmt::format("--backing '{}': write auto, hugetlb, thp or small", name);
    return kind.value_or(backing_kind::automatic);
  }

  commit_mode commit(const std::string& name) {
    if (name != "online" && name != "touch" && error.empty())
      error = fmt::format("--commit '{}': write online or touch", name);
    return name == "touch" ? commit_mode::touch : commit_mode::online;
  }

  platform_kind platform(const std::string& name) {
    const auto kind = platform_from(name);
    if (!kind && error.empty())
      error = fmt::format("--platform '{}': write none, hyperv, xen or pseries", name);
    return kind.value_or(platform_kind::pc);
  }

  bool on_or_off(std::string_view option, const std::string& text) {
    if (text != "on" && text != "off" && error.empty())
      error = fmt::format("{} '{}': write on or off", option, text);
    return text == "on";
  }
};

// Tests want it without saying so to every machine.
std::string machine_options::default_lockdep() {
  const char* wanted = std::getenv("MEMHP_LOCKDEP");
  return wanted != nullptr && *wanted != '\0' ? wanted : "off";
}

void machine_options::add_to(CLI::App& app) {
  add_hardware_to(app);
  add_kernel_to(app);
}

void machine_options::add_hardware_to(CLI::App& app) {
  option_group machine{app};
  machine.text("--nodes", nodes_, "NUMA nodes with boot memory", "N");
  machine.text("--memory", memory_, "boot memory of each node", "SIZE");
  machine.text("--movablecore", movablecore_, "boot memory that goes to zone Movable",
               "SIZE");
  machine.list("--dimm", dimms_,
               "a memory module, plugged at start, one behind the other (repeatable)");
  machine.list("--dax", dax_,
               "a dax device, which kmem makes system RAM of that node (repeatable)");
  machine.text("--block-size", block_size_, "size of a memory block", "SIZE");
  machine.text("--max-memory", max_memory_, "size of the physical address space", "SIZE");
  machine.text("--possible-nodes", possible_nodes_,
               "nodes that memory may be plugged into; 0: those named above", "N");
  machine.text("--cpus", cpus_, "CPUs, dealt out to the nodes in turn", "N");
  machine.text("--node-cpus", node_cpus_,
               "CPUs of each node: '0-1;2-3;' leaves the third none", "LISTS");
  machine.text("--distances", distances_, "row by row: '10,20;20,10'", "ROWS");
  machine.text("--kernel-blocks", kernel_blocks_,
               "boot blocks that hold unmovable pages and stay online: '0,3-5'", "LIST");
}

void machine_options::add_kernel_to(CLI::App& app) {
  option_group machine{app};
  machine.text(
      "--auto-online", auto_online_,
      "what becomes of new blocks: offline, online, online_kernel, online_movable",
      "MODE");
  machine.text("--online-policy", online_policy_,
               "zone of a new block: contig-zones, "
               "auto-movable",
               "POLICY");
  machine.flag("--movable-node", movable_node_,
               "boot with movable_node: hot-plugged memory is Movable");
  machine.flag("--memmap-on-memory", memmap_on_memory_,
               "a DIMM of one block holds its own memmap");
  machine.flag("--no-probe", no_probe_,
               "no memory/probe, as in kernels without ARCH_MEMORY_PROBE");
  machine.text(
      "--platform", platform_,
      "whose guest it is, and so how else memory is added: none, hyperv, xen, pseries",
      "KIND");
  machine.text("--backing", backing_, "pages of the memory: auto, hugetlb, thp, small",
               "KIND");
  machine.text("--commit", commit_,
               "take them from the host when onlining or at first touch: "
               "online, touch",
               "WHEN");
  machine.text("--era", era_, "whose locking the kernel has; memhp eras lists them",
               "ERA");
  machine.text("--lockdep", lockdep_,
               "validate the order of the machine's locks; reports go to the log and to "
               "proc/kmsg; $MEMHP_LOCKDEP sets the default: on, off",
               "MODE");
  machine.flag("--validate-dev-mutex", validate_dev_mutex_,
               "with --lockdep on: also the order of the devices' locks, which kernels "
               "leave out");
  machine.text(
      "--lock-stat", lock_stat_,
      "count waits and holds of the machine's locks from the start, for memhp stat "
      "--locks and proc/lock_stat; proc/sys/kernel/lock_stat switches it later: on, off",
      "MODE");
  machine.text(
      "--hung-task-timeout", hung_task_timeout_,
      "report who waits inside the machine for longer, with its stack and all held "
      "locks; 0: nobody; proc/sys/kernel/hung_task_timeout_secs changes it later",
      "SECONDS");
  machine.text(
      "--config", config_,
      "a JSON object with any of these options, such as {\"nodes\": 2, \"dimm\": "
      "[\"512M@1\"]}; the command line wins",
      "FILE");
}

std::expected<machine_setup, std::string> machine_options::setup() const {
  reader read;
  machine_setup made;
  machine_config& config = made.config;
  config.nodes = read.number("--nodes", nodes_, 1, max_nodes);
  config.memory = read.size("--memory", memory_);
  config.movablecore = read.size("--movablecore", movablecore_);
  for (const std::string& text : dimms_)
    config.dimms.push_back(read.dimm("--dimm", text));
  for (const std::string& text : dax_) config.dax.push_back(read.dimm("--dax", text));
  config.block_size = read.size("--block-size", block_size_);
  config.max_memory = read.size("--max-memory", max_memory_);
  config.possible_nodes = read.number("--possible-nodes", possible_nodes_, 0, max_nodes);
  constexpr std::uint64_t max_cpus = 8192;  // CONFIG_NR_CPUS
  config.cpus = static_cast<unsigned>(read.number("--cpus", cpus_, 1, max_cpus));
  if (!node_cpus_.empty())
    config.node_cpus = read.take("--node-cpus", parse_node_cpus(node_cpus_));
  if (!distances_.empty())
    config.distances = read.take("--distances", parse_distances(distances_));
  config.kernel_blocks = read.take("--kernel-blocks", parse_list(kernel_blocks_));
  config.auto_online = auto_online_;
  config.online_policy = online_policy_;
  config.movable_node = movable_node_;
  config.memmap_on_memory = memmap_on_memory_;
  config.probe = !no_probe_;
  config.validate_dev_mutex = validate_dev_mutex_;
  config.platform = read.platform(platform_);
  made.backing = read.backing(backing_);
  made.commit = read.commit(commit_);
  made.lockdep = read.on_or_off("--lockdep", lockdep_);
  made.lock_stat = read.on_or_off("--lock-stat", lock_stat_);
  made.hung_task_timeout_s = read.number("--hung-task-timeout", hung_task_timeout_, 0,
                                         std::numeric_limits<int>::max());
  if (const lock_rules* rules = read.era(era_)) config.rules = *rules;

  if (!read.error.empty()) return std::unexpected{read.error};
  if (auto valid = validate(config); !valid) return std::unexpected{valid.error()};
  return made;
}

}  // namespace memhp
