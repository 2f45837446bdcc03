#include "blocks/mapped_memory.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <thread>

#include "tests/blocks/memory_fixture.h"

namespace memhp {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint64_t block_size = 8 * MiB;
// A thread sanitizer leaves a program too little address space for the default.
constexpr std::uint64_t window = 64 * GiB;

phys_range block(std::uint64_t index, std::uint64_t blocks = 1) {
  return {.start = {index * block_size}, .size = blocks * block_size};
}

const host_topology two_sockets = {.nodes = {{.id = 0, .memory = GiB},
                                             {.id = 1, .memory = 0},
                                             {.id = 2, .memory = GiB}}};

errc error_of(const result<>& done) {
  return done ? errc{} : done.error();
}

bool all_zero(const std::byte* at, std::uint64_t size) {
  return std::all_of(at, at + size, [](std::byte b) { return b == std::byte{0}; });
}

// A memory on a host that a test can change under it.
class memory_test : public testing::Test {
 protected:
  void open(mapped_memory_options options) {
    options.max_memory = window;
    options.block_size = block_size;
    options.host = &host_;
    options.log = [this](const std::string& line) { log_.push_back(line); };
    auto made = mapped_memory::create(std::move(options));
    ASSERT_TRUE(made) << made.error();
    memory_ = std::move(*made);
    log_.clear();
  }
  std::byte* at(std::uint64_t index) const {
    return memory_->address(block(index).start);
  }
  void fill(std::uint64_t index, int value) { memset(at(index), value, block_size); }

