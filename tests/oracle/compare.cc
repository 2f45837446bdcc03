// What the records say about the tree, compared with what the tree says.
#include <fmt/format.h>

#include <algorithm>
#include <regex>
#include <set>

#include "tests/oracle/replay.h"

namespace memhp::oracle {

namespace {

constexpr auto memory_dir = "/sys/devices/system/memory";
constexpr auto node_dir = "/sys/devices/system/node";

std::string show(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Digits and the blanks before them, so that only figures can differ unseen.
std::string without_figures(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return c == ' ' || (c >= '0' && c <= '9'); }, '#');
  return text;
}

// The results of a call that the recordings tell, in the form that `came` has them.
const std::vector<std::string>& result_keys(const std::string& op, bool failed) {
  static const std::vector<std::string> of_all{"ret",  "errno",  "at",     "revents",
                                               "data", "events", "wstatus"};
  static const std::vector<std::string> of_success{
      "ret",      "errno",   "at",        "revents",  "data",   "events",
      "wstatus",  "data1",   "data2",     "val",      "f_type", "f_bsize",
      "f_blocks", "f_files", "f_namelen", "raw_order"};
  static const std::vector<std::string> of_stat{
      "ret", "errno", "mode", "size", "nlink", "uid", "gid", "blocks", "blksize"};
  const bool is_stat = op == "lstat" || op == "fstat" || op == "entry";
  return failed ? of_all : is_stat ? of_stat : of_success;
}

long total_kb(const std::string& meminfo) {
  std::smatch match;
  return std::regex_search(meminfo, match, std::regex{"MemTotal: *(\\d+) kB"})
             ? std::stol(match[1])
             : 0;
}

}  // namespace

bool replayer::exempt(const record& r, const std::string& aspect) {
  const exemption* e = table_.find(section_, r, aspect);
  if (e != nullptr) {
    ++tally_.in_part[fmt::format("{}: {}", aspect, e->reason)];
  }
  return e != nullptr;
}

void replayer::compare_value(const record& r, const std::string& what,
                             const json& recorded, const json& came, found& out) {
  if (recorded != came && !exempt(r, what)) {
    out.push_back(
        fmt::format("{}: recorded {}, came {}", what, show(recorded), show(came)));
  }
}

// Takes out of both sides what the table says cannot be compared.
void replayer::ease(const record& r, json& recorded, json& came) {
  if (recorded.contains("raw_order")) {
    json& names = came["raw_order"];
    for (auto it = names.begin(); it != names.end();) {
      const json& all = recorded["raw_order"];
      const bool extra = std::ranges::find(all, *it) == all.end() &&
                         exempt(r, "extra:" + it->at(0).get<std::string>());
      it = extra ? names.erase(it) : it + 1;
    }
    if (recorded["raw_order"] != names && exempt(r, "order")) {
      sort(recorded["raw_order"]);
      sort(names);
    }
  }
  if (recorded.contains("data") && recorded["data"] != came.value("data", json{}) &&
      came.contains("data") && exempt(r, "figures")) {
    recorded["data"] = without_figures(recorded["data"]);
    came["data"] = without_figures(came["data"]);
  }
}

replayer::found replayer::compare(const record& r, json recorded, json came) {
  found out;
  if (recorded.contains("data_b64")) {
    recorded["data"] = caller::bytes_of(recorded, "data");
  }
  // utimes of the recorder: the only times that a replay can have in common.
  if (r.op() == "lstat" && recorded.value("atime", 0) == 1000) {
    compare_value(r, "atime", recorded["atime"], came["atime"], out);
    compare_value(r, "mtime", recorded["mtime"], came["mtime"], out);
  }
  ease(r, recorded, came);
  const std::string op = r.kind() == "entry" ? "entry" : r.op();
  const bool failed = recorded.value("ret", 0) < 0;
  for (const std::string& key : result_keys(op, failed)) {
    if (recorded.contains(key)) {
      compare_value(r, key, recorded[key], came.value(key, json{}), out);
    }
  }
  return out;
}

json replayer::block_values(std::uint64_t block, const json& like) {
  json values = json::object();
  for (const auto& [file, content] : like.items()) {
    const json cat =
        caller_.call({{"op", "cat"},
                      {"path", fmt::format("{}/memory{}/{}", memory_dir, block, file)}});
    values[file] = cat.value("data", cat["errno"]);
  }
  return values;
}

replayer::found replayer::replay_state(const record& r) {
  found out;
  const json& recorded = r.fields.at("values");
  const json came = block_values(r.fields.at("block"), recorded);
  for (const auto& [file, content] : recorded.items()) {
    compare_value(r, file, content, came[file], out);
  }
  return out;
}

// A step of the zone tables: `why` ends with what was done before the look.
replayer::found replayer::replay_zones(const record& r) {
  found out;
  const json& values = r.fields.at("values");
  const std::string why = r.fields.at("why");
  const std::regex write{R"(.*: memory(\d+) <- (\w+) => (-?\d+))"};
  std::smatch match;
  if (std::regex_match(why, match, write)) {
    const json came = caller_.call(
        {{"op", "put"},
         {"path", fmt::format("{}/memory{}/state", memory_dir, match[1].str())},
         {"text", match[2].str()}});
    compare_value(r, "ret", std::stol(match[3]), came["ret"], out);
  } else {
    for (const auto& [block, ignored] : values.items()) {
      offline_blocks({std::stoi(block)});
    }
  }
  for (const auto& [block, recorded] : values.items()) {
    const json came =
        block_values(std::stoull(block), {{"state", 0}, {"valid_zones", 0}});
    std::string state = came["state"];
    compare_value(r, "state of memory" + block, recorded[0],
                  state.substr(0, state.find('\n')), out);
    compare_value(r, "valid_zones of memory" + block, recorded[1], came["valid_zones"],
                  out);
  }
  return out;
}

