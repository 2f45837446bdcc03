// What happens the first time: learning dependencies, checking them, and the reports.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ranges>
#include <utility>

#include "locks/execution.h"
#include "locks/lock_orders.h"
#include "locks/lockdep_internal.h"

namespace memhp::lockdep {
namespace detail {
namespace {

using findings = std::vector<std::pair<lockdep_report, bool>>;  // and whether fatal

// One look at one new nesting. Lives under validator::lock.
class inspection {
 public:
  inspection(validator& all, task& t, const acquisition& wanted)
      : all_{all}, t_{t}, wanted_{wanted} {}

  void run(std::uint64_t key) {
    const guard hold{all_.lock};
    const auto is_key = [key](std::uint64_t known) { return known == key; };
    if (all_.known.find(chain_hash{}(key), is_key) == key) return;
    ++all_.count.chain_misses;
    all_.count.max_depth = std::max(all_.count.max_depth, t_.locks().size() + 1);
    register_lock_class(wanted_.cls);
    wanted_.cls.mark_used(wanted_.read(), (wanted_.flags & waited_bit) == 0);
    if (!is_settled()) return;
    all_.known.insert(key);
    self.place_of(key) = key;
  }
  findings& found() { return found_; }

 private:
  // Whether the nesting need not be looked at again. A recursion is, and is no chain,
  // until all that can be said of its class was: one that a lock taken twice makes
  // certain must not hide behind one of two locks.
  bool is_settled() REQUIRES(all_.lock) {
    if (wanted_.trylock() || !wanted_.cls.validated) return true;
    const recursion found = check_recursion();
    if (found != recursion::in_order) add_edges();
    if (found == recursion::deadlock) return all_recursions_reported();
    remember_chain();
    return true;
  }

  enum class recursion : std::uint8_t { none, in_order, deadlock };

  // check_deadlock(): the class is held already. In order if nothing can wait for itself
  // here; under a nest lock the nesting then adds no dependency either.
  recursion check_recursion() REQUIRES(all_.lock) {
    const bool nested = wanted_.nest != nullptr;  // and held: acquire_on() saw to that
    for (const held_lock& held : t_.locks()) {
      if (&held.class_of() != &wanted_.cls) continue;
      if (wanted_.read() == read_kind::recursive_read && held.read() != read_kind::write)
        continue;
      if (nested) return recursion::in_order;
      report_recursion(held);
      return recursion::deadlock;
    }
    return recursion::none;
  }

  // Once for a class, and once more for one lock of it that is taken twice: that waits
  // for itself for certain, unless both are reads and no writer comes between them.
  void report_recursion(const held_lock& held) REQUIRES(all_.lock) {
    const bool one_lock = held.is(wanted_.map);
    if (!all_.cycles_seen.insert(recursion_name(one_lock)).second) return;
    recursive_report report;
    report.wanted = wanted_.described();
    report.blocking = held.described();
    fill(report, t_, wanted_.ip);
    const bool reads =
        held.read() != read_kind::write && wanted_.read() != read_kind::write;
    found_.emplace_back(std::move(report), one_lock && !reads);
  }

  // What a recursion is called in cycles_seen.
  std::vector<std::uint32_t> recursion_name(bool one_lock) const {
    return std::vector<std::uint32_t>(one_lock ? 2 : 1, wanted_.cls.id);
  }
  bool all_recursions_reported() REQUIRES(all_.lock) {
    return all_.cycles_seen.contains(recursion_name(false)) &&
           all_.cycles_seen.contains(recursion_name(true));
  }

