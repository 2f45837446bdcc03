#include "blocks/mapped_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
#include <optional>
#include <thread>
#include <utility>

#include "locks/guards.h"

namespace memhp {
namespace {

constexpr std::uint64_t huge_page = 2 * MiB;
// What one system call is asked for: threads share a range evenly, and the first error
// ends the others soon.
constexpr std::uint64_t chunk = 8 * MiB;
// Fewer pages than this are cleared faster than a thread starts.
constexpr std::uint64_t thread_pays_from = 32 * MiB;
// Clearing is bound by memory: more threads do not make it faster.
constexpr unsigned most_threads = 8;

unsigned usable_cpus() {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) return 1;
  return static_cast<unsigned>(std::max(1, CPU_COUNT(&cpus)));
}

std::string text(errc error) {
  return std::strerror(static_cast<int>(error));
}

constexpr int no_access_flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

// False if the host gives no more threads.
template <class Work>
bool start(std::jthread& helper, const Work& work) {
  try {
    helper = std::jthread{work};
  } catch (const std::exception&) {
    return false;
  }
  return true;
}

// Calls give(offset, size) for all of [0, size), piece by piece, on `threads` threads,
// at most most_threads. The first error ends it.
template <class Give>
result<> in_pieces(std::uint64_t size, unsigned threads, const Give& give) {
  std::atomic<std::uint64_t> next = 0;
  std::atomic<int> error = 0;
  const auto work = [&] {
    while (error.load(std::memory_order_relaxed) == 0) {
      const std::uint64_t at = next.fetch_add(chunk, std::memory_order_relaxed);
      if (at >= size) return;
      const result<> given = give(at, std::min(chunk, size - at));
      if (!given) error = static_cast<int>(given.error());
    }
  };
  {
    std::array<std::jthread, most_threads - 1> helpers;
    // No more threads to be had: those that are there do it.
    for (unsigned i = 0; i + 1 < threads && start(helpers[i], work); ++i) {
    }
    work();
  }
  if (error != 0) return fail(errc{error.load()});
  return {};
}

std::expected<void, std::string> check(const mapped_memory_options& options) {
  if (!is_power_of_two(options.block_size) || options.block_size < page_size) {
    return std::unexpected{fmt::format(
        "a block size of {} bytes: give a power of two, e.g. 128M", options.block_size)};
  }
  if (options.max_memory == 0 || !is_aligned(options.max_memory, options.block_size)) {
    return std::unexpected{
        fmt::format("an address space of {} bytes: give a multiple of the block size",
                    options.max_memory)};
  }
  return {};
}

// Without huge pages where a block is smaller than one.
std::expected<backing, std::string> open_file(const mapped_memory_options& options) {
  const bool fits = options.block_size >= huge_page;
  if (!fits && options.backing != backing_kind::automatic &&
      options.backing != backing_kind::small) {
    return std::unexpected{fmt::format(
        "blocks of {} bytes are smaller than a huge page: use --backing small",
        options.block_size)};
  }
  return open_backing(fits ? options.backing : backing_kind::small, options.max_memory,
                      std::max(options.start_memory, options.block_size), *options.host);
}

}  // namespace

std::expected<std::unique_ptr<mapped_memory>, std::string> mapped_memory::create(
    mapped_memory_options options) {
  if (auto checked = check(options); !checked) return std::unexpected{checked.error()};
  if (options.host == nullptr) options.host = &this_host();
  if (!options.log) options.log = [](const std::string&) {};
  auto file = open_file(options);
  if (!file) return std::unexpected{file.error()};
  options.log(file->reason);
  if (options.commit == commit_mode::touch && file->kind != backing_kind::hugetlb &&
      !options.host->gives_what_is_available()) {
    options.log("vm.overcommit_memory=2: memory is committed when it goes online");
    options.commit = commit_mode::online;
  }
  // Huge pages can be mapped where address and offset are aligned alike.
  const std::uint64_t reserved = options.max_memory + huge_page;
  void* const reservation = mmap(nullptr, reserved, PROT_NONE, no_access_flags, -1, 0);
  if (reservation == MAP_FAILED) {
    return std::unexpected{fmt::format(
        "no address space of {} bytes ({}): raise ulimit -v or give a smaller "
        "--max-memory",
        reserved, std::strerror(errno))};
  }
  return std::unique_ptr<mapped_memory>{
      new mapped_memory{std::move(options), std::move(*file), reservation, reserved}};
}

