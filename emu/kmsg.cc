#include "emu/kmsg.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "locks/guards.h"

namespace memhp {
namespace {

std::int64_t usec_of(kmsg_ring::clock_fn clock) {
  if (clock == nullptr) return 0;
  constexpr std::int64_t usec_per_sec = 1'000'000;
  constexpr std::int64_t nsec_per_usec = 1000;
  const struct timespec now = clock();
  return now.tv_sec * usec_per_sec + now.tv_nsec / nsec_per_usec;
}

void append_escaped(std::string& to, std::string_view text) {
  constexpr unsigned char first_printable = 0x20;
  constexpr unsigned char beyond_ascii = 0x7f;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < first_printable || byte >= beyond_ascii || c == '\\')
      fmt::format_to(std::back_inserter(to), "\\x{:02x}", byte);
    else
      to += c;
  }
}

}  // namespace

kmsg_ring::kmsg_ring(clock_fn clock) : clock_{clock}, boot_usec_{usec_of(clock)} {}

std::int64_t kmsg_ring::now_usec() const {
  return usec_of(clock_) - boot_usec_;
}

void kmsg_ring::print(log_level level, std::string_view text) {
  const std::int64_t usec = now_usec();
  guard hold{lock_};
  std::deque<record>& records = level == log_level::info ? information_ : warnings_;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    records.push_back(
        {.level = level, .seq = next_seq_++, .usec = usec, .text = std::string{line}});
    if (records.size() > kept) records.pop_front();
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
}

std::string kmsg_ring::text() const {
  std::string all;
  const auto append = [&all](const record& each) {
    fmt::format_to(std::back_inserter(all), "{},{},{},-;",
                   static_cast<unsigned>(each.level), each.seq, each.usec);
    append_escaped(all, each.text);
    all += '\n';
  };
  guard hold{lock_};
  auto warning = warnings_.begin();
  for (const record& each : information_) {
    while (warning != warnings_.end() && warning->seq < each.seq) append(*warning++);
    append(each);
  }
  std::for_each(warning, warnings_.end(), append);
  return all;
}

}  // namespace memhp
