// One task of a fiber_scheduler; for its two files only.
#pragma once

#include <boost/context/fiber.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "emu/explore/fiber_scheduler.h"
#include "emu/explore/race_check.h"
#include "locks/lockdep.h"

namespace memhp {

struct fiber_scheduler::fiber_task {
  fiber_task(unsigned n, std::string called, std::function<void()> what)
      : number{n},
        name{std::move(called)},
        body{std::move(what)},
        validated{name, static_cast<int>(n)} {}

  const unsigned number;
  const std::string name;
  std::function<void()> body;
  lockdep::task_state validated;  // what the validator knows of it
  vector_clock clock;

  enum class life : std::uint8_t { fresh, begun, finished } state = life::fresh;
  wanted_step wanted{};
  std::uint32_t result = 0;  // of the last step
  int holds = 0;
  object_id failed_on = 0;  // object of the last trylock that failed, and its version
  std::uint32_t failed_version = 0;
  std::optional<std::uint64_t> waits_since;  // for lock_stat

  // What it showed of itself last.
  stack_trace shown_stack;
  std::vector<reported_lock> shown_held;

  boost::context::stack_context stack;
  boost::context::fiber fiber;  // where it goes on
  boost::context::fiber back;   // where the scheduler goes on
  void* sanitizer_kept = nullptr;
};

}  // namespace memhp
