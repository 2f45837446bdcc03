// Real memory for a machine: one reserved address window is its physical address space.
//
// The window is reserved without access and costs nothing. A range that is populated
// becomes a shared mapping of one file at its place, file offset = physical address, so
// that the direct map is an addition and other processes can map the same pages. A
// range that is depopulated is without access again and its pages are the host's.
//
// What is promised, whatever the backing:
//   1. populate() either gives all of the range or changes nothing: not_enough_memory,
//      and a line in the log that says what the host lacks;
//   2. memory that populate() gave is there: no later touch of it is a SIGBUS. With
//      commit_mode::online the pages are taken now. With commit_mode::touch they are
//      taken at the first touch: hugetlb pages are reserved in the pool until then; of
//      others the host must have one block to spare now, and may be overcommitted, so
//      that a machine can be larger than its host. Whoever then touches more than the
//      host has meets the host's out-of-memory killer, as with any other memory;
//   3. content is zero after every populate().
//
// "Taken" is allocated, charged and never missing again. hugetlb pages are cleared then,
// pages of the other backings at their first touch, which makes a block of thp online
// faster than memset clears it.
//
// Thread safety: as phys_memory says. Ranges are accounted under a lock of this object
// that is held for no system call that gives or takes memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "blocks/backing.h"
#include "blocks/host_memory.h"
#include "blocks/phys_memory.h"
#include "locks/thread_annotations.h"
#include "locks/tracked.h"

namespace memhp {

enum class commit_mode : std::uint8_t {
  online,  // populate() takes the pages from the host
  touch,   // the first touch does
};

struct mapped_memory_options {
  std::uint64_t max_memory = 1 * TiB;    // size of the window, bytes
  std::uint64_t block_size = 128 * MiB;  // every range is a multiple, bytes
  // What the machine is going to populate at its start, bytes: see open_backing().
  std::uint64_t start_memory = 0;
  backing_kind backing = backing_kind::automatic;
  commit_mode commit = commit_mode::online;
  unsigned threads = 0;         // that populate a range; 0: one a CPU, at most 8
  host_memory* host = nullptr;  // null: this_host()
  // Told one line for everything worth a line in a log. May be empty.
  std::function<void(const std::string&)> log;
};

class mapped_memory final : public phys_memory {
 public:
  // The error is one line that says what is missing and how to get on without it.
  static std::expected<std::unique_ptr<mapped_memory>, std::string> create(
      mapped_memory_options options);
  ~mapped_memory() override;

  // invalid_argument for a range that is not whole blocks inside the window,
  // file_exists if a part of it is populated.
  result<> populate(phys_range range, int nid) override;
  // Blocks of the range that are not populated stay as they are.
  void depopulate(phys_range range) override;
  std::byte* address(phys_addr at) const override {
    return at.value < options_.max_memory ? window_ + at.value : nullptr;
  }
  // Bytes of pages that the file holds: what the host really gave, touched or not.
  std::uint64_t resident_bytes() const override;

  // Where the memory at a physical address lies for a process that is handed the file.
  struct place {
    int file = -1;             // owned by this object
    std::uint64_t offset = 0;  // bytes
  };
  place file_place(phys_addr at) const { return {backing_.file.get(), at.value}; }

  // The backing in use, never automatic.
  backing_kind kind() const { return backing_.kind; }
  const std::string& backing_reason() const { return backing_.reason; }
  // The commit mode in use: online where the host cannot keep a promise (point 2) for
  // untouched memory, which is under vm.overcommit_memory=2.
  commit_mode commit() const { return options_.commit; }

 private:
  mapped_memory(mapped_memory_options options, backing file, void* reservation,
                std::uint64_t reserved);

  host_memory& host() const { return *options_.host; }
  // The blocks of `range` as indices [first, last) of populated_.
  std::size_t first_block(phys_range range) const;
  std::size_t last_block(phys_range range) const;
  bool valid(phys_range range) const;
  void log_failure(phys_range range, int nid, const std::string& why) const;

  // The steps of populate(); each error is half a line for the log.
  using step = std::expected<void, std::string>;
  result<> claim(phys_range range);
  void unclaim(phys_range range);
  step check_room(std::uint64_t size, std::optional<int> node) const;
  step reserve_huge_pages(phys_range range) const;
  step map(phys_range range) const;
  void bind(phys_range range, std::optional<int> node);
  step commit_pages(phys_range range) const;
  // All of the above but the claim; changes nothing if it fails.
  step give(phys_range range, std::optional<int> node);
  // Takes back whatever populate() or touches gave.
  void take_back(phys_range range) const;

  // Constant after construction.
  mapped_memory_options options_;
  const backing backing_;
  const host_topology topology_;
  void* const reservation_;       // what was reserved, before alignment
  const std::uint64_t reserved_;  // bytes
  std::byte* const window_;       // physical address 0

  static constexpr lock_class_key lock_key{.name = "mapped_memory"};
  mutable tracked_mutex lock_{lock_key};
  std::vector<bool> populated_ GUARDED_BY(lock_);      // by block
  std::uint64_t granted_bytes_ GUARDED_BY(lock_) = 0;  // of populated blocks
  bool bind_refused_ GUARDED_BY(lock_) = false;        // logged once
};

}  // namespace memhp
