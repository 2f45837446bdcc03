// The random numbers of one worker: number i depends on the seed, the worker and i, and
// on nothing that happens during the run.
//
// Thread safety: none; each worker has its own.
#pragma once

#include <cstdint>

namespace memhp::stress {

class sequence {
 public:
  sequence(std::uint64_t seed, std::uint64_t worker)
      : key_{mixed(seed + golden * (worker + 1))} {}

  std::uint64_t next() { return mixed(key_ + golden * ++index_); }
  // From 0 to limit - 1; 0 if limit is 0.
  std::uint64_t below(std::uint64_t limit) {
    return static_cast<std::uint64_t>((static_cast<wide>(next()) * limit) >> 64);
  }

 private:
  __extension__ using wide = unsigned __int128;
  static constexpr std::uint64_t golden = 0x9e3779b97f4a7c15;

  // Stafford's variant 13 of the finalizer of MurmurHash3: splitmix64's.
  static constexpr std::uint64_t mixed(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }

  std::uint64_t key_;
  std::uint64_t index_ = 0;
};

}  // namespace memhp::stress
