#include "blocks/memory_notifier.h"

#include <algorithm>

#include "locks/guards.h"

namespace memhp {

void memory_notifier_chain::add(const memory_notifier& notifier) {
  guard hold{rwsem_};
  const auto lower = std::ranges::find_if(
      chain_, [&](const auto* other) { return other->priority < notifier.priority; });
  chain_.insert(lower, &notifier);
}

void memory_notifier_chain::remove(const memory_notifier& notifier) {
  guard hold{rwsem_};
  std::erase(chain_, &notifier);
}

result<> memory_notifier_chain::call(memory_event event, const memory_notify& what) {
  read_guard hold{rwsem_};
  for (const memory_notifier* notifier : chain_)
    if (auto ok = notifier->call(event, what); !ok) return ok;
  return {};
}

}  // namespace memhp
