// Random sequences of operations against a naive model of one block, and the invariants
// that hold between any two of them.
#include <map>
#include <random>

#include "tests/emu/machine_fixture.h"

namespace memhp {
namespace {

constexpr std::uint64_t last_boot_block = 7;

class random_machine {
 public:
  explicit random_machine(unsigned seed) : random_{seed} {}

  void step() {
    switch (pick(12)) {
      case 0: return probe();
      case 1: return remove_probed();
      case 2: return plug();
      case 3: return eject();
      case 4: return inject();
      case 5: return hold_page();
      case 6: return write_online();
      default: return write_state();
    }
  }

  // Whatever happened before, this is so.
  void check() {
    std::map<std::pair<int, zone_type>, std::uint64_t> in_zone;
    std::map<int, std::uint64_t> online_pages;
    std::map<int, std::vector<std::string>> of_node;
    machine_stats counted;
    for (const auto& [id, dev] : blocks()) {
      const memory_block& b = dev->block;
      const zone* z = b.managing_zone();
      ASSERT_TRUE(b.state() == block_state::online || b.state() == block_state::offline);
      ASSERT_EQ(m_.read(file(id, "online")),
                b.state() == block_state::online ? "1" : "0");
      if (b.state() == block_state::online) online_pages[b.nid] += b.present_pages();
      ASSERT_EQ(z != nullptr, b.state() == block_state::online && id != 0);
      if (z != nullptr) in_zone[{b.nid, z->type}] += b.present_pages();
      ++counted.blocks[b.nid][z == nullptr ? 4 : static_cast<int>(z->type)]
                      [b.state() == block_state::online ? 1 : 0];
      of_node[b.nid].push_back(dev->name);
      ASSERT_TRUE(m_.exists(file(id, fmt::format("node{}", b.nid))));
    }
    check_nodes(in_zone, online_pages, of_node, counted);
    const auto present = blocks().size();
    ASSERT_EQ(m_.children(memory_dir, "memory").size(), present);
    ASSERT_EQ(m_.children("bus/memory/devices").size(), present);
    ASSERT_EQ(m_.k().pages.bytes(), present * block_pages * 64);
  }

 private:
  static std::string file(std::uint64_t id, std::string_view name) {
    return test_machine::block(id, name);
  }
  std::uint64_t pick(std::uint64_t below) { return random_() % below; }
  std::uint64_t some_block() { return pick(2) == 0 ? pick(10) : 30 + pick(16); }

  std::map<std::uint64_t, memory_block_device*> blocks() {
    std::map<std::uint64_t, memory_block_device*> all;
    read_guard hold{m_.k().memory_blocks_lock};
    for (const auto& [id, dev] : m_.k().memory_blocks) all[id.value] = dev.get();
    return all;
  }
  // Everything that a failed operation must leave alone.
  std::string snapshot() {
    std::string all = std::to_string(m_.uevents.size());
    for (const auto& [id, dev] : blocks())
      all += fmt::format(" {}:{}:{}", id, to_string(dev->block.state()), m_.zones(id));
    return all;
  }

  void check_nodes(std::map<std::pair<int, zone_type>, std::uint64_t>& in_zone,
                   std::map<int, std::uint64_t>& online_pages,
                   std::map<int, std::vector<std::string>>& of_node,
                   const machine_stats& counted) {
    for (int nid = 0; nid < 3; ++nid) {
      std::uint64_t all = 0;
      for (const zone_type type : zone_types) {
        const std::uint64_t present = m_.zone_of(nid, type).pages().present;
        all += present;
        // Boot block 0 is in two zones and in neither alone.
        if (nid == 0 && type <= zone_type::dma32) continue;
        ASSERT_EQ(present, (in_zone[{nid, type}])) << nid << to_string(type);
      }
      ASSERT_EQ(all, online_pages[nid]) << nid;
      ASSERT_EQ(m_.exists(fmt::format("{}/node{}", node_dir, nid)),
                nid < 2 || !of_node[nid].empty());
      if (nid < 2 || !of_node[nid].empty()) {
        ASSERT_EQ(m_.mem_total_kib(nid), all * 4);
        ASSERT_THAT(m_.children(fmt::format("{}/node{}", node_dir, nid), "memory"),
                    testing::UnorderedElementsAreArray(of_node[nid]));
      }
      for (std::size_t z = 0; z < stats_zone_names.size(); ++z)
        for (std::size_t s = 0; s < stats_state_names.size(); ++s)
          ASSERT_EQ(m_->stats().blocks[nid][z][s], counted.blocks[nid][z][s]);
    }
  }

