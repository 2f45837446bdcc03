// What the models of the locks share: every order of the steps of a few threads is tried,
// and each thread may have a store buffer as on x86 (TSO).
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <set>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

namespace memhp {

// The stores of one thread that have not reached memory: it sees them itself, the others
// do not yet, and they leave in their order. A fence or a locked instruction is a step
// that is only possible while it is empty.
class store_buffer {
 public:
  bool is_empty() const { return used_ == 0; }

  // False if there is no room: the thread has to wait.
  [[nodiscard]] bool put(int to, int value) {
    if (used_ == stores_.size()) return false;
    stores_[used_++] = {static_cast<std::uint8_t>(to), static_cast<std::uint8_t>(value)};
    return true;
  }

  template <class Memory>
  std::uint8_t load(const Memory& memory, int from) const {
    for (std::size_t i = used_; i-- > 0;)
      if (stores_[i].to == from) return stores_[i].value;
    return memory[static_cast<std::size_t>(from)];
  }

  // Lets the oldest store reach memory. False if there is none.
  template <class Memory>
  bool flush_one(Memory& memory) {
    if (used_ == 0) return false;
    memory[stores_[0].to] = stores_[0].value;
    for (std::size_t i = 1; i < used_; ++i) stores_[i - 1] = stores_[i];
    stores_[--used_] = {};  // equal buffers are equal bytes
    return true;
  }

  template <class Memory>
  void flush(Memory& memory) {
    while (flush_one(memory)) {
    }
  }

 private:
  struct store {
    std::uint8_t to, value;
  };
  std::uint8_t used_ = 0;
  std::array<store, 4> stores_{};
};

// `Moment` is all that distinguishes one moment from another. It is compared byte by
// byte, so it has bytes only, and what is not in use is zero.
template <class Moment>
class exhaustive_model {
  static_assert(std::is_trivially_copyable_v<Moment> && alignof(Moment) == 1);

 public:
  // The kinds of what goes wrong in some order: what broken() says, and `stuck` if no
  // thread can go on and not all have ended.
  std::set<std::string> explore(const char* stuck) {
    std::set<std::string> wrong;
    std::vector<Moment> todo{now_};
    remember();
    while (!todo.empty()) {
      const Moment from = todo.back();
      todo.pop_back();
      bool moved = false;
      for (std::size_t thread = 0; thread < from.threads.size(); ++thread)
        for (const bool other : {false, true}) {
          now_ = from;
          if (!step(thread, other)) continue;
          moved = true;
          if (const char* what = broken()) wrong.insert(what);
          if (remember()) todo.push_back(now_);
        }
      now_ = from;
      if (!moved && !all_ended()) wrong.insert(stuck);
    }
    return wrong;
  }
  std::size_t moments() const { return seen_.size(); }

 protected:
  exhaustive_model() = default;
  ~exhaustive_model() = default;

  Moment now_{};

 private:
  // Lets a thread go one step on. Every thread has up to two ways to: one program step,
  // or (`other`) what the hardware or chance does. False if this one is not possible now.
  virtual bool step(std::size_t thread, bool other) = 0;
  // What is wrong with this moment; null if nothing is.
  virtual const char* broken() const = 0;
  virtual bool all_ended() const = 0;

  bool remember() {
    std::string bytes(sizeof now_, '\0');
    std::memcpy(bytes.data(), &now_, sizeof now_);
    return seen_.insert(std::move(bytes)).second;
  }

  std::unordered_set<std::string> seen_;
};

}  // namespace memhp
