// A table by lock class that grows by pages: entries never move, and a lookup takes no
// lock.
//
// Thread safety: every function may be called by any thread at any time. The entries
// synchronize themselves. They are destroyed with the table.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

namespace memhp {

// `Classes`: how many there may be, a multiple of 256.
template <class Entry, std::uint32_t Classes>
class class_table {
 public:
  class_table() = default;
  class_table(const class_table&) = delete;
  class_table& operator=(const class_table&) = delete;
  ~class_table() {
    for (auto& page : pages_) delete page.load(std::memory_order_relaxed);
  }

  // Null if nobody has made it yet.
  Entry* find(std::uint32_t index) const {
    const page* at = pages_[index / page_size].load(std::memory_order_acquire);
    if (at == nullptr) return nullptr;
    return at->entries[index % page_size].load(std::memory_order_acquire);
  }
  Entry& make(std::uint32_t index) {
    page& at = made(pages_[index / page_size]);
    return made(at.entries[index % page_size]);
  }

 private:
  static constexpr std::uint32_t page_size = 256;
  struct page {
    std::array<std::atomic<Entry*>, page_size> entries{};
    page() = default;
    page(const page&) = delete;
    page& operator=(const page&) = delete;
    ~page() {
      for (auto& entry : entries) delete entry.load(std::memory_order_relaxed);
    }
  };

  template <class T>
  static T& made(std::atomic<T*>& slot) {
    if (T* there = slot.load(std::memory_order_acquire)) return *there;
    auto fresh = std::make_unique<T>();
    T* expected = nullptr;
    if (slot.compare_exchange_strong(expected, fresh.get(), std::memory_order_acq_rel))
      return *fresh.release();
    return *expected;
  }

  std::array<std::atomic<page*>, Classes / page_size> pages_{};
};

}  // namespace memhp
