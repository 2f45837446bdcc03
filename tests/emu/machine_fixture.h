// What the tests of the kernel model share: a machine without memory under short names,
// its uevents, and tasks that are stopped in the middle.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <latch>
#include <string>
#include <vector>

#include "emu/acpi_memhotplug.h"
#include "emu/kernel.h"
#include "emu/machine.h"
#include "emu/memory_device.h"
#include "emu/memory_hotplug.h"
#include "emu/node_device.h"
#include "locks/guards.h"
#include "tests/locks/eventually.h"

namespace memhp {

inline constexpr std::uint64_t block_size = 128 * MiB;
inline constexpr std::uint64_t block_pages = block_size / page_size;
inline constexpr std::uint64_t first_hotplug_block = 4 * GiB / block_size;  // 32
inline constexpr std::string_view memory_dir = "devices/system/memory";
inline constexpr std::string_view node_dir = "devices/system/node";
inline constexpr std::string_view slots_dir =
    "devices/LNXSYSTM:00/LNXSYBUS:00/PNP0A06:04";

// As the recorded machine: blocks 0 to 3 on node 0, 4 to 7 on node 1, node 2 empty.
inline machine_config two_nodes() {
  return {.nodes = 2, .possible_nodes = 3, .memory = 512 * MiB};
}
// The same with a DIMM of `blocks` blocks, from block 32 on, in node 2.
inline machine_config with_dimm(std::uint64_t blocks) {
  machine_config config = two_nodes();
  config.dimms = {{.size = blocks * block_size, .node = 2}};
  return config;
}

template <class T>
int error_of(const result<T>& r) {
  return r ? 0 : static_cast<int>(r.error());
}

// A booted machine. Errors are errno values, 0 is success.
class test_machine {
 public:
  explicit test_machine(machine_config config = two_nodes(),
                        phys_memory* memory = nullptr) {
    machine_environment environment{.memory = memory};
    environment.uevent = [this](const std::string& text) {
      uevents.push_back(text.substr(0, text.find('\n')));
      if (on_uevent) on_uevent(uevents.back());
    };
    environment.printk = [this](const std::string& line) { log.push_back(line); };
    auto booted = machine::boot(std::move(config), environment);
    if (!booted) throw std::runtime_error{booted.error()};
    machine_ = std::move(*booted);
  }

  // "ACTION@DEVPATH" of every uevent, under the sender's lock; and what was logged.
  std::vector<std::string> uevents;
  std::function<void(const std::string&)> on_uevent;
  std::vector<std::string> log;
  std::vector<std::string> new_uevents() { return std::exchange(uevents, {}); }

  machine& operator*() { return *machine_; }
  machine* operator->() { return machine_.get(); }
  kernel& k() { return machine_->kernel(); }

  int write(const std::string& path, std::string_view text) {
    return error_of(machine_->write(path, text));
  }
  // Contents without the last newline, or "errno N".
  std::string read(const std::string& path) {
    auto text = machine_->read(path);
    if (!text) return fmt::format("errno {}", static_cast<int>(text.error()));
    if (text->ends_with('\n')) text->pop_back();
    return *text;
  }
  bool exists(const std::string& path) {
    return machine_->sysfs().find(path).has_value();
  }

