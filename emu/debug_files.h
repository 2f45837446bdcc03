// kernel/debug: what a real machine has no file for (kernel/debug/memhp), and the error
// injection that the kernel's selftest uses (kernel/debug/notifier-error-inject).
//
// kernel/debug/memhp/help documents each file; it is the text in debug_files.cc.
// Injection mirrors lib/notifier-error-inject.c and lib/memory-notifier-error-inject.c.
#pragma once

#include <array>
#include <atomic>
#include <memory>

#include "blocks/memory_notifier.h"
#include "emu/kernel.h"

namespace memhp {

class debug_files final : public kobject {
 public:
  explicit debug_files(kernel& k);
  ~debug_files() override;

  kernel& k;

 private:
  // One `error` file: the errno, negative, that its event fails with; 0 for none.
  class injected_error;
  result<> inject(memory_event event) const;

  std::array<std::unique_ptr<injected_error>, 2> errors_;  // going_online, going_offline
  const memory_notifier notifier_;
};

}  // namespace memhp