mapped_memory::mapped_memory(mapped_memory_options options, backing file,
                             void* reservation, std::uint64_t reserved)
    : options_{std::move(options)},
      backing_{std::move(file)},
      topology_{options_.host->topology()},
      reservation_{reservation},
      reserved_{reserved},
      window_{static_cast<std::byte*>(reservation) +
              (-reinterpret_cast<std::uintptr_t>(reservation) & (huge_page - 1))},
      populated_(options_.max_memory / options_.block_size) {
  if (options_.threads == 0) options_.threads = usable_cpus();
  options_.threads = std::min(options_.threads, most_threads);
}

mapped_memory::~mapped_memory() {
  munmap(reservation_, reserved_);
}

std::size_t mapped_memory::first_block(phys_range range) const {
  return range.start.value / options_.block_size;
}

std::size_t mapped_memory::last_block(phys_range range) const {
  return range.end().value / options_.block_size;
}

bool mapped_memory::valid(phys_range range) const {
  return range.size > 0 && is_aligned(range.start.value, options_.block_size) &&
         is_aligned(range.size, options_.block_size) &&
         range.size <= options_.max_memory &&
         range.start.value <= options_.max_memory - range.size;
}

result<> mapped_memory::populate(phys_range range, int nid) {
  if (!valid(range)) return fail(errc::invalid_argument);
  if (auto claimed = claim(range); !claimed) return claimed;
  const std::optional<int> node = backing_node(topology_, nid);
  const step given = give(range, node);
  if (given) return {};
  unclaim(range);
  log_failure(range, nid, given.error());
  return fail(errc::not_enough_memory);
}

void mapped_memory::depopulate(phys_range range) {
  if (!valid(range)) return;
  take_back(range);
  unclaim(range);
}

std::uint64_t mapped_memory::resident_bytes() const {
  struct stat file = {};
  if (fstat(backing_.file.get(), &file) != 0) return 0;
  return static_cast<std::uint64_t>(file.st_blocks) * 512;
}

result<> mapped_memory::claim(phys_range range) {
  const guard hold{lock_};
  for (auto block = first_block(range); block < last_block(range); ++block) {
    if (populated_[block]) return fail(errc::file_exists);
  }
  for (auto block = first_block(range); block < last_block(range); ++block) {
    populated_[block] = true;
  }
  granted_bytes_ += range.size;
  return {};
}

void mapped_memory::unclaim(phys_range range) {
  const guard hold{lock_};
  for (auto block = first_block(range); block < last_block(range); ++block) {
    if (populated_[block]) granted_bytes_ -= options_.block_size;
    populated_[block] = false;
  }
}

void mapped_memory::log_failure(phys_range range, int nid, const std::string& why) const {
  options_.log(fmt::format("no {} MiB for {:#x}-{:#x} on node {}: {}", range.size / MiB,
                           range.start.value, range.end().value - 1, nid, why));
}

mapped_memory::step mapped_memory::give(phys_range range, std::optional<int> node) {
  const bool huge_pool = backing_.kind == backing_kind::hugetlb;
  if (!huge_pool) {
    if (auto room = check_room(range.size, node); !room) return room;
  } else if (options_.commit == commit_mode::touch) {
    if (auto reserved = reserve_huge_pages(range); !reserved) return reserved;
  }
  step given = map(range);
  if (given) {
    bind(range, node);
    if (options_.commit == commit_mode::online) given = commit_pages(range);
  }
  if (!given) take_back(range);
  return given;
}

// Asked before taking, because a host without memory does not refuse: it kills.
mapped_memory::step mapped_memory::check_room(std::uint64_t size,
                                              std::optional<int> node) const {
  std::uint64_t needed = options_.block_size;  // commit_mode::touch
  if (options_.commit == commit_mode::online) {
    const guard hold{lock_};
    // Holds this range and those being populated right now.
    needed = std::max(size, granted_bytes_ - std::min(granted_bytes_, resident_bytes()));
  }
  const std::uint64_t available = host().available_bytes(std::nullopt);
  if (available < needed) {
    return std::unexpected{
        fmt::format("the host has {} MiB to spare, {} MiB are needed to back all that is "
                    "online",
                    available / MiB, needed / MiB)};
  }
  if (node && options_.commit == commit_mode::online &&
      host().available_bytes(node) < size) {
    return std::unexpected{fmt::format("node {} of the host is full", *node)};
  }
  return {};
}

