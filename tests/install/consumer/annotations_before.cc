// A project with the macros of clang's documentation keeps them, and they annotate our
// locks: clang's analysis sees what is guarded.
#include "annotations_before.h"

#include <memhp/locks/guards.h>
#include <memhp/locks/shared_percpu_rwsem.h>
#include <memhp/locks/tracked.h>

class counter_before {
 public:
  int next() {
    memhp::guard hold{lock_};
    return ++count_;
  }

 private:
  memhp::percpu_rw_semaphore lock_;
  int count_ GUARDED_BY(lock_) = 0;
};

int next(counter_before& counter);
int next(counter_before& counter) {
  return counter.next();
}
