// The recordings of real kernels, cut into sections, and the two files that go with
// them: steps.jsonl (what the recorder did but put into words only) and
// not_applicable.tsv (what cannot be compared, and why).
//
// Thread safety: none needed; everything is read once at start.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace memhp::oracle {

using json = nlohmann::json;

// One line of a recording. `fields` is the line with the arguments of steps.jsonl added;
// `before` are calls that the recorder made first without recording them.
struct record {
  json fields;
  json before = json::array();

  int seq() const { return fields.value("seq", 0); }
  std::string kind() const { return fields.value("rec", ""); }
  std::string op() const { return fields.value("op", ""); }
};

// The part of a recording from one heading to the next. It is replayed on a machine of
// its own: started with `machine_options`, then brought to where the recorded machine
// stood by the calls of `prologue`.
struct section {
  std::string recording;
  std::string name;
  std::vector<std::string> machine_options;
  json prologue = json::array();
  std::vector<record> records;
};

// For the test's name in its messages.
void PrintTo(const section& s,
             std::ostream* out);  // NOLINT(readability-identifier-naming)

// Reads DIR/recordings/*.jsonl and DIR/steps.jsonl. Throws std::runtime_error on a file
// that is missing or a step that names no record.
std::vector<section> load_sections(const std::filesystem::path& dir);

// One line of not_applicable.tsv: recording, section, kind ("op:put", "timing") and
// subject (see subject_of) are glob patterns; aspect is "record" if the record is not
// replayed at all, else the one part of it that is not compared.
struct exemption {
  std::string recording, section, kind, subject, aspect, reason;
};

class not_applicable {
 public:
  explicit not_applicable(const std::filesystem::path& file);
  // The reason why `aspect` of a record is not compared, or null.
  const exemption* find(const section& of, const record& r,
                        std::string_view aspect) const;
  const std::vector<exemption>& all() const { return all_; }

 private:
  std::vector<exemption> all_;
};

// What a record is about, for the table: "kind" is rec, or "op:" and the operation;
// the subject is its sequence number, path and description, separated by blanks.
std::string kind_of(const record& r);
std::string subject_of(const record& r);

}  // namespace memhp::oracle
