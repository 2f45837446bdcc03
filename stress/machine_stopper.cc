#include "stress/machine_stopper.h"

#include <csignal>
#include <thread>

namespace memhp::stress {
namespace {

constexpr std::uint64_t not_a_worker = 1U << 20;
constexpr std::uint64_t million = 1'000'000;

}  // namespace

machine_stopper::machine_stopper(pid_t machine, const fault& how, std::uint64_t seed)
    : machine_{machine}, how_{how}, numbers_{seed, not_a_worker} {}

void machine_stopper::maybe_stop() {
  const auto now = clock::now();
  if (now < next_) return;
  next_ = now + std::chrono::milliseconds{1000 / chances_per_s};
  if (static_cast<double>(numbers_.below(million)) >= how_.probability * million) return;
  if (kill(machine_, SIGSTOP) != 0) return;
  ++stops_;
  std::this_thread::sleep_for(how_.time);
  (void)kill(machine_, SIGCONT);
}

}  // namespace memhp::stress