  // check_prevs_add(): every lock that is held, from the last one down to the first that
  // was waited for; what lies deeper is connected through that one already. Below a
  // recursive read it is not - no strong path goes from a recursive read on through its
  // shared hold - so that the walk goes on there. The kernel's stops, since 5.10, and
  // misses "A, then B to read recursively, then C" against "C, then A".
  void add_edges() REQUIRES(all_.lock) {
    const auto held = t_.locks();
    for (std::size_t i = held.size(); i-- > 0;) {
      const lock_class& cls = held[i].class_of();
      if (!cls.validated) continue;
      if (&cls != &wanted_.cls) check_edge(held[i], i + 1 == held.size());
      if (!held[i].trylock() && held[i].read() != read_kind::recursive_read) return;
    }
  }

  // check_prev_add(): the dependency held -> wanted. It is added in any case, so that
  // other cycles through it are found too.
  void check_edge(const held_lock& held, bool direct) REQUIRES(all_.lock) {
    const std::uint32_t from = held.class_of().id;
    const std::uint32_t to = wanted_.cls.id;
    const dep_kind kind = dep_kind_of(held.read(), wanted_.read());
    if (all_.graph.has_edge(from, to, kind)) {
      all_.graph.add_edge(from, to, kind, 0, direct);
      note_mode(held);
      return;
    }
    ++all_.count.cyclic_checks;
    const auto path = unreported_path(held);
    if (!stack_) stack_ = all_.stacks.add(stack_from(wanted_.ip));
    const auto added = all_.graph.add_edge(from, to, kind, *stack_, direct);
    if (added == lock_graph::added::edge)
      all_.edges.push_back({.held_at = held.ip.load(std::memory_order_relaxed)});
    note_mode(held);
    if (path) report_cycle(held, *path);
  }

  using walk = std::vector<lock_graph::step>;

  // The shortest strong path that makes a cycle of held -> wanted which was not reported.
  // Every other cycle misses an edge of one that was: so it is looked for without each of
  // its edges in turn, and so on, up to a limit that real programs do not reach.
  std::optional<walk> unreported_path(const held_lock& held) REQUIRES(all_.lock) {
    constexpr std::size_t most_searches = 64;
    std::vector<std::vector<std::uint32_t>> left_out{{}};
    for (std::size_t i = 0; i < left_out.size() && i < most_searches; ++i) {
      const std::vector<std::uint32_t> without = left_out[i];
      auto found = all_.graph.find_strong_path(wanted_.cls.id, wanted_.read(),
                                               held.class_of().id, held.read(), without);
      if (!found) continue;
      if (!was_reported(cycle_of(held, *found))) return found;
      for (const lock_graph::step& step : *found) {
        left_out.push_back(without);
        left_out.back().push_back(*all_.graph.find_edge(step.from, step.to));
      }
    }
    return std::nullopt;
  }

  // The classes of a cycle in their order, from the one with the least id.
  std::vector<std::uint32_t> cycle_of(const held_lock& held, const walk& from) const {
    std::vector<std::uint32_t> classes;
    classes.reserve(from.size() + 1);
    for (const lock_graph::step& step : from) classes.push_back(step.from);
    classes.push_back(held.class_of().id);
    std::ranges::rotate(classes, std::ranges::min_element(classes));
    return classes;
  }

  // A walk that meets a class twice has a smaller cycle in it, which was reported.
  bool was_reported(const std::vector<std::uint32_t>& cycle) const REQUIRES(all_.lock) {
    auto sorted = cycle;
    std::ranges::sort(sorted);
    return std::ranges::adjacent_find(sorted) != sorted.end() ||
           all_.cycles_seen.contains(cycle);
  }

  void report_cycle(const held_lock& held, const walk& found) REQUIRES(all_.lock) {
    all_.cycles_seen.insert(cycle_of(held, found));
    edge_from(held).closes_cycle = true;
    found_.emplace_back(circular(held, found), false);
  }

  // Of the edge held -> wanted, which is there.
  edge_facts& edge_from(const held_lock& held) REQUIRES(all_.lock) {
    return all_.edges[*all_.graph.find_edge(held.class_of().id, wanted_.cls.id)];
  }

