// A project that defines macros of these names, where there are none yet, after ours: it
// has ours then.
#include <memhp/locks/guards.h>
#include <memhp/locks/shared_percpu_rwsem.h>
#include <memhp/locks/tracked.h>

#ifndef REQUIRES
#define REQUIRES(...) no annotation of any kind
#endif
#ifndef GUARDED_BY
#define GUARDED_BY(x) no annotation of any kind
#endif

class counter_after {
 public:
  int next() {
    memhp::guard hold{lock_};
    return add(1);
  }

 private:
  int add(int more) REQUIRES(lock_) { return count_ += more; }
  memhp::mutex lock_;
  int count_ GUARDED_BY(lock_) = 0;
};

int next(counter_after& counter);
int next(counter_after& counter) {
  return counter.next();
}