  static std::string block(std::uint64_t id, std::string_view file) {
    return fmt::format("{}/memory{}/{}", memory_dir, id, file);
  }
  int set(std::uint64_t id, std::string_view text) {
    return write(block(id, "state"), text);
  }
  std::string state(std::uint64_t id) { return read(block(id, "state")); }
  std::string zones(std::uint64_t id) { return read(block(id, "valid_zones")); }
  std::string memory(std::string_view file) {
    return read(fmt::format("{}/{}", memory_dir, file));
  }
  int probe(std::uint64_t id) {
    return write(fmt::format("{}/probe", memory_dir),
                 fmt::format("{:#x}", id * block_size));
  }
  int debug(std::string_view file, std::string_view text) {
    return write(fmt::format("kernel/debug/memhp/{}", file), text);
  }
  int pin(std::uint64_t id) {
    return debug("page_pin", fmt::format("{:#x}", id * block_size));
  }
  int unpin(std::uint64_t id) {
    return debug("page_unpin", fmt::format("{:#x}", id * block_size));
  }
  int reserve(std::uint64_t id) {
    return debug("page_reserve", fmt::format("{:#x}", id * block_size));
  }
  int inject(std::string_view event, int error) {
    return write(
        fmt::format("kernel/debug/notifier-error-inject/memory/actions/{}/error", event),
        std::to_string(-error));
  }
  // Asks for the eject and lets the hot-plug worker do it.
  int eject(int slot) {
    const int asked = write(fmt::format("{}/PNP0C80:{:02x}/eject", slots_dir, slot), "1");
    machine_->flush_workqueues();
    return asked;
  }
  std::string node(int nid, std::string_view file) {
    return read(fmt::format("{}/node{}/{}", node_dir, nid, file));
  }
  std::string nodes(std::string_view file) {
    return read(fmt::format("{}/{}", node_dir, file));
  }
  zone& zone_of(int nid, zone_type type) {
    return k().nodes[static_cast<std::size_t>(nid)]->of(type);
  }
  // The device of a block that is there.
  memory_block_device& device_of(std::uint64_t id) {
    read_guard hold{k().memory_blocks_lock};
    return *k().memory_blocks.at({id});
  }
  phys_range range_of(std::uint64_t id, std::uint64_t blocks = 1) const {
    return {{id * block_size}, blocks * block_size};
  }
  std::uint64_t mem_total_kib(int nid) {
    const std::string text = node(nid, "meminfo");
    const std::string key = "MemTotal:";
    return std::stoull(text.substr(text.find(key) + key.size()));
  }
  // Children of a directory whose names begin so, in order.
  std::vector<std::string> children(std::string_view path, std::string_view prefix = "") {
    std::vector<std::string> names;
    auto dir = machine_->sysfs().find(path);
    if (!dir) return names;
    machine_->sysfs().for_each_child(**dir, 0, [&](kernfs_node& child) {
      if (child.name().starts_with(prefix)) names.emplace_back(child.name());
      return true;
    });
    return names;
  }

 private:
  std::unique_ptr<machine> machine_;
};

// An offline of a block that waits, in going-offline, for a pinned page.
class parked_offline {
 public:
  parked_offline(test_machine& m, std::uint64_t id) : m_{m}, id_{id} {
    EXPECT_EQ(m.pin(id), 0);
    answer_ = std::async(std::launch::async, [this] {
      return error_of(m_->write(test_machine::block(id_, "state"), "offline", by_));
    });
    EXPECT_TRUE(eventually([&] { return m_.state(id_) == "going-offline"; }));
  }
  ~parked_offline() {
    if (answer_.valid()) signal();
  }
  // How the write ends after a signal, and after its page is free.
  int signal() {
    by_.signal();
    return answer_.get();
  }
  int unpin() {
    EXPECT_EQ(m_.unpin(id_), 0);
    return answer_.get();
  }

 private:
  test_machine& m_;
  const std::uint64_t id_;
  task by_;
  std::future<int> answer_;
};

// An attribute whose show stops until it is let go on.
class stopped_file final : public kobject {
 public:
  std::latch entered{1};
  std::latch go_on{1};
  std::function<std::string()> finish = [] { return "shown\n"; };

  static result<std::string> show(kobject& object, task&) {
    auto& self = static_cast<stopped_file&>(object);
    self.entered.count_down();
    self.go_on.wait();
    return self.finish();
  }
};
inline constexpr attribute stopped_attr{
    .name = "stopped", .mode = 0444, .show = stopped_file::show, .show_sleeps = true};

}  // namespace memhp
