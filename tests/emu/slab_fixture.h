// A machine with four CPUs (0 and 2 in node 0, 1 and 3 in node 1) and short names for
// its slab allocator.
#pragma once

#include "emu/slab.h"
#include "tests/emu/machine_fixture.h"

namespace memhp {

#if defined(__SANITIZE_THREAD__)
inline constexpr unsigned rounds = 300;
#else
inline constexpr unsigned rounds = 3000;
#endif

class slab_machine : public test_machine {
 public:
  explicit slab_machine(machine_config config = two_nodes())
      : test_machine{four_cpus(std::move(config))} {}

  slab_allocator& slab() { return *k().slab; }
  cache_ref create(std::string_view name, const cache_shape& shape) {
    auto made = slab().kmem_cache_create(name, shape);
    EXPECT_TRUE(made) << name;
    return made ? *made : nullptr;
  }
  static phys_addr alloc(const cache_ref& cache, unsigned cpu) {
    const auto object = cache->alloc(cpu);
    EXPECT_TRUE(object);
    return object.value_or(phys_addr{});
  }
  std::uint64_t slab_pages() {
    std::uint64_t pages = 0;
    for (const auto& node : k().nodes)
      pages += node->slab_unreclaimable + node->slab_reclaimable;
    return pages;
  }
  std::string cache_file(std::string_view cache, std::string_view file) {
    return read(fmt::format("kernel/slab/{}/{}", cache, file));
  }
  int put(std::string_view cache, std::string_view file, std::string_view text) {
    return write(fmt::format("kernel/slab/{}/{}", cache, file), text);
  }

 private:
  static machine_config four_cpus(machine_config config) {
    config.cpus = 4;
    return config;
  }
};

}  // namespace memhp
