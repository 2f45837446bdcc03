#include "tests/oracle/recording.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace memhp::oracle {

namespace {

bool glob(const std::string& pattern, const std::string& text) {
  return fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

std::vector<json> read_lines(const std::filesystem::path& file) {
  std::ifstream in{file};
  if (!in) {
    throw std::runtime_error{fmt::format("cannot read {}", file.string())};
  }
  std::vector<json> lines;
  for (std::string line; std::getline(in, line);) {
    lines.push_back(json::parse(line));
  }
  return lines;
}

// Cuts one recording at its headings.
std::vector<section> cut(const std::string& recording, const std::vector<json>& lines) {
  std::vector<section> sections;
  for (const json& line : lines) {
    const std::string kind = line.at("rec");
    if (kind == "meta") {
      continue;
    }
    if (kind == "section") {
      sections.push_back({.recording = recording, .name = line.at("name")});
      continue;
    }
    sections.back().records.push_back({.fields = line});
  }
  return sections;
}

// Applies one line of steps.jsonl; returns how many places it fits.
int apply_step(const json& step, std::vector<section>& sections) {
  int places = 0;
  for (section& s : sections) {
    if (!glob(step.at("recording"), s.recording)) {
      continue;
    }
    if (step.contains("machine")) {
      s.machine_options = step["machine"].get<std::vector<std::string>>();
      ++places;
    } else if (step.contains("prologue") && step.at("section") == s.name) {
      s.prologue = step["prologue"];
      ++places;
    } else if (step.contains("seq")) {
      const auto r = std::ranges::find(s.records, step["seq"].get<int>(), &record::seq);
      if (r != s.records.end()) {
        r->fields.update(step.value("with", json::object()));
        r->before = step.value("before", json::array());
        ++places;
      }
    }
  }
  return places;
}

std::vector<std::string> split(const std::string& line, char separator) {
  std::vector<std::string> parts;
  std::istringstream in{line};
  for (std::string part; std::getline(in, part, separator);) {
    parts.push_back(part);
  }
  return parts;
}

}  // namespace

void PrintTo(const section& s, std::ostream* out) {
  *out << s.recording << ' ' << s.name;
}

std::vector<section> load_sections(const std::filesystem::path& dir) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator{dir / "recordings"}) {
    files.push_back(entry.path());
  }
  std::ranges::sort(files);
  std::vector<section> sections;
  for (const auto& file : files) {
    std::ranges::move(cut(file.stem().string(), read_lines(file)),
                      std::back_inserter(sections));
  }
  for (const json& step : read_lines(dir / "steps.jsonl")) {
    if (apply_step(step, sections) == 0) {
      throw std::runtime_error{fmt::format("a step fits no record: {}", step.dump())};
    }
  }
  return sections;
}

not_applicable::not_applicable(const std::filesystem::path& file) {
  std::ifstream in{file};
  if (!in) {
    throw std::runtime_error{fmt::format("cannot read {}", file.string())};
  }
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line.front() == '#') {
      continue;
    }
    const std::vector<std::string> parts = split(line, '\t');
    if (parts.size() != 6) {
      throw std::runtime_error{fmt::format("not six columns: {}", line)};
    }
    all_.push_back({.recording = parts[0],
                    .section = parts[1],
                    .kind = parts[2],
                    .subject = parts[3],
                    .aspect = parts[4],
                    .reason = parts[5]});
  }
}

const exemption* not_applicable::find(const section& of, const record& r,
                                      std::string_view aspect) const {
  for (const exemption& e : all_) {
    if (e.aspect == aspect && glob(e.recording, of.recording) &&
        glob(e.section, of.name) && glob(e.kind, kind_of(r)) &&
        glob(e.subject, subject_of(r))) {
      return &e;
    }
  }
  return nullptr;
}

std::string kind_of(const record& r) {
  return r.kind() == "op" ? "op:" + r.op() : r.kind();
}

std::string subject_of(const record& r) {
  std::string subject = std::to_string(r.seq());
  for (const char* key : {"path", "cmd", "root", "what", "why", "args", "device"}) {
    if (const auto it = r.fields.find(key); it != r.fields.end()) {
      subject += " " + (it->is_string() ? it->get<std::string>() : it->dump());
    }
  }
  return subject;
}

}  // namespace memhp::oracle
