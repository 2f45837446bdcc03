#include "blocks/backing.h"

#include <gmock/gmock.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <csignal>

#include "tests/blocks/memory_fixture.h"

namespace memhp {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t window = 1 * TiB;

// Lets this process neither mount nor make a namespace, as a container may.
bool forbid_mounts_and_namespaces() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsopen, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter = {.len = std::size(program), .filter = program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

bool contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return true;
  fputs(("no \"" + part + "\" in: " + text + "\n").c_str(), stderr);
  return false;
}

TEST(Backing, NamesGoBothWays) {
  for (const auto* const name : {"auto", "hugetlb", "thp", "small"}) {
    const auto kind = parse_backing(name);
    ASSERT_TRUE(kind) << name;
    EXPECT_EQ(to_string(*kind), name);
  }
  EXPECT_EQ(parse_backing("huge"), std::nullopt);
  EXPECT_EQ(parse_backing(""), std::nullopt);
}

TEST(Backing, IsAFileOfTheWindowWithoutPages) {
  for (const auto kind : {backing_kind::thp, backing_kind::small}) {
    const auto opened = open_backing(kind, window, 0, this_host());
    ASSERT_TRUE(opened) << opened.error();
    struct stat status = {};
    ASSERT_EQ(fstat(opened->file.get(), &status), 0);
    EXPECT_EQ(static_cast<std::uint64_t>(status.st_size), window);
    EXPECT_EQ(status.st_blocks, 0);
    EXPECT_EQ(opened->kind, kind);
  }
}

TEST(Backing, AutomaticTakesThePoolIfItHasEnough) {
  fake_host host;
  host.huge_pages = 64;
  const auto opened = open_backing(backing_kind::automatic, window, 128 * MiB, host);
  ASSERT_TRUE(opened) << opened.error();
  EXPECT_EQ(opened->kind, backing_kind::hugetlb);
  EXPECT_EQ(opened->granule(), 2 * MiB);
}

TEST(Backing, AutomaticLeavesAPoolThatIsTooSmall) {
  fake_host host;
  host.huge_pages = 63;
  const auto opened = open_backing(backing_kind::automatic, window, 128 * MiB, host);
  ASSERT_TRUE(opened) << opened.error();
  EXPECT_EQ(opened->kind, backing_kind::thp);
  EXPECT_THAT(opened->reason,
              HasSubstr("63 free hugetlb pages of 2 MiB where 64 are needed"));
}

TEST(Backing, AutomaticTakesSmallPagesWhereNothingElseGoes) {
  EXPECT_TRUE(in_child([] {
    fake_host host;
    host.huge_pages = 0;
    if (!forbid_mounts_and_namespaces()) return false;
    const auto opened = open_backing(backing_kind::automatic, window, 0, host);
    return opened && opened->kind == backing_kind::small &&
           opened->granule() == page_size &&
           contains(opened->reason, "not hugetlb: no free hugetlb pages") &&
           contains(opened->reason, "not thp: no user namespaces");
  }));
}

TEST(Backing, AskedForHugetlbSaysWhatIsMissing) {
  fake_host host;
  host.huge_pages = 0;
  const auto none = open_backing(backing_kind::hugetlb, window, 128 * MiB, host);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error(), HasSubstr("no free hugetlb pages (vm.nr_hugepages)"));
  EXPECT_THAT(none.error(), HasSubstr("use --backing auto"));
  host.huge_pages = 10;
  const auto few = open_backing(backing_kind::hugetlb, window, 128 * MiB, host);
  ASSERT_FALSE(few);
  EXPECT_THAT(few.error(), HasSubstr("10 free hugetlb pages"));
}

TEST(Backing, AskedForThpSaysWhatIsMissing) {
  EXPECT_TRUE(in_child([] {
    if (!forbid_mounts_and_namespaces()) return false;
    const auto opened = open_backing(backing_kind::thp, window, 0, this_host());
    return !opened && contains(opened.error(), "no user namespaces") &&
           contains(opened.error(), "use --backing auto");
  }));
}

TEST(Backing, FileSizeLimitIsAnErrorAndNoSignal) {
  EXPECT_TRUE(in_child([] {
    signal(SIGXFSZ, SIG_DFL);
    const rlimit limit = {.rlim_cur = GiB, .rlim_max = GiB};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    const auto opened = open_backing(backing_kind::small, window, 0, this_host());
    return !opened && contains(opened.error(), "--max-memory");
  }));
}

}  // namespace
}  // namespace memhp
