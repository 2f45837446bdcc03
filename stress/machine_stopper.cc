#include "stress/machine_stopper.h"

#include <csignal>
#include <thread>

#include "blocks/pidfd.h"

namespace memhp::stress {
namespace {

constexpr std::uint64_t not_a_worker = 1U << 20;
constexpr std::uint64_t million = 1'000'000;

}  // namespace

machine_stopper::machine_stopper(pid_t machine, const fault& how, std::uint64_t seed)
    : machine_{pidfd_open(machine, 0)}, how_{how}, numbers_{seed, not_a_worker} {}

void machine_stopper::maybe_stop() {
  if (clock::now() < next_) return;
  if (static_cast<double>(numbers_.below(million)) < how_.probability * million) stop();
  // After a stop as well it runs for as long, so that nothing gets stuck behind two.
  next_ = clock::now() + std::chrono::milliseconds{1000 / chances_per_s};
}

void machine_stopper::stop() {
  if (pidfd_send_signal(machine_.get(), SIGSTOP, nullptr, 0) != 0) return;
  ++stops_;
  std::this_thread::sleep_for(how_.time);
  (void)pidfd_send_signal(machine_.get(), SIGCONT, nullptr, 0);
}

}  // namespace memhp::stress
