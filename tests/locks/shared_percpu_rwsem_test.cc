// Everything that attaches runs in child processes: a process that has attached has a
// keeper thread, and ThreadSanitizer lets no child of a process with threads start one.
//
// What finds each lettered barrier when it is taken out: tests/mutants/README.md.
#include "locks/shared_percpu_rwsem.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/interprocess/managed_shared_memory.hpp>
#include <csignal>
#include <fstream>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "locks/guards.h"
#include "tests/locks/eventually.h"

namespace memhp {
namespace {

#ifdef __SANITIZE_THREAD__
constexpr int rounds = 2'000;
#else
constexpr int rounds = 200'000;
#endif

using sem_type = shared_percpu_rw_semaphore;
static_assert(std::is_standard_layout_v<sem_type>);

// Outside of the analysis: holds that end with the process, or without one.
void lock(shared_percpu_attachment& mine) NO_THREAD_SAFETY_ANALYSIS {
  mine.lock();
}
void unlock(shared_percpu_attachment& mine) NO_THREAD_SAFETY_ANALYSIS {
  mine.unlock();
}
void lock_shared(shared_percpu_attachment& mine) NO_THREAD_SAFETY_ANALYSIS {
  mine.lock_shared();
}
void unlock_shared(shared_percpu_attachment& mine) NO_THREAD_SAFETY_ANALYSIS {
  mine.unlock_shared();
}
bool open_to_readers(shared_percpu_attachment& mine) {
  if (!mine.try_lock_shared()) return false;
  mine.unlock_shared();
  return true;
}

// What the processes of a test share. Zero at first.
struct shared_page {
  sem_type sem;
  std::atomic<int> stage;
  std::atomic<int> order;
  std::atomic<int> recoveries;
  long a;  // plain: only the lock orders their uses
  long b;
  std::atomic<int> readers;
  std::atomic<int> writers;
};

// A process that runs `work` and ends with 0 if no expectation failed in it.
class child {
 public:
  template <class Work>
  explicit child(Work work) : pid_{fork()} {
    if (pid_ != 0) return;
    work();
    std::fflush(nullptr);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  ~child() {
    if (pid_ > 0) end();
  }
  child(const child&) = delete;
  child& operator=(const child&) = delete;

  bool succeeds() { return wait() == 0; }
  int wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }
  // SIGKILL: no handler, no destructor, no cleanup of any kind.
  void end() {
    kill(pid_, SIGKILL);
    wait();
  }
  bool falls_asleep() const {
    return eventually([this] {
      std::ifstream stat{"/proc/" + std::to_string(pid_) + "/stat"};
      std::string line;
      std::getline(stat, line);
      const auto name_end = line.rfind(") ");
      return name_end != std::string::npos && line[name_end + 2] == 'S';
    });
  }

 private:
  pid_t pid_;
};

class SharedPercpuRwSemaphore : public testing::Test {
 public:
  SharedPercpuRwSemaphore()
      : page_{static_cast<shared_page*>(mmap(nullptr, sizeof(shared_page),
                                             PROT_READ | PROT_WRITE,
                                             MAP_SHARED | MAP_ANONYMOUS, -1, 0))} {}
  ~SharedPercpuRwSemaphore() override { munmap(page_, sizeof(shared_page)); }

 protected:
  void construct(sem_type::readers how = sem_type::best()) { new (&sem()) sem_type{how}; }
  sem_type& sem() { return page_->sem; }
  shared_page& page() { return *page_; }
  void attach(shared_percpu_attachment& mine, bool use_rseq = true) {
    ASSERT_EQ(mine.attach(sem(), {.recover = [this] { ++page().recoveries; },
                                  .use_rseq = use_rseq}),
              std::errc{});
  }
  bool reaches(int stage) {
    return eventually([&] { return page().stage >= stage; });
  }
  // A process that takes a hold, says so, and never lets go.
  template <class Take>
  auto holder(Take take) {
    return [this, take] {
      shared_percpu_attachment mine;
      attach(mine);
      take(mine);
      ++page().stage;
      while (true) pause();
    };
  }
  // A process with two attachments, where a thread took the write hold through the first
  // and ended with it.
  template <class Then>
  auto where_a_holder_ended(Then then) {
    return [this, then] {
      shared_percpu_attachment mine;
      shared_percpu_attachment other;
      attach(mine);
      attach(other);
      std::thread{[&] { lock(mine); }}.join();
      then(mine, other);
    };
  }

