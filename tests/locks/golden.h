// Golden files: texts that a test expects, in tests/golden/. To compose one anew, delete
// it, run the test (which fails and leaves the text as NAME.actual in the working
// directory), read that text line by line, and move it there.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <string>

namespace memhp {

// What differs from run to run: addresses, offsets in functions, process and CPU numbers.
inline std::string normalized(std::string text) {
  static const std::pair<std::regex, const char*> rules[] = {
      {std::regex{"\\b[0-9a-f]{16}\\b"}, "ADDRESS"},
      {std::regex{"\\+0x[0-9a-f]+/0x[0-9a-f]+"}, "+OFFSET"},
      {std::regex{"\\+0x[0-9a-f]+"}, "+OFFSET"},
      {std::regex{"PID: \\d+"}, "PID: N"},
      {std::regex{"CPU: \\d+"}, "CPU: N"},
      {std::regex{"/\\d+( is |:|\\.| still )"}, "/N$1"}};
  for (const auto& [what, word] : rules) text = std::regex_replace(text, what, word);
  return text;
}

inline void expect_golden(const std::string& name, const std::string& actual) {
  std::ifstream file{std::string{MEMHP_GOLDEN} + "/" + name, std::ios::binary};
  const std::string expected{std::istreambuf_iterator<char>{file}, {}};
  EXPECT_TRUE(file.is_open()) << "no golden file " << name;
  EXPECT_EQ(normalized(actual), normalized(expected)) << "golden file " << name;
  if (normalized(actual) != normalized(expected))
    std::ofstream{name + ".actual"} << actual;
}

}  // namespace memhp
