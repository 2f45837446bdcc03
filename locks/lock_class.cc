#include "locks/lock_class.h"

#include <deque>
#include <map>
#include <mutex>
#include <utility>

namespace memhp {
namespace {

// Grows only; a deque keeps its elements where they are.
struct class_table {
  std::mutex lock;
  std::deque<lock_class> classes;
  std::map<std::pair<const void*, unsigned>, lock_class*> by_key;
  std::map<std::string, unsigned, std::less<>> versions;  // keys seen of each name
};

// Never destroyed: locks in static storage outlive every destructor.
class_table& table() {
  static auto& made = *new class_table;
  return made;
}

// name_version of the kernel: the second key of a name is "name#2". Subclasses of one key
// share its version.
std::string versioned_name(class_table& known, const void* key, std::string_view name) {
  const auto sibling = known.by_key.lower_bound({key, 0});
  if (sibling != known.by_key.end() && sibling->first.first == key)
    return sibling->second->name;
  auto [version, is_new] = known.versions.try_emplace(std::string{name}, 0);
  if (++version->second == 1) return std::string{name};
  return std::string{name} + "#" + std::to_string(version->second);
}

}  // namespace

std::string lock_class::full_name() const {
  return subclass == 0 ? name : name + "/" + std::to_string(subclass);
}

lock_class& find_lock_class(const void* key, unsigned subclass,
                            const lock_class_key& like) {
  class_table& known = table();
  const std::lock_guard hold{known.lock};
  if (const auto hit = known.by_key.find({key, subclass}); hit != known.by_key.end())
    return *hit->second;
  std::string name = versioned_name(known, key, like.name);
  const auto id = static_cast<unsigned>(known.classes.size());
  lock_class& made = known.classes.emplace_back(id, key, subclass, std::move(name), like);
  known.by_key.emplace(std::pair{key, subclass}, &made);
  return made;
}

void for_each_lock_class(const std::function<void(lock_class&)>& visit) {
  class_table& known = table();
  std::size_t count = 0;
  {
    const std::lock_guard hold{known.lock};
    count = known.classes.size();
  }
  for (std::size_t id = 0; id < count; ++id)
    visit(lock_class_at(static_cast<unsigned>(id)));
}

lock_class& lock_class_at(unsigned id) {
  class_table& known = table();
  const std::lock_guard hold{known.lock};
  return known.classes[id];
}

}  // namespace memhp
