#include "stress/complaints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace memhp::stress {
namespace {

using testing::ElementsAre;
using testing::Field;

auto is(const std::string& what, const std::string& report) {
  return AllOf(Field(&finding::what, "the kernel complains: " + what),
               Field(&finding::report, report));
}

TEST(Complaints, AreWarningsAndWorseSinceTheStart) {
  EXPECT_THAT(complaints_in("", 0), ElementsAre());
  EXPECT_THAT(complaints_in("4,6,100,-;slab: before\n"
                            "6,7,100,-;hello\n"
                            "no message\n"
                            "3,8,100,-;sysfs: duplicate\n",
                            7),
              ElementsAre(is("sysfs: duplicate", "sysfs: duplicate\n")));
}

TEST(Complaints, EachIsAFindingWithItsReport) {
  EXPECT_THAT(
      complaints_in("4,1,9,-;------------[ cut here ]------------\n"
                    "4,2,9,-;WARNING: CPU: 0 PID: 7 at a.cc:9 online_pages+0x8/0x9\n"
                    "4,3,9,-;Call Trace:\n"
                    "4,4,9,-;======\n"
                    "4,5,9,-;[ INFO: possible circular locking dependency detected ]\n"
                    "4,6,9,-;INFO: lockdep is turned off.\n",
                    0),
      ElementsAre(is("WARNING: CPU: 0 PID: 7 at a.cc:9 online_pages+0x8/0x9",
                     "------------[ cut here ]------------\n"
                     "WARNING: CPU: 0 PID: 7 at a.cc:9 online_pages+0x8/0x9\n"
                     "Call Trace:\n"),
                  is("INFO: possible circular locking dependency detected ]",
                     "======\n"
                     "[ INFO: possible circular locking dependency detected ]\n"
                     "INFO: lockdep is turned off.\n")));
}

}  // namespace
}  // namespace memhp::stress