std::vector<std::string> replayer::names_in(const std::string& path) {
  std::vector<std::string> names;
  for (const json& entry :
       caller_.call({{"op", "ls"}, {"path", path}}).value("raw_order", json::array())) {
    if (entry[0] != "." && entry[0] != "..") {
      names.push_back(entry[0]);
    }
  }
  std::ranges::sort(names);
  return names;
}

replayer::found replayer::replay_nodes(const record& r) {
  found out;
  json dirs = json::array();
  json links = json::object();
  long sum_kb = 0;
  const std::regex node{"node\\d+"};
  const std::regex memory{"memory\\d+"};
  for (const std::string& name : names_in(node_dir)) {
    if (!std::regex_match(name, node)) {
      continue;
    }
    dirs.push_back(name);
    links[name] = json::array();
    for (const std::string& entry : names_in(fmt::format("{}/{}", node_dir, name))) {
      if (std::regex_match(entry, memory)) {
        links[name].push_back(entry);
      }
    }
    sum_kb += total_kb(
        caller_
            .call({{"op", "cat"}, {"path", fmt::format("{}/{}/meminfo", node_dir, name)}})
            .value("data", ""));
  }
  json recorded = r.fields.at("node_memory_links");
  for (json& names : recorded) {
    sort(names);
  }
  compare_value(r, "node_dirs", r.fields.at("node_dirs"), dirs, out);
  compare_value(r, "node_memory_links", recorded, links, out);
  for (const auto& [file, content] : r.fields.at("files").items()) {
    const json cat =
        caller_.call({{"op", "cat"}, {"path", fmt::format("{}/{}", node_dir, file)}});
    compare_value(r, file, content, cat.value("data", json{}), out);
  }
  // /proc/meminfo is the host's; its MemTotal moves as the sum of the nodes' does.
  const long recorded_kb = total_kb(r.fields.at("meminfo").at("MemTotal"));
  if (total_kb_ >= 0) {
    compare_value(r, "change of MemTotal", recorded_kb - recorded_total_kb_,
                  sum_kb - total_kb_, out);
  }
  recorded_total_kb_ = recorded_kb;
  total_kb_ = sum_kb;
  return out;
}

replayer::found replayer::replay_probe(const record& r) {
  found out;
  const std::string name = r.fields.at("new_block");
  json added;
  for (const json& strings : last_uevents_) {
    if (strings.at(0).get<std::string>().starts_with("add@")) {
      added = strings.at(0);
    }
  }
  compare_value(r, "new_block", fmt::format("add@/devices/system/memory/{}", name), added,
                out);
  json links = json::array();
  const std::regex node{"node\\d+"};
  for (const std::string& entry : names_in(fmt::format("{}/{}", memory_dir, name))) {
    if (std::regex_match(entry, node)) {
      links.push_back(entry);
    }
  }
  compare_value(r, "node_link", r.fields.at("node_link"), links, out);
  const std::uint64_t block = std::stoull(name.substr(6));
  compare_value(r, "start", r.fields.at("start"), fmt::format("0x{:x}", block << 27),
                out);
  const json& recorded = r.fields.at("values");
  const json came = block_values(block, recorded);
  for (const auto& [file, content] : recorded.items()) {
    compare_value(r, file, content, came[file], out);
  }
  return out;
}

// The heading of a list of entries: no name may be missing or too many in the
// directories that the list goes into.
replayer::found replayer::replay_tree(std::size_t index) {
  const record& r = section_.records[index];
  std::map<std::string, std::set<std::string>> directories;
  int count = 0;
  for (std::size_t i = index + 1;
       i < section_.records.size() && section_.records[i].kind() == "entry";
       ++i, ++count) {
    const std::string path = section_.records[i].fields.at("path");
    if (path != r.fields.at("root").get<std::string>()) {
      directories[path.substr(0, path.rfind('/'))].insert(
          path.substr(path.rfind('/') + 1));
    }
  }
  found out;
  compare_value(r, "count", r.fields.at("count"), count, out);
  for (const auto& [dir, recorded] : directories) {
    const std::vector<std::string> came = names_in(dir);
    for (const std::string& name : came) {
      if (!recorded.contains(name) && !exempt(r, "extra:" + name)) {
        out.push_back(fmt::format("{}/{} was not recorded", dir, name));
      }
    }
    for (const std::string& name : recorded) {
      if (!std::ranges::binary_search(came, name)) {
        out.push_back(fmt::format("{}/{} is missing", dir, name));
      }
    }
  }
  return out;
}

replayer::found replayer::replay_entry(const record& r) {
  const json& recorded = r.fields;
  const json path{{"path", recorded.at("path")}};
  const auto call = [&](const char* op) {
    json with_op = path;
    with_op["op"] = op;
    return caller_.call(with_op);
  };
  json came = call("lstat");
  if (recorded.contains("link")) {
    came["link"] = call("readlink").value("data", json{});
  }
  if (recorded.contains("data")) {
    came["data"] = call("cat").value("data", json{});
  }
  for (const char* where : {"open", "read"}) {
    if (recorded.contains(fmt::format("{}_errno", where))) {
      const json cat = call("cat");
      came[fmt::format("{}_errno", where)] = cat["at"] == where ? cat["errno"] : json{};
    }
  }
  found out = compare(r, recorded, came);
  for (const char* key : {"link", "data", "open_errno", "read_errno"}) {
    if (recorded.contains(key)) {
      compare_value(r, key, recorded[key], came[key], out);
    }
  }
  return out;
}

}  // namespace memhp::oracle
