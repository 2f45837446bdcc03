#include "locks/lockdep_report.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace memhp {
namespace {

constexpr std::string_view double_rule =
    "======================================================\n";
constexpr std::string_view single_rule =
    "------------------------------------------------------\n";

// Builds the text of one report.
class writer {
 public:
  writer(const lockdep_report& report, const report_style& style)
      : r_{report}, style_{style} {}

  std::string text() {
    switch (r_.kind) {
      case report_kind::circular: circular(); break;
      case report_kind::recursive: recursive(); break;
      case report_kind::bad_unlock: bad_unlock(); break;
      case report_kind::held_at_exit: held_at_exit(); break;
      case report_kind::held_at_destruction: held_at_destruction(); break;
      case report_kind::not_held: assertion(" is not held"); break;
      case report_kind::must_not_be_held: assertion(" must not be held"); break;
    }
    return std::move(out_);
  }

 private:
  void line(const std::string& text) { out_ += text + '\n'; }
  void blank() { out_ += '\n'; }

  std::string task() const { return r_.task + "/" + std::to_string(r_.pid); }

  void header(const std::string& what) {
    out_ += double_rule;
    line(style_.info_header ? "[ INFO: " + what + " ]" : "WARNING: " + what);
    line(std::string{style_.kernel} + " Not tainted");
    if (style_.info_header) out_ += '-';  // one longer in those years
    out_ += single_rule;
  }

  // (name){usage}, with {outer:inner} where the era has it.
  std::string described(const reported_lock& lock) const {
    std::string text = "(" + lock.class_name + ")" + usage_characters(lock.usage, style_);
    if (style_.wait_types) {
      const std::string type = std::to_string(lock.wait_type);
      text += "-{" + type + ":" + type + "}";
    }
    return text;
  }
  // print_lock(): ADDR (name){usage}, at: function.
  std::string located(const reported_lock& lock) const {
    char pointer[32];
    std::snprintf(pointer, sizeof pointer, "%016zx ",
                  reinterpret_cast<std::size_t>(lock.instance));
    return (style_.pointers_in_held_lines ? pointer : "") + described(lock) +
           ", at: " + lock.at;
  }
  std::string in_scenario(const reported_lock& lock) const {
    const bool read = style_.read_locks_named && lock.read != read_kind::write;
    return (read ? "rlock(" : "lock(") + lock.class_name + ");";
  }

  void stack(const std::vector<std::string>& frames) {
    for (const std::string& frame : frames) line("       " + frame);
  }

  void trying_and_holding(const char* holding) {
    line(task() + " is trying to acquire lock:");
    line(located(r_.wanted));
    blank();
    line(holding);
    line(located(r_.held));
    blank();
  }

  // Two columns: what each of two CPUs does.
  void cpu_row(const std::string& cpu0, const std::string& cpu1) {
    std::string row = "  " + cpu0;
    if (!cpu1.empty()) {
      row.resize(std::max<std::size_t>(row.size() + 1, 31), ' ');
      row += cpu1;
    }
    line(row);
  }

  void circular_scenario() {
    // The lock before the held one; in a cycle of two it is the wanted one.
    const reported_lock& middle = r_.chain.size() > 2 ? r_.chain[1].lock : r_.wanted;
    if (r_.chain.size() > 2) {
      line("Chain exists of:");
      line("  " + r_.wanted.class_name + " --> " + middle.class_name + " --> " +
           r_.held.class_name);
      blank();
    }
    line(" Possible unsafe locking scenario:");
    blank();
    cpu_row("     CPU0", "CPU1");
    cpu_row("     ----", "----");
    cpu_row(in_scenario(r_.held), "");
    cpu_row("", in_scenario(middle));
    cpu_row("", in_scenario(r_.held));
    cpu_row(in_scenario(r_.wanted), "");
    deadlock_end();
  }
  void deadlock_end() {
    blank();
    line(" *** DEADLOCK ***");
    blank();
  }

  void held_locks() {
    const std::size_t count = r_.held_locks.size();
    if (count == 0) {
      line("no locks held by " + task() + ".");
    } else {
      line(std::to_string(count) + (count > 1 ? " locks" : " lock") + " held by " +
           task() + ":");
      for (std::size_t i = 0; i < count; ++i)
        line(" #" + std::to_string(i) + ": " + located(r_.held_locks[i]));
    }
    blank();
  }
  void backtrace() {
    line("stack backtrace:");
    line("Comm: " + r_.task + " PID: " + std::to_string(r_.pid) + " " +
         std::string{style_.kernel});
    line("Call Trace:");
    for (const std::string& frame : r_.stack) line(" " + frame);
  }

  void circular() {
    header("possible circular locking dependency detected");
    trying_and_holding("but task is already holding lock:");
    line("which lock already depends on the new lock.");
    blank();
    blank();
    line("the existing dependency chain (in reverse order) is:");
    for (std::size_t i = 0; i < r_.chain.size(); ++i) {
      blank();
      line("-> #" + std::to_string(r_.chain.size() - 1 - i) + " " +
           described(r_.chain[i].lock) + ":");
      stack(r_.chain[i].stack);
    }
    blank();
    line("other info that might help us debug this:");
    blank();
    circular_scenario();
    held_locks();
    backtrace();
  }

  void recursive() {
    header("possible recursive locking detected");
    trying_and_holding("but task is already holding lock:");
    line("other info that might help us debug this:");
    line(" Possible unsafe locking scenario:");
    blank();
    line("       CPU0");
    line("       ----");
    line("  " + in_scenario(r_.held));
    line("  " + in_scenario(r_.wanted));
    deadlock_end();
    line(" May be due to missing lock nesting notation");
    blank();
    held_locks();
    backtrace();
  }

  void bad_unlock() {
    header("bad unlock balance detected!");
    line(task() + " is trying to release lock (" + r_.wanted.class_name + ") at:");
    line(r_.wanted.at);
    line("but there are no more locks to release!");
    blank();
    line("other info that might help us debug this:");
    held_locks();
    backtrace();
  }

  void held_at_exit() {
    header(task() + " still has locks held!");
    held_locks();
    backtrace();
  }
  void held_at_destruction() {
    header("held lock freed!");
    line(task() + " is freeing a lock that is still held:");
    line(located(r_.wanted));
    held_locks();
    backtrace();
  }
  void assertion(const char* what) {
    line("WARNING: lock (" + r_.wanted.class_name + ")" + what + ", at: " + r_.wanted.at);
    held_locks();
    backtrace();
  }

  const lockdep_report& r_;
  const report_style& style_;
  std::string out_;
};

}  // namespace

std::string to_text(const lockdep_report& report, const report_style& style) {
  return writer{report, style}.text();
}

// hardirq-write, hardirq-read, softirq-write, softirq-read and, once, reclaim-write and
// reclaim-read. In process context interrupts are on: "+" where it was taken so.
std::string usage_characters(std::uint8_t usage, const report_style& style) {
  const auto mark = [usage](std::uint8_t bit) { return (usage & bit) != 0 ? '+' : '.'; };
  std::string text = "{";
  for (int irq = 0; irq < 2; ++irq) {
    text += mark(lock_class::used_to_write);
    text += mark(lock_class::used_to_read);
  }
  if (style.reclaim_usage) {
    text += mark(lock_class::held_to_write);
    text += mark(lock_class::held_to_read);
  }
  return text + "}";
}

}  // namespace memhp
