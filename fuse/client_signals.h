// What signals a client waits with: read from /proc, because FUSE says only that there
// is one.
//
// Thread safety: every function may be called by any thread; none waits.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>

namespace memhp {

struct client_signals {
  // Pending and not blocked, bit n - 1 for signal n. A worker of an io_uring, of which
  // nothing can be seen but that it was interrupted, has SIGURG.
  std::uint64_t pending = 0;
  // One of them ends the process: SIGKILL, which the kernel also sets for every fatal
  // signal that leaves no core, or a signal whose default is to dump core.
  bool fatal = false;
};

// Of the thread `tid`. A client that cannot be looked at (0: outside our pid namespace)
// counts as dying: it must not hang for ever, and EINTR is true for it in any case.
client_signals signals_of(pid_t tid);

// The same from the text of /proc/<tid>/status.
client_signals parse_signals(std::string_view status);

}  // namespace memhp
