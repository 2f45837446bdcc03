#include "blocks/memory_block.h"

#include "locks/lock_rule.h"

namespace memhp {

std::optional<online_type> online_type_from(std::string_view word) {
  using enum online_type;
  for (const online_type type : {offline, online, online_kernel, online_movable})
    if (word == to_string(type)) return type;
  return std::nullopt;
}

result<> memory_block::change_state(block_state to, block_state from) {
  if (!is_transition(from, to)) lock_rule_broken("impossible block state", to_string(to));
  if (!state_.compare_exchange_strong(from, to, std::memory_order_acq_rel))
    return fail(errc::invalid_argument);
  return {};
}

}  // namespace memhp