  fake_host host_;
  std::vector<std::string> log_;
  // Outlives the memory that is made of it.
  std::optional<hugetlb_pool> pool_;
  std::unique_ptr<mapped_memory> memory_;
};

// --- What every backing promises, in both commit modes ---

class EveryBacking
    : public memory_test,
      public testing::WithParamInterface<std::tuple<backing_kind, commit_mode>> {
 protected:
  void SetUp() override {
    const auto [kind, commit] = GetParam();
    if (kind == backing_kind::hugetlb) {
      pool_.emplace(32);
      if (!pool_->usable()) GTEST_SKIP() << "vm.nr_hugepages cannot be raised here";
    }
    open({.backing = kind, .commit = commit});
  }
  bool online() const { return std::get<1>(GetParam()) == commit_mode::online; }
};

INSTANTIATE_TEST_SUITE_P(
    Memory, EveryBacking,
    testing::Combine(testing::Values(backing_kind::hugetlb, backing_kind::thp,
                                     backing_kind::small),
                     testing::Values(commit_mode::online, commit_mode::touch)),
    [](const auto& given) {
      return std::string{to_string(std::get<0>(given.param))} +
             (std::get<1>(given.param) == commit_mode::online ? "_online" : "_touch");
    });

TEST_P(EveryBacking, GivesZeroMemoryAtItsPlaceOnly) {
  EXPECT_FALSE(writable(at(1)));
  ASSERT_TRUE(memory_->populate(block(1), 0));
  EXPECT_TRUE(all_zero(at(1), block_size));
  fill(1, 0x5a);
  EXPECT_FALSE(writable(at(1) - 1));
  EXPECT_FALSE(writable(at(2)));
  EXPECT_EQ(at(1), memory_->address({0}) + block_size);
}

TEST_P(EveryBacking, HoldsTwoBlocksApart) {
  ASSERT_TRUE(memory_->populate(block(0), 0));
  ASSERT_TRUE(memory_->populate(block(8'000), 0));
  fill(0, 1);
  fill(8'000, 2);
  EXPECT_EQ(at(0)[block_size - 1], std::byte{1});
  EXPECT_EQ(at(8'000)[0], std::byte{2});
  memory_->depopulate(block(0));
  EXPECT_EQ(at(8'000)[block_size - 1], std::byte{2});
}

TEST_P(EveryBacking, GivesBackAtOnceAndComesBackZero) {
  ASSERT_TRUE(memory_->populate(block(3), 0));
  fill(3, 0x77);
  EXPECT_EQ(memory_->resident_bytes(), block_size);
  memory_->depopulate(block(3));
  EXPECT_EQ(memory_->resident_bytes(), 0U);
  EXPECT_FALSE(writable(at(3)));
  ASSERT_TRUE(memory_->populate(block(3), 0));
  EXPECT_TRUE(all_zero(at(3), block_size));
}

TEST_P(EveryBacking, TakesPagesWhenItSaid) {
  ASSERT_TRUE(memory_->populate(block(2, 2), 0));
  EXPECT_EQ(memory_->resident_bytes(), online() ? 2 * block_size : 0U);
  at(3)[0] = std::byte{1};
  EXPECT_GT(memory_->resident_bytes(), 0U);
  EXPECT_LE(memory_->resident_bytes(), 2 * block_size);
}

TEST_P(EveryBacking, TakesBackAPartOfWhatWasGivenAtOnce) {
  ASSERT_TRUE(memory_->populate(block(0, 4), 0));
  for (const auto index : {0, 1, 2, 3}) fill(static_cast<std::uint64_t>(index), 9);
  memory_->depopulate(block(1, 2));
  EXPECT_EQ(memory_->resident_bytes(), 2 * block_size);
  EXPECT_FALSE(writable(at(1)));
  EXPECT_EQ(at(0)[block_size - 1], std::byte{9});
  EXPECT_EQ(at(3)[0], std::byte{9});
  EXPECT_EQ(error_of(memory_->populate(block(0, 2), 0)), errc::file_exists);
  EXPECT_TRUE(memory_->populate(block(1, 2), 0));
}

TEST_P(EveryBacking, CanBeMappedByWhoIsHandedTheFile) {
  ASSERT_TRUE(memory_->populate(block(5), 0));
  fill(5, 0x42);
  const auto place = memory_->file_place(block(5).start);
  void* const other = mmap(nullptr, block_size, PROT_READ, MAP_SHARED, place.file,
                           static_cast<off_t>(place.offset));
  ASSERT_NE(other, MAP_FAILED);
  EXPECT_EQ(memcmp(other, at(5), block_size), 0);
  at(5)[17] = std::byte{1};
  EXPECT_EQ(static_cast<std::byte*>(other)[17], std::byte{1});
  munmap(other, block_size);
}

TEST_P(EveryBacking, RefusesRangesThatAreNotBlocksOfTheWindow) {
  const auto error = [&](std::uint64_t start, std::uint64_t size) {
    return error_of(memory_->populate({.start = {start}, .size = size}, 0));
  };
  EXPECT_EQ(error(page_size, block_size), errc::invalid_argument);
  EXPECT_EQ(error(0, page_size), errc::invalid_argument);
  EXPECT_EQ(error(0, 0), errc::invalid_argument);
  EXPECT_EQ(error(window, block_size), errc::invalid_argument);
  EXPECT_EQ(error(~0ULL - block_size + 1, block_size), errc::invalid_argument);
  EXPECT_EQ(memory_->address({window}), nullptr);
  // Nothing to take back, nothing happens.
  memory_->depopulate({.start = {page_size}, .size = block_size});
  memory_->depopulate(block(7));
  EXPECT_EQ(memory_->resident_bytes(), 0U);
}

TEST_P(EveryBacking, ClosesTheFileAtTheEnd) {
  ASSERT_TRUE(memory_->populate(block(0), 0));
  const int file = memory_->file_place({0}).file;
  ASSERT_GE(fcntl(file, F_GETFD), 0);
  const std::byte* const where = at(0);
  memory_.reset();
  EXPECT_EQ(fcntl(file, F_GETFD), -1);
  EXPECT_FALSE(writable(where));
}

TEST_P(EveryBacking, ServesManyThreadsOnBlocksApart) {
  constexpr std::uint64_t threads = 4;
  {
    std::vector<std::jthread> all;
    for (std::uint64_t t = 0; t < threads; ++t) {
      all.emplace_back([&, t] {
        for (int round = 0; round < 8; ++round) {
          EXPECT_TRUE(memory_->populate(block(2 * t), 0));
          EXPECT_TRUE(all_zero(at(2 * t), 4096));
          at(2 * t)[0] = std::byte{1};
          memory_->depopulate(block(2 * t));
        }
      });
    }
  }
  EXPECT_EQ(memory_->resident_bytes(), 0U);
}

// --- Hosts that have not enough ---

class NotEnoughMemory : public memory_test {};

TEST_F(NotEnoughMemory, IsAnErrorAndALineAndNothingElse) {
  for (const auto commit : {commit_mode::online, commit_mode::touch}) {
    open({.backing = backing_kind::thp, .commit = commit});
    host_.available = block_size - 1;
    EXPECT_EQ(error_of(memory_->populate(block(1), 0)), errc::not_enough_memory);
    EXPECT_THAT(log_, SizeIs(1));
    EXPECT_THAT(log_, Each(HasSubstr("the host has 7 MiB to spare, 8 MiB are needed")));
    EXPECT_THAT(log_, Each(HasSubstr("0x800000-0xffffff on node 0")));
    EXPECT_FALSE(writable(at(1)));
    EXPECT_EQ(memory_->resident_bytes(), 0U);
    host_.available = -1;
    EXPECT_TRUE(memory_->populate(block(1), 0));
  }
}

TEST_F(NotEnoughMemory, InTheMiddleOfARangeIsRolledBack) {
  open({.backing = backing_kind::small});
  int calls = 0;
  host_.before_giving = [&]() -> result<> {
    if (++calls == 3) return fail(errc::no_space_on_device);
    return {};
  };
  EXPECT_EQ(error_of(memory_->populate(block(0, 4), 0)), errc::not_enough_memory);
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(memory_->resident_bytes(), 0U);
  EXPECT_FALSE(writable(at(0)));
  EXPECT_THAT(log_, Each(HasSubstr("No space left on device")));
  EXPECT_TRUE(memory_->populate(block(0, 4), 0));
  EXPECT_EQ(memory_->resident_bytes(), 4 * block_size);
}

TEST_F(NotEnoughMemory, DoesNotKeepAnUntouchedMachineFromBeingLargerThanItsHost) {
  open({.backing = backing_kind::thp, .commit = commit_mode::touch});
  host_.available = block_size;
  EXPECT_TRUE(memory_->populate(block(0, 8), 0));
  EXPECT_EQ(memory_->resident_bytes(), 0U);
}

TEST_F(NotEnoughMemory, OnTheNodeOfTheHostIsAnError) {
  // The host as a whole has what node 2 has not.
  class full_node final : public host_memory {
   public:
    host_topology topology() const override { return two_sockets; }
    std::uint64_t available_bytes(std::optional<int> node) const override {
      return node == 2 ? 0 : GiB;
    }
    std::uint64_t free_huge_pages() const override { return 0; }
    bool gives_what_is_available() const override { return true; }
    result<> bind(std::byte*, std::uint64_t, int, binding) override { return {}; }
    result<> allocate(int file, std::uint64_t offset, std::uint64_t size) override {
      return this_host().allocate(file, offset, size);
    }
    result<> populate(std::byte*, std::uint64_t) override { return {}; }
  } host;
  std::string line;
  auto made =
      mapped_memory::create({.max_memory = window,
                             .block_size = block_size,
                             .backing = backing_kind::small,
                             .host = &host,
                             .log = [&](const std::string& text) { line = text; }});
  ASSERT_TRUE(made);
  EXPECT_TRUE((*made)->populate(block(0), 0));
  EXPECT_EQ(error_of((*made)->populate(block(1), 1)), errc::not_enough_memory);
  EXPECT_THAT(line, HasSubstr("node 2 of the host is full"));
}

TEST_F(NotEnoughMemory, StrictOvercommitLeavesNothingToTheTouch) {
  host_.strict_overcommit = true;
  open({.backing = backing_kind::thp, .commit = commit_mode::touch});
  EXPECT_EQ(memory_->commit(), commit_mode::online);
  ASSERT_TRUE(memory_->populate(block(0), 0));
  EXPECT_EQ(memory_->resident_bytes(), block_size);
}

// --- The hugetlb pool ---

class HugetlbPool : public memory_test {
 protected:
  static constexpr std::uint64_t pages_per_block = block_size / (2 * MiB);
  // A pool of `blocks` blocks and `pages` pages, and the memory on it.
  bool fill_pool(std::uint64_t blocks, std::uint64_t pages,
                 mapped_memory_options options) {
    pool_.emplace(blocks * pages_per_block + pages);
    if (!pool_->usable()) return false;
    free_before_ = this_host().free_huge_pages();
    options.backing = backing_kind::hugetlb;
    open(std::move(options));
    return true;
  }
  std::uint64_t free_before_ = 0;
};

TEST_F(HugetlbPool, RunningDryIsNotEnoughMemoryAndGivesAllBack) {
  for (const auto commit : {commit_mode::online, commit_mode::touch}) {
    pool_.reset();
    if (!fill_pool(1, 2, {.commit = commit})) GTEST_SKIP() << "no pool can be had here";
    if (free_before_ != pages_per_block + 2) GTEST_SKIP() << "the pool is not ours alone";
    ASSERT_TRUE(memory_->populate(block(0), 0));
    EXPECT_EQ(this_host().free_huge_pages(), 2U);
    EXPECT_EQ(error_of(memory_->populate(block(1), 0)), errc::not_enough_memory);
    EXPECT_THAT(log_, Each(HasSubstr("raise vm.nr_hugepages or use --backing thp")));
    EXPECT_THAT(log_, SizeIs(1));
    EXPECT_EQ(this_host().free_huge_pages(), 2U);
    EXPECT_FALSE(writable(at(1)));
    fill(0, 1);
    memory_->depopulate(block(0));
    EXPECT_EQ(this_host().free_huge_pages(), free_before_);
    EXPECT_TRUE(memory_->populate(block(1), 0));
    memory_.reset();
  }
}

TEST_F(HugetlbPool, AnUntouchedReservationIsGivenBack) {
  if (!fill_pool(2, 0, {.commit = commit_mode::touch})) {
    GTEST_SKIP() << "no pool can be had here";
  }
  ASSERT_TRUE(memory_->populate(block(0, 2), 0));
  EXPECT_EQ(this_host().free_huge_pages(), free_before_ - 2 * pages_per_block);
  at(1)[0] = std::byte{1};
  memory_->depopulate(block(0, 2));
  EXPECT_EQ(this_host().free_huge_pages(), free_before_);
}

TEST_F(HugetlbPool, IsPopulatedByAllThreadsAtOnce) {
  if (!fill_pool(8, 0, {.threads = 2})) GTEST_SKIP() << "no pool can be had here";
  // Nobody gives pages before two threads are there to.
  std::mutex lock;
  std::condition_variable changed;
  int waiting = 0;
  host_.before_giving = [&]() -> result<> {
    std::unique_lock hold{lock};
    ++waiting;
    changed.notify_all();
    const bool met =
        changed.wait_for(hold, std::chrono::seconds{30}, [&] { return waiting >= 2; });
    return met ? result<>{} : fail(errc::timed_out);
  };
  EXPECT_TRUE(memory_->populate(block(0, 8), 0));
  EXPECT_EQ(memory_->resident_bytes(), 8 * block_size);
}

// --- Nodes ---

class HostNodes : public memory_test {
 protected:
  HostNodes() { host_.nodes = two_sockets; }
};

TEST_F(HostNodes, BackTheNodesOfTheMachineInTurn) {
  open({.backing = backing_kind::small});
  for (const int nid : {0, 1, 2}) {
    ASSERT_TRUE(memory_->populate(block(static_cast<std::uint64_t>(nid)), nid));
  }
  const auto binds = host_.binds();
  ASSERT_THAT(binds, SizeIs(3));
  EXPECT_EQ(binds[0].node, 0);
  EXPECT_EQ(binds[1].node, 2);
  EXPECT_EQ(binds[2].node, 0);
  for (std::size_t i = 0; i < binds.size(); ++i) {
    EXPECT_EQ(binds[i].at, at(i));
    EXPECT_EQ(binds[i].size, block_size);
    EXPECT_EQ(binds[i].how, binding::strict);
  }
}

TEST_F(HostNodes, AreOnlyPreferredByAPromise) {
  open({.backing = backing_kind::small, .commit = commit_mode::touch});
  ASSERT_TRUE(memory_->populate(block(0), 1));
  ASSERT_THAT(host_.binds(), SizeIs(1));
  EXPECT_EQ(host_.binds()[0].how, binding::preferred);
}

TEST_F(HostNodes, AreBoundBeforeThePagesCome) {
  open({.backing = backing_kind::small});
  std::size_t binds_at_first_page = 0;
  host_.before_giving = [&]() -> result<> {
    binds_at_first_page = host_.binds().size();
    return {};
  };
  ASSERT_TRUE(memory_->populate(block(0), 1));
  EXPECT_EQ(binds_at_first_page, 1U);
}

TEST_F(HostNodes, ThatMayNotBeChosenCostOneLine) {
  host_.bind_error = errc::operation_not_permitted;
  open({.backing = backing_kind::small});
  ASSERT_TRUE(memory_->populate(block(0), 0));
  ASSERT_TRUE(memory_->populate(block(1), 1));
  EXPECT_THAT(log_, SizeIs(1));
  EXPECT_THAT(log_, Each(HasSubstr("mbind: Operation not permitted")));
}

TEST_F(HostNodes, AreNotBoundWhereThereIsOne) {
  host_.nodes = host_topology{.nodes = {{.id = 0, .memory = GiB}}};
  open({.backing = backing_kind::small});
  ASSERT_TRUE(memory_->populate(block(0), 1));
  EXPECT_THAT(host_.binds(), IsEmpty());
}

// --- Opening ---

TEST(OpeningMemory, RefusesWhatCannotBe) {
  const auto error = [](mapped_memory_options options) {
    const auto made = mapped_memory::create(std::move(options));
    return made ? std::string{"accepted"} : made.error();
  };
  EXPECT_THAT(error({.block_size = 100 * MiB}), HasSubstr("power of two"));
  EXPECT_THAT(error({.block_size = 1024}), HasSubstr("power of two"));
  EXPECT_THAT(error({.max_memory = 0}), HasSubstr("multiple of the block size"));
  EXPECT_THAT(error({.max_memory = 1 * TiB + 4096}),
              HasSubstr("multiple of the block size"));
  EXPECT_THAT(error({.max_memory = 256 * TiB, .backing = backing_kind::small}),
              HasSubstr("--max-memory"));
  EXPECT_THAT(error({.block_size = MiB, .backing = backing_kind::thp}),
              HasSubstr("use --backing small"));
}

TEST(OpeningMemory, SaysWhatItIsBackedBy) {
  std::vector<std::string> log;
  const auto made = mapped_memory::create(
      {.max_memory = window,
       .backing = backing_kind::small,
       .log = [&](const std::string& line) { log.push_back(line); }});
  ASSERT_TRUE(made);
  EXPECT_THAT(log, testing::ElementsAre("memory is backed by small (asked for)"));
}

TEST(OpeningMemory, ReservesATebibyteByDefault) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the thread sanitizer takes the address space";
#endif
  const auto made = mapped_memory::create({});
  ASSERT_TRUE(made) << made.error();
  EXPECT_TRUE((*made)->populate({.start = {TiB - 128 * MiB}, .size = 128 * MiB}, 0));
  EXPECT_EQ((*made)->resident_bytes(), 128 * MiB);
}

TEST(OpeningMemory, WorksForAnOrdinaryUser) {
  EXPECT_TRUE(in_child([] {
    if (!become_ordinary_user()) return false;
    fake_host host;
    host.huge_pages = 0;
    const std::string mounts = read_all("/proc/self/mountinfo");
    const auto made = mapped_memory::create(
        {.max_memory = window, .block_size = block_size, .host = &host});
    if (!made) {
      fputs((made.error() + "\n").c_str(), stderr);
      return false;
    }
    mapped_memory& memory = **made;
    if (memory.kind() != backing_kind::thp || !memory.populate(block(1), 0)) return false;
    memset(memory.address(block(1).start), 1, block_size);
    const bool resident = memory.resident_bytes() == block_size;
    memory.depopulate(block(1));
    return resident && memory.resident_bytes() == 0 &&
           read_all("/proc/self/mountinfo") == mounts;
  }));
}

// Huge pages must also be mapped as such: address and offset are aligned alike.
TEST(OpeningMemory, MapsHugePagesWhole) {
  const auto made = mapped_memory::create(
      {.max_memory = window, .block_size = block_size, .backing = backing_kind::thp});
  ASSERT_TRUE(made) << made.error();
  ASSERT_TRUE((*made)->populate(block(1), 0));
  memset((*made)->address(block(1).start), 1, block_size);
  const std::string smaps = read_all("/proc/self/smaps");
  std::size_t mapped_kib = 0;
  for (auto at = smaps.find("ShmemPmdMapped:"); at != std::string::npos;
       at = smaps.find("ShmemPmdMapped:", at + 1)) {
    mapped_kib += std::stoul(smaps.substr(at + 15));
  }
  // All of it, unless the host has no contiguous memory left.
  EXPECT_GE(mapped_kib, 2048U);
}

}  // namespace
}  // namespace memhp