// A shared mapping without MAP_NORESERVE reserves pages in the pool, and the
// reservation stays with the file when the mapping goes.
mapped_memory::step mapped_memory::reserve_huge_pages(phys_range range) const {
  void* const at = mmap(nullptr, range.size, PROT_READ | PROT_WRITE, MAP_SHARED,
                        backing_.file.get(), static_cast<off_t>(range.start.value));
  if (at == MAP_FAILED) {
    return std::unexpected{fmt::format(
        "{} free hugetlb pages where {} are needed: raise vm.nr_hugepages or use "
        "--backing thp",
        host().free_huge_pages(), range.size / huge_page)};
  }
  munmap(at, range.size);
  return {};
}

mapped_memory::step mapped_memory::map(phys_range range) const {
  std::byte* const at = address(range.start);
  if (mmap(at, range.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
           backing_.file.get(), static_cast<off_t>(range.start.value)) == MAP_FAILED) {
    return std::unexpected{fmt::format("mmap: {}", std::strerror(errno))};
  }
  // A core dump of this process is not meant to hold the machine's memory.
  madvise(at, range.size, MADV_DONTDUMP);
  return {};
}

// A promise for later cannot be strict: by then another process may have emptied the
// node, and there is nobody to tell but the one who touches.
void mapped_memory::bind(phys_range range, std::optional<int> node) {
  if (!node) return;
  const auto how =
      options_.commit == commit_mode::online ? binding::strict : binding::preferred;
  const result<> bound = host().bind(address(range.start), range.size, *node, how);
  if (bound) return;
  {
    const guard hold{lock_};
    if (std::exchange(bind_refused_, true)) return;
  }
  // A container may not be allowed to: the memory is real all the same.
  options_.log(fmt::format("memory is not bound to the host's nodes (mbind: {})",
                           text(bound.error())));
}

// The faster way of each backing, as bench/memory_bench measures it: hugetlb pages are
// cleared in any case, and only page faults can do that on several threads at once; on a
// tmpfs fallocate(2) leaves the clearing to the first touch.
mapped_memory::step mapped_memory::commit_pages(phys_range range) const {
  result<> given;
  if (backing_.kind == backing_kind::hugetlb) {
    const auto most =
        static_cast<unsigned>(std::max<std::uint64_t>(1, range.size / thread_pays_from));
    given = in_pieces(range.size, std::min(options_.threads, most),
                      [&](std::uint64_t at, std::uint64_t size) {
                        return host().populate(address(range.start + at), size);
                      });
  } else {
    given = in_pieces(range.size, 1, [&](std::uint64_t at, std::uint64_t size) {
      return host().allocate(backing_.file.get(), range.start.value + at, size);
    });
  }
  if (given) return {};
  if (backing_.kind != backing_kind::hugetlb) return std::unexpected{text(given.error())};
  return std::unexpected{
      fmt::format("the hugetlb pool is empty: raise vm.nr_hugepages or use --backing thp "
                  "({})",
                  text(given.error()))};
}

void mapped_memory::take_back(phys_range range) const {
  const int file = backing_.file.get();
  if (backing_.kind == backing_kind::hugetlb && options_.commit == commit_mode::touch) {
    // A hole gives back the pages that are there, but not the reservations of those
    // that never were: take them first.
    (void)in_pieces(range.size, 1, [&](std::uint64_t at, std::uint64_t size) {
      return host().allocate(file, range.start.value + at, size);
    });
  }
  // First no access, then no pages: a late touch faults and brings no page back.
  if (mmap(address(range.start), range.size, PROT_NONE, no_access_flags | MAP_FIXED, -1,
           0) == MAP_FAILED) {
    // The pages go all the same.
    options_.log(fmt::format("memory at {:#x} stays accessible after it went (mmap: {})",
                             range.start.value, std::strerror(errno)));
  }
  while (fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                   static_cast<off_t>(range.start.value),
                   static_cast<off_t>(range.size)) != 0 &&
         errno == EINTR) {
  }
}

}  // namespace memhp
