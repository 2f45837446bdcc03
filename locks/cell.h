// Data that decides branches, seen by a controlled scheduler.
//
// cell<T> is a plain T that a lock guards. atomic_cell<T> is a std::atomic<T>: it may be
// read by anybody at any time, so each access is a step between which others can run.
// With OS threads both are what they wrap, and one predictable branch.
//
// Thread safety: as T, and as std::atomic<T>.
#pragma once

#include <atomic>
#include <string_view>
#include <utility>

#include "locks/execution.h"

namespace memhp {

namespace detail {

// The object of an execution that a cell is; none with OS threads.
class cell_identity {
 public:
  explicit cell_identity(std::string_view name) {
    if (controlled != nullptr) [[unlikely]]
      id_ = controlled->add(lock_kind::cell, name);
  }
  ~cell_identity() {
    if (id_ != 0 && controlled != nullptr) [[unlikely]]
      controlled->remove(id_);
  }
  cell_identity(const cell_identity&) = delete;
  cell_identity& operator=(const cell_identity&) = delete;

  void touch(execution::access how) const {
    if (controlled != nullptr) [[unlikely]]
      controlled->touch(id_, how);
  }
  void step(lock_op op) const {
    if (controlled != nullptr) [[unlikely]]
      controlled->at(op, id_);
  }

 private:
  object_id id_ = 0;
};

}  // namespace detail

template <class T>
class cell {
 public:
  explicit cell(std::string_view name, T value = {})
      : value_{std::move(value)}, identity_{name} {}

  const T& get() const {
    identity_.touch(execution::access::read);
    return value_;
  }
  void set(T value) {
    identity_.touch(execution::access::write);
    value_ = std::move(value);
  }
  operator const T&() const { return get(); }  // NOLINT: reads as the data it wraps
  cell& operator=(T value) {
    set(std::move(value));
    return *this;
  }

 private:
  T value_;
  detail::cell_identity identity_;
};

template <class T>
class atomic_cell {
 public:
  explicit atomic_cell(std::string_view name, T value = {})
      : value_{value}, identity_{name} {}

  T load(std::memory_order order = std::memory_order_seq_cst) const {
    identity_.step(lock_op::load);
    return value_.load(order);
  }
  void store(T value, std::memory_order order = std::memory_order_seq_cst) {
    identity_.step(lock_op::store);
    value_.store(value, order);
  }
  bool compare_exchange_strong(T& expected, T wanted, std::memory_order order) {
    identity_.step(lock_op::exchange);
    return value_.compare_exchange_strong(expected, wanted, order);
  }
  operator T() const { return load(); }  // NOLINT: reads as the atomic it wraps
  atomic_cell& operator=(T value) {
    store(value);
    return *this;
  }

 private:
  std::atomic<T> value_;
  detail::cell_identity identity_;
};

}  // namespace memhp
