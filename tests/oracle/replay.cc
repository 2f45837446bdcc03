#include "tests/oracle/replay.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <regex>
#include <thread>

namespace memhp::oracle {

namespace {

constexpr auto answers_soon = 10s;
// Long against any operation on an unbacked block, short enough to be waited for often.
constexpr auto must_stay_blocked = 300ms;
constexpr unsigned longest_record_s = 60;

// A call that never returns would hang the test: its machine is killed instead.
volatile pid_t watched = 0;

void kill_watched(int /*signal*/) {
  ::kill(watched, SIGKILL);
}

int signal_number(const std::string& name) {
  return name == "SIGKILL" ? SIGKILL : SIGUSR1;
}

}  // namespace

int tally::total() const {
  int count = replayed();
  for (const auto& [reason, times] : not_applicable) {
    count += times;
  }
  return count;
}

void tally::add(const tally& other) {
  equal += other.equal;
  different += other.different;
  for (const auto& [reason, times] : other.not_applicable) {
    not_applicable[reason] += times;
  }
  for (const auto& [reason, times] : other.in_part) {
    in_part[reason] += times;
  }
  differences.insert(differences.end(), other.differences.begin(),
                     other.differences.end());
}

std::string tally::text() const {
  std::string out =
      fmt::format("records {}: replayed {}, equal {}, different {}, not applicable {}\n",
                  total(), replayed(), equal, different, total() - replayed());
  for (const auto& [reason, times] : not_applicable) {
    out += fmt::format("  not applicable {:4}: {}\n", times, reason);
  }
  for (const auto& [reason, times] : in_part) {
    out += fmt::format("  in part        {:4}: {}\n", times, reason);
  }
  for (const std::string& difference : differences) {
    out += fmt::format("  DIFFERENT {}\n", difference);
  }
  return out;
}

replayer::replayer(const section& what, const not_applicable& table,
                   machine_under_test& machine)
    : section_{what},
      table_{table},
      machine_{machine},
      caller_{machine.root(), machine.scratch()} {}

tally replayer::run() {
  watched = machine_.pid();
  ::signal(SIGALRM, kill_watched);
  try {
    for (const json& op : section_.prologue) {
      step(op);
    }
    machine_.take_uevents(0);
    for (std::size_t i = 0; i < section_.records.size(); ++i) {
      ::alarm(longest_record_s);
      replay_one(i);
      if (machine_.died()) {
        throw std::runtime_error{"memhp died"};
      }
    }
  } catch (const std::exception& error) {
    ++tally_.different;
    tally_.differences.push_back(fmt::format("{}: {}", section_.name, error.what()));
  }
  ::alarm(0);
  return std::move(tally_);
}

void replayer::replay_one(std::size_t index) {
  const record& r = section_.records[index];
  if (r.kind() == "qmp" && r.fields.contains("cmd")) {
    const std::regex add{R"(object_add memory-backend-ram,id=(\w+),size=(\w+))"};
    std::smatch match;
    const std::string command = r.fields["cmd"];
    if (std::regex_match(command, match, add)) {
      backends_[match[1]] = match[2];
    }
  }
  for (const json& op : r.before) {
    step(op);
  }
  if (const exemption* e = table_.find(section_, r, "record")) {
    ++tally_.not_applicable[e->reason];
    return;
  }
  found differences;
  try {
    differences = replay(index);
  } catch (const std::exception& error) {
    differences.emplace_back(error.what());
  }
  ++(differences.empty() ? tally_.equal : tally_.different);
  for (const std::string& difference : differences) {
    tally_.differences.push_back(fmt::format("{}: {} {}: {}", section_.recording,
                                             kind_of(r), subject_of(r), difference));
  }
}

replayer::found replayer::replay(std::size_t index) {
  using handler = found (replayer::*)(const record&);
  static const std::map<std::string, handler> handlers{
      {"op:open+write+close", &replayer::replay_matrix},
      {"op:bg", &replayer::replay_background},
      {"op:bgwait", &replayer::replay_background},
      {"op:bgkill", &replayer::replay_background},
      {"op:race", &replayer::replay_race},
      {"qmp", &replayer::replay_qmp},
      {"uevents", &replayer::replay_uevents},
      {"note", &replayer::replay_uevent_count},
      {"state", &replayer::replay_state},
      {"zones", &replayer::replay_zones},
      {"nodes", &replayer::replay_nodes},
      {"probe_result", &replayer::replay_probe},
      {"entry", &replayer::replay_entry},
  };
  const record& r = section_.records[index];
  if (r.kind() == "tree") {
    return replay_tree(index);
  }
  if (const auto it = handlers.find(kind_of(r)); it != handlers.end()) {
    return (this->*it->second)(r);
  }
  if (r.kind() == "op") {
    return replay_op(r);
  }
  return {"this kind of record is not replayed and not in the table"};
}

// A call of the prologue or one that the recorder did not record: it has to work.
void replayer::step(const json& op) {
  const std::string name = op.at("op");
  if (name == "plug") {
    machine_.plug(op.at("device"), op.at("size"), op.at("node"));
  } else if (name == "eject") {
    machine_.eject(op.at("device"));
    if (!machine_.wait_for_removal(op.at("device"))) {
      throw std::runtime_error{"a step failed: " + op.dump()};
    }
  } else if (name == "drain") {
    machine_.take_uevents(0);
  } else if (name == "offline") {
    offline_blocks(op.at("blocks"));
  } else if (name == "reserve" || name == "unreserve") {
    machine_.debug("page_" + name,
                   fmt::format("{} {}", op.at("address").get<std::string>(),
                               op.at("pages").get<int>()));
  } else if (const json result = caller_.call(op); !result.at("errno").is_null()) {
    throw std::runtime_error{
        fmt::format("a step failed: {}: {}", op.dump(), result.dump())};
  }
}

void replayer::offline_blocks(const json& blocks) {
  for (const json& block : blocks) {
    const std::string state =
        fmt::format("/sys/devices/system/memory/memory{}/state", block.get<int>());
    if (caller_.call({{"op", "cat"}, {"path", state}}).at("data") != "offline\n") {
      step({{"op", "put"}, {"path", state}, {"text", "offline"}});
    }
  }
}

replayer::found replayer::replay_op(const record& r) {
  const json& op = r.fields;
  if (op["op"] == "kfill") {  // a kernel user takes pages and keeps them
    machine_.debug("page_reserve", fmt::format("{} {}", op["address"].get<std::string>(),
                                               op["pages"].get<int>()));
    return {};
  }
  if (op["op"] == "pin" || op["op"] == "unpin") {
    machine_.debug(
        "page_" + r.op(),
        fmt::format("{} {}", op["address"].get<std::string>(), op["pages"].get<int>()));
    return {};
  }
  if (op["op"] == "asuid") {
    json call = op;
    call["op"] = op.at("as");
    background_call other{caller_, call, op.at("uid").get<uid_t>()};
    return compare(r, op, other.wait(answers_soon));
  }
  if (op["op"] == "put" && op.contains("before")) {
    found out;
    const json content = caller_.call({{"op", "cat"}, {"path", op["path"]}});
    compare_value(r, "before", op["before"], content.value("data", json{}), out);
    found rest = compare(r, op, caller_.call(op));
    out.insert(out.end(), rest.begin(), rest.end());
    return out;
  }
  return compare(r, op, caller_.call(op));
}

// One cell of the tables "input x state of the block".
replayer::found replayer::replay_matrix(const record& r) {
  const json& op = r.fields;
  const std::string path = op.at("path");
  const std::string dir = path.substr(0, path.rfind('/') + 1);
  const std::string start = op.at("start");
  offline_blocks({std::stoi(dir.substr(dir.rfind("memory") + 6))});
  if (start != "offline") {
    step({{"op", "put"},
          {"path", dir + "state"},
          {"text", start == "online(Movable)" ? "online_movable" : "online_kernel"}});
  }
  found out;
  const auto look = [&](const std::string& when) {
    for (const auto& [file, content] : op.at(when).items()) {
      const json came = caller_.call({{"op", "cat"}, {"path", dir + file}});
      compare_value(r, fmt::format("{} {}", when, file), content,
                    came.value("data", json{}), out);
    }
  };
  look("before");
  machine_.take_uevents(0);
  const json came = caller_.call(op);
  const found result = compare(r, op, came);
  out.insert(out.end(), result.begin(), result.end());
  look("after");
  json sent = json::array();
  for (const json& strings : machine_.take_uevents(op.at("uevents").size())) {
    sent.push_back(strings.at(0));
  }
  compare_value(r, "uevents", op.at("uevents"), sent, out);
  return out;
}

replayer::found replayer::replay_background(const record& r) {
  const json& op = r.fields;
  const std::string name = op.at("name");
  if (races_.contains(name) || op.contains("calls")) {
    return replay_race(r);
  }
  if (r.op() == "bg") {
    background_[name] = std::make_unique<background_call>(caller_, op.at("call"));
    return {};
  }
  background_call& call = *background_.at(name);
  if (r.op() == "bgkill") {
    return compare(r, op, call.signal(signal_number(op.at("signal"))));
  }
  if (op.contains("until")) {
    const json& until = op["until"];
    const bool reached = eventually([&] {
      const json content = caller_.call({{"op", "cat"}, {"path", until["path"]}});
      return content.value("data", json{}) == until["data"];
    });
    if (!reached) {
      return {fmt::format("never came to {}", until.dump())};
    }
  }
  const bool blocked = op["errno"] == "ETIMEDOUT";
  return compare(
      r, op,
      call.wait(blocked ? must_stay_blocked : std::chrono::milliseconds{answers_soon}));
}

replayer::found replayer::replay_qmp(const record& r) {
  if (r.fields.contains("event")) {
    const std::string device = r.fields.at("device");
    if (!r.fields["event"].is_null()) {
      return machine_.wait_for_removal(device) ? found{} : found{"was not removed"};
    }
    // Refused: the blocks have to stay.
    std::this_thread::sleep_for(must_stay_blocked);
    for (const std::uint64_t block : machine_.blocks_of(device)) {
      if (!machine_.exists(fmt::format("devices/system/memory/memory{}", block))) {
        return {fmt::format("memory{} was removed", block)};
      }
    }
    return {};
  }
  const std::string command = r.fields.at("cmd");
  const std::regex add{R"(device_add pc-dimm,id=(\w+),memdev=(\w+),node=(\d+))"};
  const std::regex del{R"(device_del (\w+))"};
  std::smatch match;
  if (std::regex_match(command, match, add)) {
    machine_.plug(match[1], backends_.at(match[2]), std::stoi(match[3]));
    return {};
  }
  if (std::regex_match(command, match, del)) {
    machine_.eject(match[1]);
    return {};
  }
  return {"an unknown command"};
}

}  // namespace memhp::oracle
