#include "locks/lock_class.h"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>

#include "locks/grow_only_table.h"

namespace memhp {
namespace {

constexpr std::uint8_t used_to_write = 1;
constexpr std::uint8_t used_to_read = 2;
constexpr std::uint8_t held_to_write = 4;
constexpr std::uint8_t held_to_read = 8;

// The name is left out: few classes share an address, and those are told apart later.
std::uint64_t hash_of(const void* key, unsigned subclass) {
  const auto address = reinterpret_cast<std::uintptr_t>(key) + subclass;
  return (address * 0x9E3779B97F4A7C15) >> 20;
}

struct class_hash {
  std::uint64_t operator()(const lock_class* cls) const {
    return hash_of(cls->key, cls->subclass);
  }
};

}  // namespace

struct lock_class_table {
  std::mutex lock;
  std::deque<lock_class> classes;  // by id; a deque keeps its elements where they are
  std::vector<lock_class*> registered;
  std::map<std::string, std::vector<lock_class*>, std::less<>> by_name;  // registered
  grow_only_table<lock_class*, class_hash> by_key;

  // Never destroyed: locks in static storage outlive every destructor.
  static lock_class_table& instance() {
    static auto& made = *new lock_class_table;
    return made;
  }

  lock_class* find(const void* key, unsigned subclass, std::string_view name) const {
    return by_key.find(hash_of(key, subclass), [&](const lock_class* cls) {
      return cls->key == key && cls->subclass == subclass && cls->name == name;
    });
  }

  lock_class& find_or_make(const void* key, unsigned subclass,
                           const lock_class_key& like) {
    const std::lock_guard hold{lock};
    if (lock_class* known = find(key, subclass, like.name)) return *known;
    const auto id = static_cast<std::uint32_t>(classes.size());
    lock_class& made = classes.emplace_back(id, key, subclass, like);
    by_key.insert(&made);
    return made;
  }

  // count_matching_names(): a subclass has the version of its siblings, another key one
  // more than the last.
  void give_version(lock_class& cls) {
    const std::lock_guard hold{lock};
    if (cls.version() != 0) return;
    auto& same_name = by_name[cls.name];
    int version = 1;
    for (const lock_class* other : same_name) {
      if (other->key == cls.key) {
        version = other->version();
        break;
      }
      version = std::max(version, other->version() + 1);
    }
    same_name.push_back(&cls);
    registered.push_back(&cls);
    cls.version_.store(version, std::memory_order_relaxed);
  }

  void forget() {
    const std::lock_guard hold{lock};
    for (lock_class* cls : registered) {
      cls->version_.store(0, std::memory_order_relaxed);
      cls->usage_.store(0, std::memory_order_relaxed);
    }
    registered.clear();
    by_name.clear();
  }
};

void lock_class::mark_used(read_kind how, bool held) {
  if (!validated) return;  // as the kernel: its usage stays all dots
  std::uint8_t bits = how == read_kind::write ? used_to_write : used_to_read;
  if (held) bits |= how == read_kind::write ? held_to_write : held_to_read;
  usage_.fetch_or(bits, std::memory_order_relaxed);
}

lock_usage lock_class::usage() const {
  const std::uint8_t bits = usage_.load(std::memory_order_relaxed);
  return {.write = (bits & used_to_write) != 0,
          .read = (bits & used_to_read) != 0,
          .reclaim_write = (bits & held_to_write) != 0,
          .reclaim_read = (bits & held_to_read) != 0};
}

reported_class lock_class::described() const {
  return {.name = name,
          .version = std::max(1, version()),
          .subclass = static_cast<int>(subclass),
          .usage = usage(),
          .wait_outer = wait_type,
          .wait_inner = wait_type,
          .percpu_rwsem = percpu_rwsem};
}

std::string lock_class::full_name() const {
  return name_text(described(), report_format_6_1);
}

lock_class& find_lock_class(const void* key, unsigned subclass,
                            const lock_class_key& like) {
  auto& table = lock_class_table::instance();
  if (lock_class* known = table.find(key, subclass, like.name)) return *known;
  return table.find_or_make(key, subclass, like);
}

void register_lock_class(lock_class& cls) {
  if (cls.version() == 0) lock_class_table::instance().give_version(cls);
}

std::vector<lock_class*> registered_lock_classes() {
  auto& table = lock_class_table::instance();
  const std::lock_guard hold{table.lock};
  return table.registered;
}

lock_class& lock_class_at(std::uint32_t id) {
  auto& table = lock_class_table::instance();
  const std::lock_guard hold{table.lock};
  return table.classes[id];
}

void forget_lock_classes() {
  lock_class_table::instance().forget();
}

void lock_lock_classes() {
  lock_class_table::instance().lock.lock();
}

void unlock_lock_classes() {
  lock_class_table::instance().lock.unlock();
}

}  // namespace memhp
