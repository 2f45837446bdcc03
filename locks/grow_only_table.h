// An open-addressing hash table that any thread may search while one thread adds to it.
//
// For tables that are searched on every lock and grow only while a program still does new
// things. A search takes no lock and writes nothing. Growing publishes a larger array and
// keeps the old one, because somebody may still be searching it: together they take at
// most twice the memory of the last.
//
// Thread safety: find() runs beside everything. Changes are serialized by the caller.
// A search beside an insert() may miss what is being added; what clear() forgets may be
// found by those who search meanwhile.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace memhp {

// T: a pointer or a number whose T{} never occurs. Hash: T -> 64 bits, of which the low
// ones choose the place.
template <class T, class Hash>
class grow_only_table {
 public:
  // `capacity`: a power of two.
  explicit grow_only_table(std::size_t capacity = 256) {
    use(std::make_unique<array>(capacity));
  }

  // The first element with this hash that `wanted` accepts, or T{}. O(1) expected.
  template <class Wanted>
  T find(std::uint64_t hash, Wanted wanted) const {
    // A pairs with B in use(): without them the zeroes of a new array could be unseen.
    const array& in = *current_.load(std::memory_order_acquire);
    for (std::size_t i = hash & in.mask;; i = (i + 1) & in.mask) {
      // C pairs with D in place(): what a pointer points to is seen complete.
      const T found = in.slots[i].load(std::memory_order_acquire);
      if (found == T{} || wanted(found)) return found;
    }
  }

  void insert(T element) {
    if ((size_ + 1) * 2 > kept_.back()->mask) grow();
    place(*kept_.back(), element);
    ++size_;
  }

  void clear() {
    if (size_ == 0) return;
    array& in = *kept_.back();
    for (std::size_t i = 0; i <= in.mask; ++i)
      in.slots[i].store(T{}, std::memory_order_relaxed);
    size_ = 0;
  }

  std::size_t size() const { return size_; }
  std::size_t capacity() const { return kept_.back()->mask + 1; }

 private:
  struct array {
    explicit array(std::size_t capacity)
        : mask{capacity - 1}, slots{std::make_unique<std::atomic<T>[]>(capacity)} {}
    const std::size_t mask;  // capacity is a power of two
    const std::unique_ptr<std::atomic<T>[]> slots;
  };

  // The table is at most half full, so that there is a free slot.
  static void place(array& in, T element) {
    std::size_t i = Hash{}(element)&in.mask;
    while (in.slots[i].load(std::memory_order_relaxed) != T{}) i = (i + 1) & in.mask;
    in.slots[i].store(element, std::memory_order_release);  // D pairs with C in find()
  }

  void use(std::unique_ptr<array> next) {
    kept_.push_back(std::move(next));
    current_.store(kept_.back().get(), std::memory_order_release);  // B pairs with A
  }

  void grow() {
    const array& old = *kept_.back();
    auto larger = std::make_unique<array>((old.mask + 1) * 2);
    for (std::size_t i = 0; i <= old.mask; ++i)
      if (const T element = old.slots[i].load(std::memory_order_relaxed); element != T{})
        place(*larger, element);
    use(std::move(larger));
  }

  std::vector<std::unique_ptr<array>> kept_;  // the last one is in use
  std::atomic<const array*> current_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace memhp
