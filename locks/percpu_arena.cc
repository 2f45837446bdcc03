#include "locks/percpu_arena.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <memory>
#include <mutex>
#include <vector>

#include "locks/lock_rule.h"
#include "locks/percpu_counter.h"
#include "locks/percpu_rwsem.h"

namespace memhp {
namespace {

// One mapping: a row's part of it is full of pairs.
struct segment {
  static constexpr std::size_t places =
      (std::size_t{1} << percpu_row_shift) / sizeof(percpu_counts);

  std::byte* base = nullptr;
  std::array<percpu_rw_semaphore*, places> owners{};
  std::size_t first_free = 0;  // none below it is free
};

struct arena {
  std::mutex lock;
  std::vector<std::unique_ptr<segment>> segments;
};

void before_fork();
void after_fork_in_parent();
void after_fork_in_child();

arena& the_arena() {
  static auto& made = [] -> arena& {
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    return *new arena;  // locks may outlive every destructor
  }();
  return made;
}

void before_fork() {
  the_arena().lock.lock();
}
void after_fork_in_parent() {
  the_arena().lock.unlock();
}

// The holds of threads that are not there would never be given back: every lock of the
// child is free.
void after_fork_in_child() {
  arena& all = the_arena();
  percpu_forget_other_threads();
  for (const auto& part : all.segments) {
    // Private memory of this process: afterwards it is zero again. If not, writers would
    // wait for readers that are not there.
    if (madvise(part->base, percpu_segment_bytes(), MADV_DONTNEED) != 0)
      lock_rule_broken("its counters cannot be cleared in the child of a fork",
                       "percpu_rw_semaphore", nullptr);
    for (percpu_rw_semaphore* owner : part->owners)
      if (owner != nullptr) owner->reset_after_fork();
  }
  all.lock.unlock();
}

segment& new_segment(arena& all) {
  void* const memory = mmap(nullptr, percpu_segment_bytes(), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    lock_rule_broken("no address space for its counters", "percpu_rw_semaphore", nullptr);
  // A huge page would make every row as large as one.
  madvise(memory, percpu_segment_bytes(), MADV_NOHUGEPAGE);
  auto& made = *all.segments.emplace_back(std::make_unique<segment>());
  made.base = static_cast<std::byte*>(memory);
  return made;
}

}  // namespace

std::byte* percpu_arena_take(percpu_rw_semaphore& owner) {
  percpu_init();
  arena& all = the_arena();
  const std::lock_guard hold{all.lock};
  const auto has_room = [](const auto& part) {
    return part->first_free < segment::places;
  };
  const auto found = std::ranges::find_if(all.segments, has_room);
  segment& part = found == all.segments.end() ? new_segment(all) : **found;
  const std::size_t place = part.first_free;
  part.owners[place] = &owner;
  while (part.first_free < segment::places && part.owners[part.first_free] != nullptr)
    ++part.first_free;
  return part.base + place * sizeof(percpu_counts);
}

void percpu_arena_give_back(std::byte* place) {
  arena& all = the_arena();
  const std::lock_guard hold{all.lock};
  for (const auto& part : all.segments) {
    if (place < part->base || place >= part->base + (1 << percpu_row_shift)) continue;
    const auto at = static_cast<std::size_t>(place - part->base) / sizeof(percpu_counts);
    part->owners[at] = nullptr;
    part->first_free = std::min(part->first_free, at);
    return;
  }
}

}  // namespace memhp
