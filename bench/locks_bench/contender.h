// What a question asks of a lock, and the face that most of them need.
//
// A contender is a type with
//   static constexpr std::string_view name;
//   static constexpr role part;
//   struct session;   // what a thread needs to use it: made once a thread, {contender&}
//   void read_lock(session&), read_unlock(session&)      if it can be read
//   void write_lock(session&), write_unlock(session&)    if it can be written
//   struct burst;     // {contender&}: a scope of many writes, if it has one
// The questions are templates over it, so that every lock is inlined alike.
#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>
#include <utility>

namespace memhp::bench {

enum class role : std::uint8_t {
  ours,
  rival,
  exclusive,  // readers exclude each other
  read_side,  // RCU: readers and writers do not exclude each other; for reference
  limit,      // what hardware or kernel charges for a part of one, or for the least one
};

template <class L>
concept readable = requires(L& lock, typename L::session& mine) {
  lock.read_lock(mine);
  lock.read_unlock(mine);
};

template <class L>
concept writable = requires(L& lock, typename L::session& mine) {
  lock.write_lock(mine);
  lock.write_unlock(mine);
};

// Readers and writers exclude each other: what the mixes need.
template <class L>
concept excluding = readable<L> && writable<L> && L::part != role::read_side;

template <class L>
concept bursting = requires { typename L::burst; };

// For locks with the members of std::shared_mutex, which need no session.
template <class Raw>
struct shared_face {
  struct session {
    explicit session(shared_face& /*lock*/) {}
  };
  template <class... Args>
  explicit shared_face(Args&&... args) : raw{std::forward<Args>(args)...} {}
  void read_lock(session& /*mine*/) { raw.lock_shared(); }
  void read_unlock(session& /*mine*/) { raw.unlock_shared(); }
  void write_lock(session& /*mine*/) { raw.lock(); }
  void write_unlock(session& /*mine*/) { raw.unlock(); }

  Raw raw;
};

// For those with the members of std::mutex: who reads excludes everybody.
template <class Raw>
struct exclusive_face {
  struct session {
    explicit session(exclusive_face& /*lock*/) {}
  };
  template <class... Args>
  explicit exclusive_face(Args&&... args) : raw{std::forward<Args>(args)...} {}
  void read_lock(session& /*mine*/) { raw.lock(); }
  void read_unlock(session& /*mine*/) { raw.unlock(); }
  void write_lock(session& /*mine*/) { raw.lock(); }
  void write_unlock(session& /*mine*/) { raw.unlock(); }

  Raw raw;
};

}  // namespace memhp::bench
