#include "locks/tracked.h"

#include "locks/lock_rule.h"

namespace memhp {

void detail::not_held(const dep_map& map, const char* wanted) {
  // The validator, if it is on, says more: what is held, and where.
  if (lockdep::on()) lockdep::assert_held(map);
  lock_rule_broken(wanted, map.name());
}

}  // namespace memhp