  void note_mode(const held_lock& held) REQUIRES(all_.lock) {
    using enum order_mode;
    const bool writes = wanted_.read() == read_kind::write;
    const order_mode seen = held.read() == read_kind::write
                                ? (writes ? write_write : write_read)
                                : (writes ? read_write : read_read);
    edge_from(held).modes |= static_cast<std::uint8_t>(seen);
  }

  // The chain: what is wanted, with the stack of now; then each lock with the stack that
  // once took it while the one before it was held; last the one held now.
  circular_report circular(const held_lock& held, const walk& path) REQUIRES(all_.lock) {
    circular_report report;
    fill(report, t_, wanted_.ip);
    report.wanted = wanted_.described();
    report.blocking = held.described();
    report.chain.push_back({.lock = report.wanted.lock, .stack = report.backtrace});
    for (const lock_graph::step& step : path)
      report.chain.push_back({.lock = lock_class_at(step.to).described(),
                              .stack = all_.stacks.at(step.payload)});
    return report;
  }

  void remember_chain() REQUIRES(all_.lock) {
    std::vector<std::uint32_t> chain;
    for (const held_lock& held : t_.locks()) chain.push_back(held.class_of().id);
    chain.push_back(wanted_.cls.id);
    all_.count.chain_hlocks += chain.size();
    all_.chains.push_back(std::move(chain));
  }