  // What a block answers when it is to change, or 0.
  int refusal(std::uint64_t id, bool goes_online) const {
    if (goes_online) return going_online_error_;
    if (id == 0 || id == last_boot_block) return EINVAL;
    if (held_.contains(id)) return EBUSY;
    return going_offline_error_;
  }
  // The answer of one write, and what it did to the tree.
  void expect(const std::string& path, std::string_view text, int error, bool changes) {
    const std::string before = snapshot();
    ASSERT_EQ(m_.write(path, text), error) << path << " <- " << text;
    ASSERT_EQ(snapshot() != before, changes) << path << " <- " << text;
  }

  void write_state() {
    constexpr std::array words = {"offline", "online", "online_kernel", "online_movable",
                                  "going-offline"};
    const std::uint64_t id = some_block();
    const std::size_t word = pick(words.size());
    int error = 0;
    if (!blocks().contains(id)) {
      error = ENOENT;
    } else if (word == 4 || (m_.state(id) == "online") == (word != 0)) {
      error = EINVAL;
    } else {
      error = refusal(id, word != 0);
    }
    expect(file(id, "state"), words[word], error, error == 0);
  }
  void write_online() {
    const std::uint64_t id = some_block();
    if (!blocks().contains(id)) return;
    const bool on = pick(2) == 0;
    const bool same = (m_.state(id) == "online") == on;
    const int error = same ? 0 : refusal(id, on);
    expect(file(id, "online"), on ? "1" : "0", error, !same && error == 0);
  }
  void probe() {
    const std::uint64_t id = some_block();
    // Blocks 8 and 9 are free low memory: only what is there is in the way.
    const int error = blocks().contains(id) || id == 31 ? EEXIST : 0;
    expect("devices/system/memory/probe", fmt::format("{:#x}", id * block_size), error,
           error == 0);
    if (error == 0) probed_.insert(id);
  }
  void remove_probed() {
    const std::uint64_t id = some_block();
    int error = 0;
    if (!blocks().contains(id))
      error = ENODEV;
    else if (!probed_.contains(id))
      error = EPERM;
    else if (m_.state(id) == "online")
      error = EBUSY;
    expect("kernel/debug/memhp/remove_block", std::to_string(id), error, error == 0);
    if (error != 0) return;
    probed_.erase(id);
  }
  void plug() {
    const auto slots = m_.children(slots_dir, "PNP0C80");
    if (slots.size() > 2 && pick(4) != 0) return;
    EXPECT_EQ(m_.debug("plug_dimm",
                       fmt::format("size={}M node={}", 128 * (1 + pick(3)), pick(3))),
              0);
  }
  // A refused eject leaves every block in the state that it was in.
  void eject() {
    const auto slots = m_.children(slots_dir, "PNP0C80");
    if (slots.empty()) return;
    const auto states = [&] {
      std::map<std::uint64_t, block_state> all;
      for (const auto& [id, dev] : blocks()) all[id] = dev->block.state();
      return all;
    };
    const auto before = states();
    const auto log_before = m_.log.size();
    (void)m_.eject(static_cast<int>(pick(slots.size())));
    const bool refused = m_.log.size() != log_before &&
                         m_.log.back().find("Offline failed") != std::string::npos;
    if (!refused || going_online_error_ != 0) return;
    ASSERT_EQ(states(), before);
  }
  void inject() {
    going_online_error_ = pick(3) == 0 ? ENOMEM : 0;
    going_offline_error_ = pick(3) == 0 ? EPERM : 0;
    EXPECT_EQ(m_.inject("MEM_GOING_ONLINE", going_online_error_), 0);
    EXPECT_EQ(m_.inject("MEM_GOING_OFFLINE", going_offline_error_), 0);
  }
  void hold_page() {
    const std::uint64_t id = some_block();
    const std::string at = fmt::format("{:#x}", id * block_size);
    if (held_.contains(id)) {
      EXPECT_EQ(m_.debug("page_unreserve", at), 0);
      held_.erase(id);
    } else if (m_.reserve(id) == 0) {
      held_.insert(id);
    }
  }

  test_machine m_;
  std::mt19937 random_;
  std::set<std::uint64_t> probed_;
  std::set<std::uint64_t> held_;
  int going_online_error_ = 0;
  int going_offline_error_ = 0;
};

class RandomOperations : public testing::TestWithParam<unsigned> {};

TEST_P(RandomOperations, KeepTheInvariants) {
  random_machine machine{GetParam()};
  for (int step = 0; step < 250; ++step) {
    machine.step();
    if (testing::Test::HasFatalFailure()) FAIL() << "step " << step;
    machine.check();
    if (testing::Test::HasFatalFailure()) FAIL() << "after step " << step;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomOperations, testing::Range(1U, 5U));

}  // namespace
}  // namespace memhp
