#include "locks/lockdep.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <ranges>
#include <set>
#include <utility>

#include "locks/lock_graph.h"
#include "locks/lockdep_report.h"

namespace memhp {
namespace lockdep {

constinit std::atomic<bool> enabled = false;

namespace {

// What all tasks learned together. Guarded by `lock`, but for `known_chains`. Never
// destroyed: locks in static storage outlive every destructor.
struct validator {
  std::mutex lock;
  lock_graph graph;
  std::vector<stack_trace> stacks;  // by the payload of an edge
  std::vector<std::vector<unsigned>> chains;
  std::vector<dependency> rejected;             // edges that would close a cycle
  std::set<std::vector<unsigned>> cycles_seen;  // reported, by their classes
  std::size_t reports = 0;
  std::size_t max_depth = 0;
  reporter report;
  on_error policy = on_error::abort;

  // Chain keys that some task has validated. Direct-mapped, so an entry may be lost: its
  // chain is then validated once more.
  std::array<std::atomic<std::uint64_t>, 1 << 14> known_chains{};
};

// Chain key of nothing: differs after every reset(), which makes what tasks remember
// worthless.
constexpr std::uint64_t first_chain_key = 1ULL << 48;
constinit std::atomic<std::uint64_t> empty_chain_key = first_chain_key;

validator& v() {
  static auto& made = *new validator;
  return made;
}

thread_local constinit task_state* current_task = nullptr;

}  // namespace

// What this file may do with a task.
struct task_access {
  static std::vector<held_lock>& held(task_state& t) { return t.held_; }
  static std::uint64_t& chain_key(task_state& t) { return t.chain_key_; }
  static bool& busy(task_state& t) { return t.busy_; }
  static std::uint64_t& validated(task_state& t, std::uint64_t key) {
    return t.validated_[key % task_state::cache_size];
  }
};

namespace {

using access = task_access;

// While it lives, what the validator does itself is not validated.
class busy_guard {
 public:
  explicit busy_guard(task_state& t) : t_{t} { access::busy(t_) = true; }
  ~busy_guard() { access::busy(t_) = false; }
  busy_guard(const busy_guard&) = delete;
  busy_guard& operator=(const busy_guard&) = delete;

