// For tests that run fibers: says why it skips where they cannot run.
#pragma once

#include <gtest/gtest.h>

#include "emu/explore/fiber_scheduler.h"

#define SKIP_WITHOUT_FIBERS()                                                          \
  if (!memhp::fibers_work)                                                             \
  GTEST_SKIP() << "ThreadSanitizer loses track of the stacks when fibers switch; the " \
                  "same code runs on threads in emu_test"
