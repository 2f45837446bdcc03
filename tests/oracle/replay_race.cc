// Races, and what holds for the uevents of any race.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "tests/oracle/replay.h"

namespace memhp::oracle {

namespace {

json without_seqnum(const json& messages) {
  json out = json::array();
  for (const json& strings : messages) {
    json kept = json::array();
    for (const json& text : strings) {
      if (!text.get<std::string>().starts_with("SEQNUM=")) {
        kept.push_back(text);
      }
    }
    out.push_back(kept);
  }
  return out;
}

// The errnos that some worker of the recording met, and those that the rules add.
std::set<std::string> allowed_errnos(const json& op) {
  std::set<std::string> allowed;
  for (const json& worker : op.at("workers")) {
    for (const auto& [name, times] : worker.items()) {
      allowed.insert(name);
    }
  }
  for (const json& name : op.value("allow", json::array())) {
    allowed.insert(name);
  }
  return allowed;
}

}  // namespace

std::string check_alternation(const std::vector<json>& uevents) {
  static const std::map<std::string, std::set<std::string>> may_follow{
      {"add", {"online", "remove"}},
      {"online", {"offline"}},
      {"offline", {"online", "remove"}},
      {"remove", {"add"}}};
  std::map<std::string, std::string> last;
  for (const json& strings : uevents) {
    const std::string header = strings.at(0);
    const std::size_t at = header.find('@');
    const std::string action = header.substr(0, at);
    const std::string device = header.substr(at);
    if (!may_follow.contains(action)) {
      return fmt::format("unexpected {}", header);
    }
    if (const auto before = last.find(device);
        before != last.end() && !may_follow.at(before->second).contains(action)) {
      return fmt::format("{} after {}", header, before->second);
    }
    last[device] = action;
  }
  return "";
}

replayer::found replayer::replay_race(const record& r) {
  const json& op = r.fields;
  const std::string name = op.value("name", "race");
  if (r.op() == "bg") {
    races_[name] =
        std::make_unique<race>(caller_, op.at("calls"),
                               std::vector<long>(op.at("workers").get<std::size_t>(), 0));
    return {};
  }
  if (r.op() == "race") {
    std::vector<long> iterations;
    for (const json& worker : op.at("workers")) {
      iterations.push_back(worker.at("iter"));
    }
    races_[name] = std::make_unique<race>(caller_, op.at("calls"), iterations);
  } else {
    // As many successes again, now that the DIMM is back.
    const long enough = races_.at(name)->ok_of_slowest() + 20;
    const bool going = eventually(
        [&] {
          machine_.pending_uevents(0);
          return races_.at(name)->ok_of_slowest() >= enough;
        },
        30s);
    if (!going) {
      return {
          fmt::format("the workers do not get on: {}", races_.at(name)->counts().dump())};
    }
    races_.at(name)->stop();
  }
  race& running = *races_.at(name);
  const bool ended = eventually(
      [&] {
        machine_.pending_uevents(0);
        return running.finished();
      },
      50s);
  found out;
  if (!ended) {
    out.emplace_back("the race does not end");
  }
  const json counts = running.counts();
  const std::set<std::string> allowed = allowed_errnos(op);
  last_race_ok_ = 0;
  for (const json& worker : counts) {
    last_race_ok_ += worker.at("ok").get<long>();
    for (const auto& [errno_name, times] : worker.items()) {
      if (!allowed.contains(errno_name)) {
        out.push_back(fmt::format("{} times {}, which no worker of the recording met",
                                  times.dump(), errno_name));
      }
    }
  }
  compare_value(r, "workers", op.at("workers").size(), counts.size(), out);
  if (last_race_ok_ == 0) {
    out.emplace_back("no worker succeeded");
  }
  races_.erase(name);
  return out;
}

// The recorder's count of a race's uevents.
replayer::found replayer::replay_uevent_count(const record& r) {
  const std::vector<json> uevents = machine_.take_uevents(0);
  found out;
  if (const std::string wrong = check_alternation(uevents); !wrong.empty()) {
    out.push_back(wrong);
  }
  // Where every success is a transition, every success sends one uevent, as recorded.
  if (r.fields.value("every_ok_is_one", false)) {
    compare_value(r, "uevents", last_race_ok_, uevents.size(), out);
  }
  if (uevents.empty()) {
    out.emplace_back("the race sent no uevent");
  }
  return out;
}

replayer::found replayer::replay_uevents(const record& r) {
  found out;
  const std::size_t count = r.fields.at("count");
  if (r.fields.value("rule", "") == "alternation") {
    const std::vector<json> uevents = machine_.take_uevents(0);
    const std::string wrong = check_alternation(uevents);
    if (!wrong.empty() || uevents.empty()) {
      out.push_back(uevents.empty() ? "no uevents" : wrong);
    }
    return out;
  }
  json recorded = without_seqnum(r.fields.at("messages"));
  json came = machine_.take_uevents(count);
  last_uevents_ = came;
  if (recorded != came && exempt(r, "order")) {
    sort(recorded);
    sort(came);
  }
  compare_value(r, "messages", recorded, came, out);
  return out;
}

}  // namespace memhp::oracle
