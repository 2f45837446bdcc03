// Replays one section of a recording on a machine and compares, record by record.
//
// Thread safety: one thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/oracle/background.h"
#include "tests/oracle/calls.h"
#include "tests/oracle/machine_under_test.h"
#include "tests/oracle/recording.h"

namespace memhp::oracle {

// What came of the records. Every record is counted once: replayed (equal or
// different), or not applicable.
struct tally {
  int equal = 0;
  int different = 0;
  std::map<std::string, int> not_applicable;  // by reason
  // Records that were replayed but for one aspect, by aspect and reason; counted above
  // as well.
  std::map<std::string, int> in_part;
  std::vector<std::string> differences;

  int replayed() const { return equal + different; }
  int total() const;
  void add(const tally& other);
  std::string text() const;
};

class replayer {
 public:
  replayer(const section& what, const not_applicable& table, machine_under_test& machine);
  tally run();

 private:
  // Differences of the record being replayed; empty when it is equal.
  using found = std::vector<std::string>;

  void replay_one(std::size_t index);
  found replay(std::size_t index);
  void step(const json& op);

  found replay_op(const record& r);
  found replay_matrix(const record& r);
  found replay_background(const record& r);
  found replay_race(const record& r);
  found replay_qmp(const record& r);
  found replay_uevents(const record& r);
  found replay_uevent_count(const record& r);
  found replay_state(const record& r);
  found replay_zones(const record& r);
  found replay_nodes(const record& r);
  found replay_probe(const record& r);
  found replay_tree(std::size_t index);
  found replay_entry(const record& r);

  // Compares the results that `recorded` has with those that came.
  found compare(const record& r, json recorded, json came);
  void compare_value(const record& r, const std::string& what, const json& recorded,
                     const json& came, found& out);
  // Whether the table takes this aspect of the record out of the comparison.
  bool exempt(const record& r, const std::string& aspect);
  void ease(const record& r, json& recorded, json& came);

  json block_values(std::uint64_t block, const json& like);
  void offline_blocks(const json& blocks);
  std::vector<std::string> names_in(const std::string& path);

  const section& section_;
  const not_applicable& table_;
  machine_under_test& machine_;
  caller caller_;
  tally tally_;

  std::map<std::string, std::string> backends_;  // QEMU's memory backends: id -> size
  std::map<std::string, std::unique_ptr<background_call>> background_;
  std::map<std::string, std::unique_ptr<race>> races_;
  long last_race_ok_ = -1;  // uevents that the last race must have sent, -1 if unknown
  json last_uevents_;       // of the last `uevents` record, for probe_result
  long recorded_total_kb_ = -1;  // MemTotal of the last `nodes` record
  long total_kb_ = -1;
};

// An empty string if every block's events follow each other as they can: online and
// offline in turn, removal only from offline, nothing between removal and addition.
std::string check_alternation(const std::vector<json>& uevents);

}  // namespace memhp::oracle
