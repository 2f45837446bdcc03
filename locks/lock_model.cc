#include "locks/lock_model.h"

#include <array>

namespace memhp {
namespace {

struct op_facts {
  std::string_view name;
  lock_kind kind;
  bool release;
};

// By lock_op.
constexpr std::array facts = {
    op_facts{"lock", lock_kind::mutex, false},
    op_facts{"try_lock", lock_kind::mutex, false},
    op_facts{"unlock", lock_kind::mutex, true},
    op_facts{"read_lock", lock_kind::rw_semaphore, false},
    op_facts{"try_read_lock", lock_kind::rw_semaphore, false},
    op_facts{"read_unlock", lock_kind::rw_semaphore, true},
    op_facts{"announce_write", lock_kind::rw_semaphore, false},
    op_facts{"write_lock", lock_kind::rw_semaphore, false},
    op_facts{"try_write_lock", lock_kind::rw_semaphore, false},
    op_facts{"write_unlock", lock_kind::rw_semaphore, true},
    op_facts{"wait", lock_kind::completion, false},
    op_facts{"try_wait", lock_kind::completion, false},
    op_facts{"complete", lock_kind::completion, true},
    op_facts{"complete_all", lock_kind::completion, true},
    op_facts{"get_active", lock_kind::active_reference, false},
    op_facts{"put_active", lock_kind::active_reference, true},
    op_facts{"deactivate", lock_kind::active_reference, true},
    op_facts{"drain", lock_kind::active_reference, false},
    op_facts{"prepare_to_wait", lock_kind::wait_queue, false},
    op_facts{"sleep", lock_kind::wait_queue, false},
    op_facts{"wake", lock_kind::wait_queue, true},
    op_facts{"load", lock_kind::cell, false},
    op_facts{"store", lock_kind::cell, true},
    op_facts{"exchange", lock_kind::cell, false},
    op_facts{"try_again", lock_kind::mutex, false},  // of any kind, see broken_rule()
};

const op_facts& facts_of(lock_op op) {
  return facts[static_cast<std::size_t>(op)];
}

constexpr std::uint16_t owner_of(unsigned task) {
  return static_cast<std::uint16_t>(task + 1);
}

bool may_read(const lock_state& s) {
  return s.owner == 0 && s.announced == 0;
}
bool may_write(const lock_state& s) {
  return s.owner == 0 && s.count == 0;
}

std::uint32_t apply_mutex(lock_state& s, const lock_step& step) {
  if (step.op == lock_op::unlock) {
    s.owner = 0;
    ++s.version;
    return 1;
  }
  if (step.op == lock_op::try_lock && s.owner != 0) return 0;
  s.owner = owner_of(step.task);
  return 1;
}

std::uint32_t apply_rwsem(lock_state& s, const lock_step& step) {
  switch (step.op) {
    using enum lock_op;
    case try_read_lock:
      if (!may_read(s)) return 0;
      [[fallthrough]];
    case read_lock: ++s.count; return 1;
    case announce_write: ++s.announced; return 1;
    case write_lock:
      --s.announced;
      s.owner = owner_of(step.task);
      return 1;
    case try_write_lock:
      if (!may_write(s) || s.announced != 0) return 0;
      s.owner = owner_of(step.task);
      return 1;
    case read_unlock: --s.count; break;
    default: s.owner = 0; break;  // write_unlock
  }
  ++s.version;
  return 1;
}

std::uint32_t apply_completion(lock_state& s, const lock_step& step) {
  switch (step.op) {
    using enum lock_op;
    case complete:
    case complete_all:
      s.closed = s.closed || step.op == complete_all;
      ++s.count;
      ++s.version;
      return 1;
    default: break;  // wait, try_wait
  }
  if (s.closed) return 1;
  if (s.count == 0) return 0;
  --s.count;
  return 1;
}

std::uint32_t apply_active(lock_state& s, const lock_step& step) {
  switch (step.op) {
    using enum lock_op;
    case get_active:
      if (s.closed) return 0;
      ++s.count;
      return 1;
    case put_active: --s.count; break;
    case deactivate: s.closed = true; break;
    default: return 1;  // drain
  }
  ++s.version;
  return 1;
}

}  // namespace

std::string_view to_string(lock_op op) {
  return facts_of(op).name;
}

bool is_release(lock_op op) {
  return facts_of(op).release;
}

bool enabled(const lock_state& s, const lock_step& step) {
  switch (step.op) {
    using enum lock_op;
    case lock: return s.owner == 0;
    case read_lock: return may_read(s);
    case write_lock: return may_write(s);
    case wait: return s.closed || s.count != 0;
    case drain: return s.count == 0;
    case sleep:
    case try_again: return s.version != step.argument;
    default: return true;
  }
}

std::uint32_t apply(lock_state& s, const lock_step& step) {
  if (step.op == lock_op::try_again) return 1;
  switch (s.kind) {
    case lock_kind::mutex: return apply_mutex(s, step);
    case lock_kind::rw_semaphore: return apply_rwsem(s, step);
    case lock_kind::completion: return apply_completion(s, step);
    case lock_kind::active_reference: return apply_active(s, step);
    case lock_kind::wait_queue:
      if (step.op == lock_op::wake) ++s.version;
      return step.op == lock_op::prepare_to_wait ? s.version : 1;
    case lock_kind::cell: return 1;
  }
  return 1;
}

const char* broken_rule(const lock_state& s, const lock_step& step) {
  switch (step.op) {
    using enum lock_op;
    case try_again: return nullptr;
    case unlock:
    case write_unlock:
      if (s.owner != owner_of(step.task)) return "unlock of a lock that is not held";
      break;
    case read_unlock:
      if (s.count == 0) return "read unlock of a lock that nobody reads";
      break;
    case put_active:
      if (s.count == 0) return "an active reference is given back that nobody has";
      break;
    case drain:
      if (!s.closed) return "drain of what is still active";
      break;
    case write_lock:
      if (s.announced == 0) return "a writer that did not announce itself";
      break;
    default: break;
  }
  return facts_of(step.op).kind == s.kind ? nullptr : "an operation of another lock";
}

}  // namespace memhp
