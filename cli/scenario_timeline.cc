#include "cli/scenario_timeline.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

namespace memhp {
namespace {

using json = nlohmann::ordered_json;

constexpr double ns_per_us = 1000;

bool takes(lock_op op) {
  switch (op) {
    using enum lock_op;
    case lock:
    case try_lock:
    case read_lock:
    case try_read_lock:
    case write_lock:
    case try_write_lock:
    case get_active: return true;
    default: return false;
  }
}

bool gives_back(lock_op op) {
  switch (op) {
    using enum lock_op;
    case unlock:
    case read_unlock:
    case write_unlock:
    case put_active: return true;
    default: return false;
  }
}

json slice(const std::string& name, const char* category, unsigned task,
           std::uint64_t from_ns, std::uint64_t to_ns) {
  return {{"name", name},
          {"cat", category},
          {"ph", "X"},
          {"ts", static_cast<double>(from_ns) / ns_per_us},
          {"dur", static_cast<double>(to_ns - from_ns) / ns_per_us},
          {"pid", 1},
          {"tid", task}};
}

json row_name(const char* what, unsigned task, const std::string& name) {
  return {
      {"name", what}, {"ph", "M"}, {"pid", 1}, {"tid", task}, {"args", {{"name", name}}}};
}

// What is held, by task and lock: since when each hold of it lasts.
using holds = std::map<std::pair<unsigned, object_id>, std::vector<seen_step>>;

void add_step(const seen_step& step, holds& held, json& events) {
  if (step.waited_since && !gives_back(step.op) && *step.waited_since < step.at)
    events.push_back(slice("waits for " + std::string{step.name}, "wait", step.task,
                           *step.waited_since, step.at));
  if (!step.done) return;
  auto& same = held[{step.task, step.object}];
  if (takes(step.op)) same.push_back(step);
  if (!gives_back(step.op) || same.empty()) return;
  events.push_back(
      slice(std::string{step.name}, "held", step.task, same.back().at, step.at));
  same.pop_back();
}

// Where the task's last step ended.
std::uint64_t last_step_of(unsigned task, const scenario_run& run) {
  std::uint64_t last = 0;
  for (const seen_step& step : run.seen)
    if (step.task == task) last = step.at;
  return last;
}

}  // namespace

std::string timeline_json(const scenario& s, const scenario_run& run) {
  json events = json::array();
  events.push_back(row_name("process_name", 0, std::string{s.name}));
  for (std::size_t i = 0; i < run.task_names.size(); ++i)
    events.push_back(
        row_name("thread_name", static_cast<unsigned>(i + 1), run.task_names[i]));
  holds held;
  for (const seen_step& step : run.seen) add_step(step, held, events);
  constexpr std::uint64_t tail_ns = 20'000;  // so that those who hang can be seen
  const std::uint64_t end = (run.seen.empty() ? 0 : run.seen.back().at) + tail_ns;
  for (const auto& [where, open] : held)
    for (const seen_step& step : open)
      events.push_back(slice(std::string{step.name}, "held", where.first, step.at, end));
  for (const hung_task& hung : run.hung) {
    const auto task = static_cast<unsigned>(hung.task.pid);
    events.push_back(
        slice("hangs: " + hung.waits_for, "hang", task, last_step_of(task, run), end));
  }
  return json{{"traceEvents", events}, {"displayTimeUnit", "ns"}}.dump(1) + "\n";
}

}  // namespace memhp
