// Telling a service manager how far a daemon is (the sd_notify protocol): one datagram
// to the socket that NOTIFY_SOCKET names.
//
// Thread safety: any thread that does not change the environment.
#pragma once

#include <string_view>

namespace memhp {

// For example "READY=1\nMAINPID=42". Does nothing without a service manager.
void notify_service_manager(std::string_view state);

}  // namespace memhp