 private:
  task_state& t_;
};

// iterate_chain_key(): what is held, in order and how, as one number.
std::uint64_t mix(std::uint64_t key, const lock_class& cls, const how& h) {
  const std::uint64_t what = std::uint64_t{cls.id} << 3 |
                             static_cast<std::uint64_t>(h.read) << 1 |
                             static_cast<std::uint64_t>(h.trylock);
  key = (key ^ what) * 0x9E3779B97F4A7C15;
  return key ^ key >> 29;
}

// --- facts for reports -----------------------------------------------------------------

reported_lock describe(const lock_class& cls, const void* instance, read_kind read,
                       const void* ip) {
  return {.class_name = cls.full_name(),
          .usage = cls.usage(),
          .wait_type = cls.wait_type,
          .instance = instance,
          .read = read,
          .at = describe_address(ip)};
}
reported_lock describe(const held_lock& held) {
  return describe(*held.cls, held.map, held.read, held.ip);
}

// Without the validator's own frames, of which some are inlined and some are not.
std::vector<std::string> stack_in_words(const stack_trace& stack) {
  std::vector<std::string> words = stack.describe();
  const auto own = [](const std::string& frame) {
    constexpr std::array<std::string_view, 14> names = {
        "here+",         "facts+",      "keep_stack+", "circular_report+",
        "check_edge+",   "add_edges+",  "validate+",   "validate_once+",
        "push+",         "acquire_on+", "release_on+", "wait_for+",
        "report_about+", "assert_held+"};
    return std::ranges::any_of(
        names, [&](std::string_view name) { return frame.starts_with(name); });
  };
  words.erase(words.begin(), std::ranges::find_if_not(words, own));
  return words;
}

lockdep_report facts(report_kind kind, task_state& t) {
  lockdep_report made{.kind = kind, .task = t.name(), .pid = syscall(SYS_gettid)};
  for (const held_lock& held : t.held()) made.held_locks.push_back(describe(held));
  made.stack = stack_in_words(stack_trace::here());
  return made;
}

void print_to_stderr(const lockdep_report& report) {
  const std::string text = to_text(report);
  std::fwrite(text.data(), 1, text.size(), stderr);
}

// Hands the report over. No lock of the validator is held.
void publish(const lockdep_report& report) {
  reporter to;
  {
    const std::lock_guard hold{v().lock};
    ++v().reports;
    to = v().report;
  }
  if (to)
    to(report);
  else
    print_to_stderr(report);
}

// A programmer's error, as opposed to an order that may deadlock one day.
void complain(const lockdep_report& report) {
  publish(report);
  if (report.kind == report_kind::circular || report.kind == report_kind::recursive)
    return;
  bool fatal = false;
  {
    const std::lock_guard hold{v().lock};
    fatal = v().policy == on_error::abort;
  }
  if (fatal) std::abort();
}

// --- validation ------------------------------------------------------------------------

// What validating one acquisition found to report.
using findings = std::vector<lockdep_report>;

unsigned keep_stack() {
  v().stacks.push_back(stack_trace::here());
  return static_cast<unsigned>(v().stacks.size() - 1);
}

// The classes of a cycle, beginning with the smallest: its name.
std::vector<unsigned> cycle_name(const std::vector<lock_graph::step>& path,
                                 unsigned held) {
  std::vector<unsigned> classes;
  classes.reserve(path.size() + 1);
  for (const auto& step : path) classes.push_back(step.from);
  classes.push_back(held);
  std::ranges::rotate(classes, std::ranges::min_element(classes));
  return classes;
}

lockdep_report circular_report(task_state& t, const held_lock& held,
                               const held_lock& wanted,
                               const std::vector<lock_graph::step>& path) {
  lockdep_report report = facts(report_kind::circular, t);
  report.held_locks.pop_back();  // not yet held
  report.wanted = describe(wanted);
  report.held = describe(held);
  // The path runs from the wanted lock to the held one; the chain is read backwards, and
  // each entry shows how its lock came to be wanted under the one before it.
  for (const lock_graph::step& step : path | std::views::reverse) {
    const lock_class& cls = lock_class_at(step.to);
    report.chain.push_back({.lock = describe(cls, nullptr, read_kind::write, nullptr),
                            .stack = stack_in_words(v().stacks[step.payload])});
  }
  report.chain.push_back({.lock = report.wanted, .stack = report.stack});
  return report;
}

// check_prev_add(): the dependency held -> wanted. False if it closes a cycle.
bool check_edge(task_state& t, const held_lock& held, const held_lock& wanted,
                findings& found) {
  validator& all = v();
  const dep_kind kind = dep_kind_of(held.read, wanted.read);
  if (all.graph.has_edge(held.cls->id, wanted.cls->id, kind)) return true;
  const auto path =
      all.graph.find_strong_path(wanted.cls->id, wanted.read, held.cls->id, held.read);
  if (!path) {
    all.graph.add_edge(held.cls->id, wanted.cls->id, kind, keep_stack());
    return true;
  }
  if (all.cycles_seen.insert(cycle_name(*path, held.cls->id)).second) {
    all.rejected.push_back({held.cls->id, wanted.cls->id, mask(kind), true});
    found.push_back(circular_report(t, held, wanted, *path));
  }
  return false;
}

// check_prevs_add(): every lock that is held, from the last one down to the first that
// was waited for. What lies deeper is connected through that one already.
void add_edges(task_state& t, findings& found) {
  const std::vector<held_lock>& held = t.held();
  const held_lock& wanted = held.back();
  for (std::size_t i = held.size() - 1; i-- > 0;) {
    if (!held[i].check) continue;
    if (!check_edge(t, held[i], wanted, found)) return;
    if (!held[i].trylock) return;
  }
}

// check_deadlock(): the class is held already. True if that is in order because nothing
// can wait for itself here; then the nesting adds no dependency either.
enum class recursion : std::uint8_t { none, in_order, deadlock };
recursion check_recursion(const task_state& t, const held_lock& wanted,
                          const dep_map* nest, const held_lock** same) {
  const std::vector<held_lock>& held = t.held();
  bool nest_held = false;
  for (std::size_t i = held.size() - 1; i-- > 0;) {
    nest_held = nest_held || (nest != nullptr && held[i].map == nest);
    if (held[i].cls != wanted.cls) continue;
    const bool reads_again =
        wanted.read == read_kind::recursive_read && held[i].read != read_kind::write;
    if (reads_again || nest_held) return recursion::in_order;
    const bool nest_below = nest != nullptr && std::ranges::any_of(held, [&](auto& h) {
                              return h.map == nest;
                            });
    if (nest_below) return recursion::in_order;
    *same = &held[i];
    return recursion::deadlock;
  }
  return recursion::none;
}

void remember_chain(const task_state& t) {
  std::vector<unsigned> chain;
  for (const held_lock& held : t.held()) chain.push_back(held.cls->id);
  v().max_depth = std::max(v().max_depth, chain.size());
  v().chains.push_back(std::move(chain));
}

// validate_chain(): the lock on top of the stack is new there. Rare.
void validate(task_state& t, std::uint64_t key, const dep_map* nest) {
  findings found;
  const busy_guard busy{t};
  {
    validator& all = v();
    const std::lock_guard hold{all.lock};
    auto& known = all.known_chains[key % all.known_chains.size()];
    if (known.load(std::memory_order_relaxed) == key) return;
    const held_lock& wanted = t.held().back();
    const held_lock* same = nullptr;
    switch (check_recursion(t, wanted, nest, &same)) {
      case recursion::none: add_edges(t, found); break;
      case recursion::in_order: break;
      case recursion::deadlock:
        if (all.cycles_seen.insert({wanted.cls->id}).second) {
          found.push_back(facts(report_kind::recursive, t));
          found.back().held_locks.pop_back();
          found.back().wanted = describe(wanted);
          found.back().held = describe(*same);
        }
    }
    remember_chain(t);
    known.store(key, std::memory_order_relaxed);
  }
  for (const lockdep_report& report : found) complain(report);
}

bool known_chain(std::uint64_t key) {
  const auto& known = v().known_chains;
  return known[key % known.size()].load(std::memory_order_relaxed) == key;
}

// Looks at a nesting that this task never had.
[[gnu::noinline]] void validate_once(task_state& t, std::uint64_t key,
                                     const dep_map* nest) {
  if (!known_chain(key)) validate(t, key, nest);
  access::validated(t, key) = key;
}

// Puts a lock on the stack; looks at the nesting if it is new.
[[gnu::always_inline]] inline void push(task_state& t, const dep_map& map,
                                        lock_class& cls, const how& h, const void* ip) {
  std::vector<held_lock>& held = access::held(t);
  std::uint64_t& chain_key = access::chain_key(t);
  const std::uint64_t before =
      held.empty() ? empty_chain_key.load(std::memory_order_relaxed) : chain_key;
  held.push_back({.map = &map,
                  .cls = &cls,
                  .ip = ip,
                  .chain_before = before,
                  .read = h.read,
                  .trylock = h.trylock,
                  .check = cls.validated});
  const std::uint64_t key = mix(before, cls, h);
  chain_key = key;
  cls.mark_used(h.read, h.only_waited_for);
  if (h.trylock || !cls.validated) return;
  if (access::validated(t, key) != key) [[unlikely]]
    validate_once(t, key, h.nest);
}

// A lock from the middle goes: what was taken after it is taken anew, in a nesting
// without it (reacquire_held_locks()).
void remove_from_middle(task_state& t, std::size_t at) {
  std::vector<held_lock>& held = access::held(t);
  std::vector<held_lock> above{held.begin() + static_cast<std::ptrdiff_t>(at) + 1,
                               held.end()};
  access::chain_key(t) = held[at].chain_before;
  held.resize(at);
  for (const held_lock& lock : above)
    push(t, *lock.map, *lock.cls, {.read = lock.read, .trylock = lock.trylock}, lock.ip);
}

void report_about(report_kind kind, task_state& t, const dep_map& map, const void* ip) {
  const busy_guard busy{t};
  lockdep_report report = facts(kind, t);
  report.wanted = describe(map.class_of(), &map, read_kind::write, ip);
  complain(report);
}

// The thread's own state; reports what the thread ends with.
class own_state {
 public:
  ~own_state() {
    check_task_exit();
    if (current_task == &state_) current_task = nullptr;
  }
  task_state& get() { return state_; }

