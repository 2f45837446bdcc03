#include "fuse/latency_request.h"

#include <fcntl.h>
#include <unistd.h>

namespace memhp {
namespace {

constexpr int no_constraint = 2'000'000'000;  // PM_QOS_CPU_LATENCY_DEFAULT_VALUE

owned_fd open_device(const char* device) {
  if (device == nullptr) return {};
  return owned_fd{open(device, O_WRONLY | O_CLOEXEC)};
}

}  // namespace

latency_request::latency_request(const char* device) : device_{open_device(device)} {}

void latency_request::quiet() {
  in_a_row_ = 0;
  if (held_) ask(no_constraint);
}

void latency_request::ask(int latency_us) {
  if (!device_) return;
  const bool asked = write(device_.get(), &latency_us, sizeof latency_us) > 0;
  held_ = asked && latency_us != no_constraint;
}

}  // namespace memhp