 private:
  shared_page* page_;
};

TEST_F(SharedPercpuRwSemaphore, AWriterKeepsReadersOfOtherProcessesOut) {
  construct();
  child writer{[&] {
    shared_percpu_attachment mine;
    attach(mine);
    lock(mine);
    page().stage = 1;
    EXPECT_TRUE(reaches(2));
    unlock(mine);
    page().stage = 3;
  }};
  child reader{[&] {
    shared_percpu_attachment mine;
    attach(mine);
    EXPECT_TRUE(reaches(1));
    EXPECT_FALSE(open_to_readers(mine));
    page().stage = 2;
    lock_shared(mine);
    EXPECT_TRUE(reaches(3));
    unlock_shared(mine);
  }};
  EXPECT_TRUE(writer.succeeds());
  EXPECT_TRUE(reader.succeeds());
  EXPECT_EQ(sem().attached(), 0U);
}

TEST_F(SharedPercpuRwSemaphore, ALivingReaderIsWaitedForHoweverLongItTakes) {
  construct();
  child reader{[&] {
    shared_percpu_attachment mine;
    attach(mine);
    read_guard hold{mine};
    page().stage = 1;
    EXPECT_TRUE(eventually([&] { return sem().so_far().probes >= 3; }));
    EXPECT_EQ(page().stage, 1);  // it was looked for, and found alive
  }};
  child writer{[&] {
    shared_percpu_attachment mine;
    attach(mine);
    EXPECT_TRUE(reaches(1));
    guard hold{mine};
    page().stage = 2;
  }};
  EXPECT_TRUE(reader.succeeds());
  EXPECT_TRUE(writer.succeeds());
  EXPECT_EQ(sem().so_far().dead_processes, 0U);
}

TEST_F(SharedPercpuRwSemaphore, WhoWaitsToReadIsLetInBeforeTheNextWriter) {
  construct();
  child first{[&] {
    shared_percpu_attachment mine;
    attach(mine);
    lock(mine);
    page().stage = 1;
    EXPECT_TRUE(reaches(4));
    unlock(mine);
  }};
  ASSERT_TRUE(reaches(1));
  child reader{[&] {
    shared_percpu_attachment mine;
    attach(mine);
    page().stage = 2;
    read_guard hold{mine};
    EXPECT_EQ(page().order.exchange(1), 0);
  }};
  ASSERT_TRUE(reaches(2));
  ASSERT_TRUE(reader.falls_asleep());
  child second{[&] {
    shared_percpu_attachment mine;
    attach(mine);
    page().stage = 3;
    guard hold{mine};
    EXPECT_EQ(page().order.exchange(2), 1);
  }};
  ASSERT_TRUE(reaches(3));
  ASSERT_TRUE(second.falls_asleep());
  page().stage = 4;
  EXPECT_TRUE(first.succeeds());
  EXPECT_TRUE(reader.succeeds());
  EXPECT_TRUE(second.succeeds());
}

TEST_F(SharedPercpuRwSemaphore, AKilledReadersHoldIsTakenBack) {
  construct();
  child reader{holder([](auto& mine) { lock_shared(mine); })};
  ASSERT_TRUE(reaches(1));
  child writer{[&] {
    shared_percpu_attachment mine;
    attach(mine);
    page().stage = 2;
    guard hold{mine};
  }};
  ASSERT_TRUE(reaches(2));
  ASSERT_TRUE(eventually([&] { return sem().so_far().probes >= 1; }));  // it waits
  reader.end();
  EXPECT_TRUE(writer.succeeds());
  EXPECT_EQ(sem().so_far().dead_processes, 1U);
  EXPECT_EQ(sem().so_far().dead_writers, 0U);
  EXPECT_EQ(page().recoveries, 0);
}

TEST_F(SharedPercpuRwSemaphore, AnExecEndsAHoldAlthoughTheProcessLives) {
  construct();
  int alive[2];
  ASSERT_EQ(pipe2(alive, O_CLOEXEC), 0);
  child writer{[&] {
    shared_percpu_attachment mine;
    attach(mine);  // before the other one: an attach would bury it, too
    page().stage = 1;
    EXPECT_TRUE(reaches(2));
    guard hold{mine};
  }};
  ASSERT_TRUE(reaches(1));
  child reader{[&] {
    shared_percpu_attachment mine;
    attach(mine);
    lock_shared(mine);
    dup2(alive[0], STDIN_FILENO);
    page().stage = 2;
    execlp("cat", "cat", nullptr);  // waits for us: lives on under the same pid
  }};
  EXPECT_TRUE(writer.succeeds());
  EXPECT_EQ(sem().so_far().dead_processes, 1U);
  close(alive[0]);
  close(alive[1]);
  EXPECT_TRUE(reader.succeeds());  // it was there all the time
}

TEST_F(SharedPercpuRwSemaphore, TheNextWriterMakesWholeWhatAKilledOneLeft) {
  construct();
  child writer{holder([this](auto& mine) {
    lock(mine);
    ++page().a;  // and not b
  })};
  ASSERT_TRUE(reaches(1));
  writer.end();
  child next{[&] {
    shared_percpu_attachment mine;
    ASSERT_EQ(mine.attach(sem(), {.recover =
                                      [this] {
                                        EXPECT_EQ(page().a, page().b + 1);
                                        page().b = page().a;
                                        ++page().recoveries;
                                      }}),
              std::errc{});
    {
      guard hold{mine};
      EXPECT_EQ(page().recoveries, 1);
      EXPECT_EQ(page().a, page().b);
    }
    guard again{mine};
    EXPECT_EQ(page().recoveries, 1);
  }};
  EXPECT_TRUE(next.succeeds());
  EXPECT_EQ(sem().so_far().dead_writers, 1U);
}

TEST_F(SharedPercpuRwSemaphore, AReaderWhoWaitsFindsOutThatTheWriterIsDead) {
  construct();
  child writer{holder([](auto& mine) { lock(mine); })};
  ASSERT_TRUE(reaches(1));
  child reader{[&] {
    shared_percpu_attachment mine;
    attach(mine);
    page().stage = 2;
    read_guard hold{mine};
    EXPECT_EQ(page().recoveries, 1);
  }};
  ASSERT_TRUE(reaches(2));
  ASSERT_TRUE(reader.falls_asleep());
  writer.end();
  EXPECT_TRUE(reader.succeeds());
}

TEST_F(SharedPercpuRwSemaphore, AWriterKilledWhileItWaitsLeavesNothingToRecover) {
  construct();
  child reader{holder([](auto& mine) { lock_shared(mine); })};
  ASSERT_TRUE(reaches(1));
  child writer{holder([](auto& mine) { lock(mine); })};
  ASSERT_TRUE(eventually([&] { return sem().so_far().probes >= 1; }));
  writer.end();
  child other{[&] {
    shared_percpu_attachment mine;
    attach(mine);
    read_guard hold{mine};  // past the gate that the dead writer closed
  }};
  // It takes over from the writer, and so waits for the reader; that one dies, too.
  ASSERT_TRUE(eventually([&] { return sem().so_far().probes >= 3; }));
  reader.end();
  EXPECT_TRUE(other.succeeds());
  EXPECT_EQ(page().recoveries, 0);
}

// A thread may die alone: the process lives on and has the attachment.
TEST_F(SharedPercpuRwSemaphore, AnAttachmentIsFreeOfAWriteHoldThatWasTakenBack) {
  construct();
  child one{where_a_holder_ended([&](auto& mine, auto& other) {
    {
      guard hold{other};
      EXPECT_EQ(page().recoveries, 1);
      mine.detach();  // nobody holds through it, although somebody holds the lock
    }
    attach(mine);
    guard hold{mine};
    EXPECT_EQ(page().recoveries, 1);
  })};
  EXPECT_TRUE(one.succeeds());
}

TEST_F(SharedPercpuRwSemaphore, AWriteHoldOfADeadThreadIsFoundAfterADetach) {
  construct();
  child one{where_a_holder_ended([&](auto& mine, auto& other) {
    mine.detach();
    EXPECT_EQ(page().recoveries, 0);
    guard hold{other};
    EXPECT_EQ(page().recoveries, 1);
  })};
  EXPECT_TRUE(one.succeeds());
}

TEST_F(SharedPercpuRwSemaphore, ADetachWhileAThreadHoldsForWritingAborts) {
  construct();
  child one{[&] {
    shared_percpu_attachment mine;
    attach(mine);
    std::thread holds{[&] {
      lock(mine);
      page().stage = 1;
      while (true) pause();
    }};
    EXPECT_TRUE(reaches(1));
    mine.detach();
  }};
  EXPECT_EQ(WTERMSIG(one.wait()), SIGABRT);
}

// A new thread often gets the stack, and so the addresses, of the one that ended before.
TEST_F(SharedPercpuRwSemaphore, AThreadDoesNotInheritTheHoldOfADeadOne) {
  construct();
  child one{[&] {
    shared_percpu_attachment mine;
    attach(mine);
    std::thread{[&] { lock(mine); }}.join();
    std::thread{[&] { unlock(mine); }}.join();
  }};
  EXPECT_EQ(WTERMSIG(one.wait()), SIGABRT);
}

// Thread numbers, which say who holds and who lives, are those of a pid namespace.
TEST_F(SharedPercpuRwSemaphore, AProcessOfAnotherPidNamespaceIsRefused) {
  constexpr int not_allowed = 77;
  construct();
  child one{[&] {
    if (unshare(CLONE_NEWPID) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
      _exit(not_allowed);
    child elsewhere{[&] {
      shared_percpu_attachment mine;
      EXPECT_EQ(mine.attach(sem()), std::errc::no_such_process);
      EXPECT_FALSE(mine.attached());
    }};
    EXPECT_TRUE(elsewhere.succeeds());
  }};
  const int status = one.wait();
  if (WIFEXITED(status) && WEXITSTATUS(status) == not_allowed)
    GTEST_SKIP() << "this process may not make a pid namespace";
  EXPECT_EQ(status, 0);
}

TEST_F(SharedPercpuRwSemaphore, TheSlotsOfTheDeadAreUsedAgain) {
  construct();
  for (unsigned i = 0; i < sem_type::max_processes + 4; ++i) {
    child one{holder([](auto& mine) { lock_shared(mine); })};
    ASSERT_TRUE(reaches(static_cast<int>(i) + 1)) << "process " << i;
  }
  EXPECT_LE(sem().attached(), sem_type::max_processes);
  child writer{[&] {
    shared_percpu_attachment mine;
    attach(mine);
    guard hold{mine};
  }};
  EXPECT_TRUE(writer.succeeds());
  EXPECT_EQ(sem().so_far().dead_processes, sem_type::max_processes + 4);
}

TEST_F(SharedPercpuRwSemaphore, AFullTableRefusesAndADetachMakesRoom) {
  construct();
  child one{[&] {
    std::array<shared_percpu_attachment, sem_type::max_processes> all;
    for (auto& each : all) attach(each);
    EXPECT_EQ(sem().attached(), sem_type::max_processes);
    shared_percpu_attachment more;
    EXPECT_EQ(more.attach(sem()), std::errc::resource_unavailable_try_again);
    EXPECT_FALSE(more.attached());
    all[7].detach();
    EXPECT_EQ(more.attach(sem()), std::errc{});
  }};
  EXPECT_TRUE(one.succeeds());
  EXPECT_EQ(sem().attached(), 0U);
}

TEST_F(SharedPercpuRwSemaphore, AProcessMayAttachTwiceButNotWithOneObject) {
  construct();
  child one{[&] {
    shared_percpu_attachment first;
    shared_percpu_attachment second;
    attach(first);
    EXPECT_EQ(first.attach(sem()), std::errc::already_connected);
    attach(second);
    lock_shared(first);
    EXPECT_TRUE(open_to_readers(second));
    unlock_shared(first);
    guard hold{second};
    EXPECT_FALSE(open_to_readers(first));
  }};
  EXPECT_TRUE(one.succeeds());
}

TEST_F(SharedPercpuRwSemaphore, AForkedChildIsNotAttachedAndHoldsNothing) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer: no threads in the child of a process with threads";
#endif
  construct();
  child parent{[&] {
    shared_percpu_attachment mine;
    attach(mine);
    lock_shared(mine);
    child forked{[&] {
      EXPECT_FALSE(mine.attached());
      attach(mine);  // the same object, a slot of its own
      EXPECT_TRUE(open_to_readers(mine));
    }};
    EXPECT_TRUE(forked.succeeds());
    child misuser{[&] { unlock_shared(mine); }};
    EXPECT_EQ(WTERMSIG(misuser.wait()), SIGABRT);
    EXPECT_TRUE(mine.attached());
    unlock_shared(mine);
    guard hold{mine};  // our own hold was the only one
  }};
  EXPECT_TRUE(parent.succeeds());
}

TEST_F(SharedPercpuRwSemaphore, MemoryThatHoldsNoLockIsRefused) {
  child one{[&] {
    shared_percpu_attachment mine;
    EXPECT_EQ(mine.attach(sem()), std::errc::invalid_argument);
  }};
  EXPECT_TRUE(one.succeeds());
}

TEST_F(SharedPercpuRwSemaphore, BrokenRulesAbort) {
  construct();
  const auto aborts = [&](auto work) {
    child one{[&] {
      shared_percpu_attachment mine;
      attach(mine);
      work(mine);
    }};
    const int status = one.wait();
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
  };
  EXPECT_TRUE(aborts([](auto& mine) { unlock(mine); }));
  EXPECT_TRUE(aborts([](auto& mine) {
    lock(mine);
    lock(mine);
  }));
  EXPECT_TRUE(aborts([](auto& mine) {
    unlock_shared(mine);  // noticed by the next writer
    lock(mine);
  }));
  EXPECT_TRUE(aborts([](auto& mine) {
    lock_shared(mine);
    mine.detach();
  }));
  EXPECT_TRUE(aborts([&](auto&) { sem().~shared_percpu_rw_semaphore(); }));
  EXPECT_TRUE(aborts([](auto& mine) {
    mine.detach();
    lock_shared(mine);
  }));
}

// By threads of one process, which ThreadSanitizer can follow: what a holder did is seen
// by the next one, whichever way it was let in.
TEST_F(SharedPercpuRwSemaphore, ThreadsOfOneProcessSeeWhatTheLastHolderDid) {
  constexpr int writes = 300;
  construct(sem_type::readers::fenced);
  child one{[&] {
    shared_percpu_attachment mine;
    attach(mine);
    std::vector<std::jthread> threads;
    for (int n = 0; n < 2; ++n) {
      threads.emplace_back([&] {
        while (true) {
          read_guard hold{mine};
          EXPECT_EQ(page().a, page().b);
          if (page().a >= 2 * writes) return;
        }
      });
      threads.emplace_back([&] {
        for (int i = 0; i < writes; ++i) {
          guard hold{mine};
          ++page().a;
          sched_yield();
          ++page().b;
        }
      });
    }
  }};
  EXPECT_TRUE(one.succeeds());
}

// In a Boost.Interprocess segment, which the second process maps somewhere else.
TEST_F(SharedPercpuRwSemaphore, LivesInABoostSegment) {
  namespace ipc = boost::interprocess;
  const std::string name = "memhp-test-" + std::to_string(getpid());
  struct removed_at_the_end {
    const std::string& name;
    ~removed_at_the_end() { ipc::shared_memory_object::remove(name.c_str()); }
  } remover{name};
  child maker{[&] {
    ipc::managed_shared_memory segment{ipc::create_only, name.c_str(), 1 << 20};
    auto* const made = segment.construct<sem_type>("sem")();
    page().a = reinterpret_cast<long>(made);
    shared_percpu_attachment mine;
    EXPECT_EQ(mine.attach(*made), std::errc{});
    lock(mine);
    page().stage = 1;
    EXPECT_TRUE(reaches(2));
    page().b = 1;
    unlock(mine);
    EXPECT_TRUE(reaches(3));
  }};
  child user{[&] {
    EXPECT_TRUE(reaches(1));
    const ipc::managed_shared_memory in_the_way{ipc::open_only, name.c_str()};
    ipc::managed_shared_memory segment{ipc::open_only, name.c_str()};
    auto* const found = segment.find<sem_type>("sem").first;
    ASSERT_NE(found, nullptr);
    EXPECT_NE(page().a, reinterpret_cast<long>(found));
    shared_percpu_attachment mine;
    EXPECT_EQ(mine.attach(*found), std::errc{});
    page().stage = 2;
    read_guard hold{mine};
    EXPECT_EQ(page().b, 1);
    page().stage = 3;
  }};
  EXPECT_TRUE(maker.succeeds());
  EXPECT_TRUE(user.succeeds());
}

// Against a naive model, in every tier: who is inside is counted, and compared.
struct tier {
  const char* name;
  sem_type::readers how;
  bool use_rseq;
};
void PrintTo(const tier& of, std::ostream* out) {
  *out << of.name;
}

class SharedPercpuRwSemaphoreTiers : public SharedPercpuRwSemaphore,
                                     public testing::WithParamInterface<tier> {
 protected:
  void read_once(shared_percpu_attachment& mine,
                 bool try_only) NO_THREAD_SAFETY_ANALYSIS {
    if (!try_only)
      mine.lock_shared();
    else if (!mine.try_lock_shared())
      return;
    ++page().readers;
    EXPECT_EQ(page().writers, 0);
    EXPECT_EQ(page().a, page().b);
    --page().readers;
    mine.unlock_shared();
  }
  void write_once(shared_percpu_attachment& mine) {
    guard hold{mine};
    EXPECT_EQ(++page().writers, 1);
    EXPECT_EQ(page().readers, 0);
    ++page().a;
    sched_yield();  // give the others a chance to come in wrongly
    ++page().b;
    --page().writers;
  }
  void crowd_member(unsigned which) {
    shared_percpu_attachment mine;
    attach(mine, GetParam().use_rseq);
    ++page().stage;
    EXPECT_TRUE(reaches(4));
    for (int round = 0; round < rounds && !HasFailure(); ++round)
      if ((static_cast<unsigned>(round) + which * 7) % 64 == 0)
        write_once(mine);
      else
        read_once(mine, round % 3 == 0);
  }
};

TEST_P(SharedPercpuRwSemaphoreTiers, NeverHasAWriterBesideAnybodyElse) {
  if (GetParam().how == sem_type::readers::expedited &&
      sem_type::best() != sem_type::readers::expedited)
    GTEST_SKIP() << "no membarrier here";
  construct(GetParam().how);
  std::vector<std::unique_ptr<child>> crowd;
  for (unsigned which = 0; which < 4; ++which)
    crowd.push_back(std::make_unique<child>([&, which] { crowd_member(which); }));
  for (auto& each : crowd) EXPECT_TRUE(each->succeeds());
  EXPECT_EQ(page().a, page().b);
  EXPECT_GT(page().a, 0);
  EXPECT_EQ(sem().so_far().dead_processes, 0U);
}

INSTANTIATE_TEST_SUITE_P(
    All, SharedPercpuRwSemaphoreTiers,
    testing::Values(tier{"RseqAndMembarrier", sem_type::readers::expedited, true},
                    tier{"LockedAndMembarrier", sem_type::readers::expedited, false},
                    tier{"RseqAndFences", sem_type::readers::fenced, true},
                    tier{"LockedAndFences", sem_type::readers::fenced, false}),
    [](const auto& what) { return std::string{what.param.name}; });

}  // namespace
}  // namespace memhp
