// lock_stat in memory that other processes may read: `memhp stat --locks` looks at a
// machine's locks while the machine is stuck, and after it died.
//
// Thread safety: one thread publishes; any number of processes read. A reader sees each
// figure current as of some publication, but no consistent cut.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "locks/lock_stat.h"

namespace memhp {

// Plain figures of one class, by whoever has them.
struct lock_figures {
  struct point {
    std::string where;
    std::uint64_t count = 0;
  };
  std::string name;
  lock_class_stats stats;  // without its points, whose addresses mean nothing elsewhere
  std::vector<point> contention_points;
  std::vector<point> contending_points;
};

// The figures of this process, most contended first; classes that were never held are
// left out. Names of functions are looked up: tens of microseconds each.
std::vector<lock_figures> current_lock_figures();

class shared_lock_figures {
 public:
  static constexpr std::size_t max_classes = 256;  // the most contended ones

  // Replaces what was there.
  void publish(const std::vector<lock_figures>& figures, bool counting);
  std::vector<lock_figures> read() const;
  // Whether lock_stat was on at the last publication.
  bool counting() const { return counting_ != 0; }

 private:
  using counter = std::atomic<std::uint64_t>;
  static_assert(counter::is_always_lock_free);
  template <std::size_t Size>
  using shared_text = std::array<std::atomic<char>, Size>;

  struct shared_times {
    counter nr = 0;
    counter total_ns = 0;
    counter min_ns = 0;
    counter max_ns = 0;
    std::array<counter, lock_times::buckets> histogram{};
    void store(const lock_times& times);
    lock_times load() const;
  };
  struct shared_side {
    shared_times wait;
    shared_times hold;
    counter contended_bounces = 0;
    counter acquired_bounces = 0;
    void store(const lock_class_stats::side& side);
    lock_class_stats::side load() const;
  };
  struct shared_point {
    shared_text<64> where{};
    counter count = 0;
  };
  using shared_points = std::array<shared_point, lock_class_stats::max_points>;
  struct shared_class {
    shared_text<64> name{};
    shared_side write;
    shared_side read;
    shared_points contention_points;
    shared_points contending_points;
  };
  static void store(shared_points& to, const std::vector<lock_figures::point>& points);
  static std::vector<lock_figures::point> load(const shared_points& points);

  std::atomic<std::uint32_t> classes_ = 0;
  std::atomic<std::uint32_t> counting_ = 0;
  std::array<shared_class, max_classes> class_;
};

}  // namespace memhp
