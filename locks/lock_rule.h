// What a programmer's error with a lock leads to: a line on stderr that names the rule
// and the lock, and the end of the process, in release builds too. A lock that was
// misused no longer protects anything; to go on would trade the error's place for a
// corruption somewhere else.
//
// Thread safety: any thread, also with locks held; nothing is allocated.
#pragma once

#include <cstdint>
#include <string_view>

namespace memhp {

// Prints "memhp: RULE: LOCK" and aborts.
[[noreturn, gnu::cold]] void lock_rule_broken(std::string_view rule,
                                              std::string_view lock);

// The same for a lock that has no name: "memhp: RULE: KIND at ADDRESS".
[[noreturn, gnu::cold]] void lock_rule_broken(std::string_view rule,
                                              std::string_view kind, const void* address);

// Number of the calling thread: never 0, and never another thread's of this process, not
// even when this one has ended.
std::uint64_t this_thread_identity();

}  // namespace memhp
