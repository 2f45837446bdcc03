#include "fuse/node_table.h"

#include <algorithm>

namespace memhp {
namespace {

// The kernel repeats an open at once; an older ticket belongs to a thread that was
// killed in between, or whose second open failed before it came here. On a host with
// thousands of openers the second open may come after seconds.
constexpr auto ticket_life = std::chrono::seconds{30};

}  // namespace

node_table::node_table(kernfs_node& top) {
  nodes_[top.ino()] = entry{.node = kernfs_ref{&top}, .lookups = 1};
}

bool node_table::idle(node_id id) const {
  const auto hit = nodes_.find(id);
  return hit == nodes_.end() || (hit->second.writers == 0 && hit->second.in_flight == 0 &&
                                 hit->second.reserved_for == 0);
}

// A node of the file that suits: the base node if it does, else a known alias, else a
// new one.
template <class Predicate>
node_id node_table::pick(std::uint64_t ino, Predicate suits) const {
  if (suits(ino)) return ino;
  if (const auto aliases = aliases_.find(ino); aliases != aliases_.end())
    for (const node_id id : aliases->second)
      if (suits(id)) return id;
  for (std::uint64_t n = 1;; ++n)
    if (const node_id id = ino | n << alias_shift; !nodes_.contains(id)) return id;
}

node_id node_table::choose(std::uint64_t ino, pid_t tid) {
  if (const auto mine = tickets_.find(tid);
      mine != tickets_.end() && mine->second.ino == ino) {
    ticket& given = mine->second;
    if (given.reserved == 0)
      given.reserved =
          pick(ino, [this](node_id id) NO_THREAD_SAFETY_ANALYSIS { return idle(id); });
    return given.reserved;
  }
  return pick(ino, [this](node_id id) NO_THREAD_SAFETY_ANALYSIS {
    const auto hit = nodes_.find(id);
    return hit == nodes_.end() || hit->second.in_flight == 0;
  });
}

node_id node_table::look_up(kernfs_node& node, pid_t tid) {
  guard hold{lock_};
  const std::uint64_t ino = node.ino();
  // Only files are written to; everything else has one node.
  const node_id id = node.type() == kernfs_type::file ? choose(ino, tid) : ino;
  entry& found = nodes_[id];
  if (!found.node) {
    found.node = &node;
    if (id != ino) aliases_[ino].push_back(id);
  }
  ++found.lookups;
  if (const auto mine = tickets_.find(tid);
      mine != tickets_.end() && mine->second.reserved == id)
    found.reserved_for = tid;
  return id;
}

void node_table::erase_if_unused(node_id id) {
  const auto hit = nodes_.find(id);
  if (hit == nodes_.end() || hit->second.lookups != 0 || !idle(id)) return;
  nodes_.erase(hit);
  const std::uint64_t ino = base_ino(id);
  if (id == ino) return;
  const auto aliases = aliases_.find(ino);
  std::erase(aliases->second, id);
  if (aliases->second.empty()) aliases_.erase(aliases);
}

void node_table::forget(node_id id, std::uint64_t count) {
  guard hold{lock_};
  const auto hit = nodes_.find(id);
  if (hit == nodes_.end() || hit->second.node->parent() == nullptr) return;
  hit->second.lookups -= std::min(count, hit->second.lookups);
  erase_if_unused(id);
}

kernfs_ref node_table::find(node_id id) const {
  guard hold{lock_};
  const auto hit = nodes_.find(id);
  return hit == nodes_.end() ? kernfs_ref{} : hit->second.node;
}

bool node_table::known(std::uint64_t ino) const {
  guard hold{lock_};
  return nodes_.contains(ino) || aliases_.contains(ino);
}

std::vector<node_id> node_table::ids_of(std::uint64_t ino) const {
  guard hold{lock_};
  std::vector<node_id> ids;
  if (const auto aliases = aliases_.find(ino); aliases != aliases_.end())
    ids = aliases->second;
  if (nodes_.contains(ino)) ids.push_back(ino);
  return ids;
}

// Whether the thread had a ticket that is still good. It has none afterwards.
bool node_table::take_ticket(pid_t tid) {
  const auto mine = tickets_.find(tid);
  if (mine == tickets_.end()) return false;
  const ticket given = mine->second;
  tickets_.erase(mine);
  if (const auto hit = nodes_.find(given.reserved);
      hit != nodes_.end() && hit->second.reserved_for == tid) {
    hit->second.reserved_for = 0;
    erase_if_unused(given.reserved);
  }
  return std::chrono::steady_clock::now() - given.since <= ticket_life;
}

open_answer node_table::give_ticket(std::uint64_t ino, pid_t tid) {
  drop_old_tickets();
  tickets_[tid] = ticket{.ino = ino, .since = std::chrono::steady_clock::now()};
  return open_answer::retry;
}

void node_table::drop_old_tickets() {
  const auto now = std::chrono::steady_clock::now();
  if (now - last_sweep_ < ticket_life) return;
  last_sweep_ = now;
  std::vector<pid_t> old;
  for (const auto& [tid, given] : tickets_)
    if (now - given.since > ticket_life) old.push_back(tid);
  for (const pid_t tid : old) static_cast<void>(take_ticket(tid));
}

open_answer node_table::open_to_write(node_id id, pid_t tid) {
  guard hold{lock_};
  // A client outside our pid namespace has no id by which its lookup could be told.
  const bool second_try = take_ticket(tid) || tid == 0;
  entry& opened = nodes_[id];
  const bool taken = opened.writers != 0 || opened.reserved_for != 0;
  if (taken && !second_try) return give_ticket(base_ino(id), tid);
  ++opened.writers;
  return open_answer::accepted;
}

open_answer node_table::open_to_read(node_id id, pid_t tid) {
  guard hold{lock_};
  const bool second_try = take_ticket(tid) || tid == 0;
  if (nodes_[id].in_flight == 0 || second_try) return open_answer::accepted;
  return give_ticket(base_ino(id), tid);
}

open_answer node_table::open_removed(node_id id, pid_t tid) {
  guard hold{lock_};
  if (take_ticket(tid) || tid == 0) return open_answer::accepted;
  return give_ticket(base_ino(id), tid);
}

bool node_table::release_writer(node_id id) {
  guard hold{lock_};
  const auto hit = nodes_.find(id);
  if (hit == nodes_.end() || hit->second.writers == 0) return false;
  --hit->second.writers;
  erase_if_unused(id);
  const std::uint64_t ino = base_ino(id);
  const auto aliases = aliases_.find(ino);
  if (aliases == aliases_.end()) return false;
  return idle(ino) && std::ranges::all_of(aliases->second, [this](node_id alias)
                                                               NO_THREAD_SAFETY_ANALYSIS {
                                                                 return idle(alias);
                                                               });
}

void node_table::write_begins(node_id id) {
  guard hold{lock_};
  ++nodes_[id].in_flight;
}

void node_table::write_ends(node_id id) {
  guard hold{lock_};
  --nodes_[id].in_flight;
  erase_if_unused(id);
}

}  // namespace memhp