 private:
  task_state state_;
};
task_state& own() {
  thread_local own_state state;
  return state.get();
}

}  // namespace

task_state::~task_state() = default;

std::string task_state::name() const {
  if (!name_.empty()) return name_;
  std::array<char, 16> comm{};
  pthread_getname_np(pthread_self(), comm.data(), comm.size());
  return comm.data();
}

task_state& current() {
  if (current_task == nullptr) [[unlikely]]
    current_task = &own();
  return *current_task;
}

task_state* set_current(task_state* task) {
  task_state* const former = &current();
  current_task = task == nullptr ? &own() : task;
  return former;
}

void set_on(bool on) {
  enabled.store(on, std::memory_order_relaxed);
}

[[gnu::noinline]] void acquire_on(dep_map& map, const how& h, const void* caller) {
  task_state& t = current();
  if (access::busy(t)) [[unlikely]]
    return;
  const void* const ip = caller == nullptr ? __builtin_return_address(0) : caller;
  push(t, map, map.class_of(h.subclass), h, h.ip == nullptr ? ip : h.ip);
}

[[gnu::noinline]] void release_on(dep_map& map, const void* caller) {
  task_state& t = current();
  if (access::busy(t)) return;
  std::vector<held_lock>& held = access::held(t);
  if (!held.empty() && held.back().map == &map) [[likely]] {
    access::chain_key(t) = held.back().chain_before;
    held.pop_back();
    return;
  }
  for (std::size_t i = held.size(); i-- > 0;)
    if (held[i].map == &map) return remove_from_middle(t, i);
  report_about(report_kind::bad_unlock, t, map,
               caller == nullptr ? __builtin_return_address(0) : caller);
}

[[gnu::noinline]] void wait_for(dep_map& map) {
  if (!on()) return;
  acquire_on(map, {.only_waited_for = true}, __builtin_return_address(0));
  release_on(map, nullptr);
}

bool is_held(const dep_map& map, hold as) {
  if (!on()) return true;
  return std::ranges::any_of(current().held(), [&](const held_lock& lock) {
    return lock.map == &map &&
           (as == hold::any || (as == hold::write) == (lock.read == read_kind::write));
  });
}

[[gnu::noinline]] void assert_held(const dep_map& map, hold as) {
  if (is_held(map, as)) return;
  report_about(report_kind::not_held, current(), map, __builtin_return_address(0));
}

[[gnu::noinline]] void assert_not_held(const dep_map& map) {
  if (!on() || !is_held(map)) return;
  report_about(report_kind::must_not_be_held, current(), map,
               __builtin_return_address(0));
}

void check_task_exit() {
  task_state& t = current();
  if (t.held().empty() || !on()) return;
  {
    const busy_guard busy{t};
    complain(facts(report_kind::held_at_exit, t));
  }
  access::held(t).clear();
}

reporter set_reporter(reporter wanted) {
  const std::lock_guard hold{v().lock};
  return std::exchange(v().report, std::move(wanted));
}

void set_on_error(on_error policy) {
  const std::lock_guard hold{v().lock};
  v().policy = policy;
}

counters count() {
  counters made;
  for_each_lock_class([&](const lock_class&) { ++made.classes; });
  const std::lock_guard hold{v().lock};
  made.direct_dependencies = v().graph.edges();
  for (unsigned id = 0; id < made.classes; ++id)
    made.indirect_dependencies += v().graph.count_reachable(id) - 1;
  made.chains = v().chains.size();
  for (const auto& chain : v().chains) made.chain_hlocks += chain.size();
  made.max_depth = v().max_depth;
  made.reports = v().reports;
  made.stack_traces = v().stacks.size();
  return made;
}

std::vector<dependency> dependencies() {
  std::size_t classes = 0;
  for_each_lock_class([&](const lock_class&) { ++classes; });
  const std::lock_guard hold{v().lock};
  std::vector<dependency> all = v().rejected;
  for (unsigned id = 0; id < classes; ++id)
    for (const lock_graph::edge& out : v().graph.edges_from(id))
      all.push_back({id, out.to, out.kinds, false});
  return all;
}

std::vector<std::vector<unsigned>> chains() {
  const std::lock_guard hold{v().lock};
  return v().chains;
}

void reset() {
  for_each_lock_class([](lock_class& cls) { cls.forget_usage(); });
  validator& all = v();
  const std::lock_guard hold{all.lock};
  all.graph.clear();
  all.stacks.clear();
  all.chains.clear();
  all.rejected.clear();
  all.cycles_seen.clear();
  all.reports = 0;
  all.max_depth = 0;
  for (auto& known : all.known_chains) known.store(0, std::memory_order_relaxed);
  empty_chain_key.fetch_add(first_chain_key, std::memory_order_relaxed);
}

}  // namespace lockdep

lock_class& dep_map::look_up(unsigned subclass) const {
  lock_class& found = find_lock_class(key_, subclass, *like_);
  if (subclass == 0) class_.store(&found, std::memory_order_release);
  return found;
}

void dep_map::destroyed() {
  if (!lockdep::on()) return;
  const auto& held = lockdep::current().held();
  const bool mine = std::ranges::any_of(
      held, [this](const lockdep::held_lock& lock) { return lock.map == this; });
  if (mine)
    lockdep::report_about(report_kind::held_at_destruction, lockdep::current(), *this,
                          __builtin_return_address(0));
}

}  // namespace memhp
