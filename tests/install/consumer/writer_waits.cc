// A reader that is in keeps a writer out, however many threads read before. Run by a
// consumer that is compiled with other flags than the library: both must count readers in
// the same place.
#include <memhp/locks/percpu_rwsem.h>

#include <atomic>
#include <cstdio>
#include <thread>
#include <vector>

int main() {
  memhp::percpu_rw_semaphore sem;
  // More threads than a machine has CPUs: what counts by thread leaves the rows that are
  // for CPUs.
  constexpr unsigned many = 1000;
  std::atomic<unsigned> have_read = 0;
  std::atomic<bool> over = false;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < many; ++i)
    threads.emplace_back([&] {
      sem.lock_shared();
      sem.unlock_shared();
      ++have_read;
      over.wait(false);
    });
  for (unsigned seen = 0; seen < many; seen = have_read.load()) std::this_thread::yield();

  sem.lock_shared();
  std::atomic<bool> written = false;
  std::thread writer{[&] {
    sem.lock();
    written = true;
    sem.unlock();
  }};
  while (!sem.is_write_locked()) std::this_thread::yield();  // the gate is closed
  for (int i = 0; i < 10'000 && !written; ++i) std::this_thread::yield();
  const bool excluded = !written;
  sem.unlock_shared();
  writer.join();
  over = true;
  over.notify_all();
  for (std::thread& thread : threads) thread.join();
  std::puts(excluded ? "the writer waited" : "the writer came in beside a reader");
  return excluded ? 0 : 1;
}