  validator& all_;
  task& t_;
  const acquisition& wanted_;
  std::optional<unsigned> stack_;  // of now, once kept
  findings found_;
};

void print_to_stderr(const lockdep_report& report, const report_format& format) {
  const std::string text = to_text(report, format);
  (void)std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace

validator& validator::instance() {
  static auto& made = *new validator;
  return made;
}

reported_lock acquisition::described() const {
  return {.lock = cls.described(),
          .instance = &map,
          .read = read() != read_kind::write,
          .at = {.ip = ip}};
}

void validate(task& t, const acquisition& wanted, std::uint64_t key) {
  const busy_scope busy;
  inspection look{validator::instance(), t, wanted};
  look.run(key);
  for (auto& [report, fatal] : look.found()) deliver(report, fatal);
}

// The validator's own frames, of which some are inlined and some are not, go: the stack
// starts where the lock is taken.
stack_trace stack_from(const void* ip) {
  const stack_trace whole = stack_trace::capture();
  const auto frames = whole.frames();
  const auto start = std::ranges::find(frames, ip, &stack_frame::ip);
  return start == frames.end() ? whole : stack_trace{{start, frames.end()}};
}

void fill(report_base& report, const task& t, const void* ip) {
  report.task = t.id().described();
  report.held = t.described_held();
  report.backtrace = stack_from(ip);
}

void deliver(const lockdep_report& report, bool fatal) {
  const busy_scope busy;
  validator& all = validator::instance();
  reporter to;
  report_format format;
  bool stop = false;
  {
    const guard hold{all.lock};
    ++all.count.reports;
    to = all.report;
    format = all.format;
    stop = fatal && all.policy == on_error::abort;
  }
  if (to)
    to(report);
  else
    print_to_stderr(report, format);
  if (stop) std::abort();
}

bool report_bad_unlock(task& t, const dep_map& map, const void* ip) {
  bad_unlock_report report;
  fill(report, t, ip);
  report.lock = map.class_of().described();
  report.instance = &map;
  report.at = {.ip = ip};
  if (auto other = holder_other_than(&t, map)) {
    report.holder = other->task.described();
    report.held_as = std::move(other->lock);
  }
  deliver(report, true);
  return report.holder.has_value();
}

namespace {

// What every failed assertion says; once for each place.
void report_assertion(task& t, const std::string& assertion,
                      const std::source_location& where, const void* ip) {
  {
    validator& all = validator::instance();
    const guard hold{all.lock};
    if (!all.places_seen.emplace(where.file_name(), where.line()).second) return;
  }
  assert_report report;
  fill(report, t, ip);
  report.assertion = assertion;
  report.file = where.file_name();
  report.line = where.line();
  report.at = {.ip = ip};
  deliver(report, true);
}

const char* assertion_name(hold as) {
  switch (as) {
    case hold::any: return "lockdep_assert_held";
    case hold::write: return "lockdep_assert_held_write";
    case hold::read: return "lockdep_assert_held_read";
  }
  return "";
}

}  // namespace

void report_nest_not_held(task& t, const acquisition& wanted) {
  nest_lock_report report;
  fill(report, t, wanted.ip);
  report.wanted = wanted.described();
  report.nest = wanted.nest->name();
  deliver(report, true);
}

}  // namespace detail

using detail::self;
using detail::validator;

bool report_bad_unlock(const dep_map& map, const void* ip) {
  const std::uint64_t now = detail::mode.load(std::memory_order_relaxed);
  detail::task* const t = (now & detail::prove_bit) == 0 ? nullptr : self.enter(now);
  if (t == nullptr) return false;
  detail::report_bad_unlock(*t, map, ip);
  return true;
}

[[gnu::noinline]] void assert_held(const dep_map& map, hold as,
                                   std::source_location where, const void* ip) {
  if (is_held(map, as)) return;
  detail::report_assertion(
      self.current_or_own(),
      std::string{detail::assertion_name(as)} + "(" + std::string{map.name()} + ")",
      where, ip != nullptr ? ip : __builtin_return_address(0));
}

[[gnu::noinline]] void assert_not_held(const dep_map& map, std::source_location where) {
  const std::uint64_t now = detail::mode.load(std::memory_order_relaxed);
  if ((now & detail::prove_bit) == 0) return;
  detail::task* const t = self.enter(now);
  if (t == nullptr || t->find(map) == nullptr) return;
  detail::report_assertion(*t, "lockdep_assert_not_held(" + std::string{map.name()} + ")",
                           where, __builtin_return_address(0));
}

reporter set_reporter(reporter wanted) {
  validator& all = validator::instance();
  const guard hold{all.lock};
  std::swap(all.report, wanted);
  return wanted;
}

void set_report_format(const report_format& format) {
  validator& all = validator::instance();
  const guard hold{all.lock};
  all.format = format;
}

void set_on_error(on_error policy) {
  validator& all = validator::instance();
  const guard hold{all.lock};
  all.policy = policy;
}

namespace {

void set_bit(std::uint64_t bit, bool on) {
  validator& all = validator::instance();
  const guard hold{all.lock};
  std::uint64_t bits = detail::mode.load(std::memory_order_relaxed) & detail::mode_bits;
  // What was held before nobody looked is not known: a new epoch.
  if (bits == 0) ++all.epoch;
  bits = on ? bits | bit : bits & ~bit;
  detail::mode.store(bits == 0 ? 0 : all.epoch << detail::epoch_shift | bits,
                     std::memory_order_relaxed);
  set_watched(by_validator, bits != 0);
}

}  // namespace

void set_on(bool on) {
  set_bit(detail::prove_bit, on);
}

void set_lock_stat(bool on) {
  lock_stat::set_on(on);
  set_bit(detail::stat_bit, on);
}

void set_listener(listener* wanted) {
  detail::set_listener(wanted);
  set_bit(detail::listen_bit, wanted != nullptr);
}

void reset() {
  validator& all = validator::instance();
  const guard hold{all.lock};
  all.graph.clear();
  all.stacks.clear();
  all.edges.clear();
  all.chains.clear();
  all.cycles_seen.clear();
  all.places_seen.clear();
  all.count = {};
  all.known.clear();
  forget_lock_classes();
  ++all.epoch;
  const std::uint64_t bits =
      detail::mode.load(std::memory_order_relaxed) & detail::mode_bits;
  if (bits != 0)
    detail::mode.store(all.epoch << detail::epoch_shift | bits,
                       std::memory_order_relaxed);
}

}  // namespace memhp::lockdep
