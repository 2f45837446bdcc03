#include "locks/lockdep_report.h"

#include <cstddef>

#include "locks/report_words.h"

namespace memhp {
namespace {

// (NAME){USAGE}[-{OUTER:INNER}]
std::string class_text(const reported_class& lock, const report_format& format) {
  std::string text =
      "(" + name_text(lock, format) + "){" + usage_text(lock.usage, format) + "}";
  if (format.wait_types)
    text += "-{" + std::to_string(lock.wait_outer) + ":" +
            std::to_string(lock.wait_inner) + "}";
  return text;
}

std::string task_text(const reported_task& task) {
  return task.comm + "/" + std::to_string(task.pid);
}

// One line: where the lock is, what it is, who took it where.
std::string lock_text(const reported_lock& lock, const report_format& format) {
  // Older kernels leave out the address but not the space behind it.
  std::string text = format.bracketed_ip ? "" : address(lock.instance);
  text += " " + class_text(lock.lock, format) + ", at: ";
  if (format.bracketed_ip) text += bracketed(lock.at.ip) + " ";
  return text + symbolize(lock.at) + "\n";
}

// "release build taint" in the header, "taint release build" in a backtrace.
std::string ident_text(const reported_kernel& kernel) {
  return kernel.release + " " + kernel.build + " " + kernel.taint;
}

// The two rulers and what stands between them. Most rulers are as wide as the title;
// those of some titles are not, and are given.
struct ruler_widths {
  std::size_t upper = 0;
  std::size_t lower = 0;
};
std::string header(std::string_view severity, std::string_view what,
                   const reported_kernel& kernel, const report_format& format,
                   ruler_widths rulers = {}) {
  const std::string title = format.info_brackets ? "[ " + std::string{severity} + ": " +
                                                       std::string{what} + " ]"
                                                 : "WARNING: " + std::string{what};
  const std::size_t upper = rulers.upper != 0 ? rulers.upper : title.size();
  const std::size_t lower = rulers.lower != 0 ? rulers.lower : title.size();
  return std::string(upper, '=') + "\n" + title + "\n" + ident_text(kernel) + "\n" +
         std::string(lower, '-') + "\n";
}

std::string frames_text(const stack_trace& trace, std::string_view indent) {
  std::string text;
  for (const stack_frame& frame : trace.frames()) {
    text += indent;
    text += symbolize(frame) + "\n";
  }
  return text;
}

std::string call_trace(const stack_trace& trace, const report_format& format) {
  std::string text = "Call Trace:\n";
  if (format.task_marks) text += " <TASK>\n";
  text += frames_text(trace, " ");
  if (format.task_marks) text += " </TASK>\n";
  return text;
}

// dump_stack(); nothing for a report without a stack, such as one read from a file.
std::string backtrace_text(const report_base& report, const report_format& format) {
  if (report.backtrace.empty()) return {};
  const reported_kernel& kernel = report.kernel;
  std::string text = "\nstack backtrace:\nCPU: " + std::to_string(report.task.cpu) +
                     " PID: " + std::to_string(report.task.pid) +
                     " Comm: " + report.task.comm + " " + kernel.taint + " " +
                     kernel.release + " " + kernel.build + "\n";
  if (!kernel.hardware.empty()) text += "Hardware name: " + kernel.hardware + "\n";
  return text + call_trace(report.backtrace, format);
}

std::string wanted_text(const report_base& report, const reported_lock& wanted,
                        const reported_lock& blocking, const report_format& format) {
  return task_text(report.task) + " is trying to acquire lock:\n" +
         lock_text(wanted, format) + "\nbut task is already holding lock:\n" +
         lock_text(blocking, format);
}

std::string lock_call(std::string_view name, bool read, const report_format& format) {
  return std::string{format.rlock && read ? "rlock(" : "lock("} + std::string{name} +
         ");\n";
}

constexpr std::string_view cpu1_column = "                               ";

// What two CPUs must do for the deadlock. However long the cycle, three names stand for
// it: the wanted lock, the one before the held one, and the held one.
std::string circular_scenario(const circular_report& report,
                              const report_format& format) {
  const std::string wanted = name_text(report.wanted.lock, format);
  const std::string held = name_text(report.blocking.lock, format);
  const bool direct = report.chain.size() <= 2;
  const std::string middle =
      direct ? wanted : name_text(report.chain[report.chain.size() - 2].lock, format);
  std::string text;
  if (!direct)
    text += "Chain exists of:\n  " + wanted + " --> " + middle + " --> " + held + "\n\n";
  text +=
      " Possible unsafe locking scenario:\n\n"
      "       CPU0                    CPU1\n"
      "       ----                    ----\n  ";
  text += lock_call(held, report.blocking.read, format);
  text += std::string{cpu1_column} + lock_call(middle, false, format);
  text += std::string{cpu1_column} + lock_call(held, false, format);
  text += "  " + lock_call(wanted, report.wanted.read, format);
  return text + "\n *** DEADLOCK ***\n\n";
}

}  // namespace

std::string name_text(const reported_class& lock, const report_format& format) {
  std::string text = lock.name;
  if (format.rw_sem_names && lock.percpu_rwsem) text += ".rw_sem";
  if (lock.version > 1) text += "#" + std::to_string(lock.version);
  if (lock.subclass != 0) text += "/" + std::to_string(lock.subclass);
  return text;
}

std::string usage_text(const lock_usage& usage, const report_format& format) {
  const auto mark = [](bool used) { return used ? '+' : '.'; };
  // Write and read with hard interrupts on, then the same for soft interrupts: a task
  // that can sleep has both on.
  std::string text{mark(usage.write), mark(usage.read), mark(usage.write),
                   mark(usage.read)};
  if (format.reclaim_usage) {
    text += mark(usage.reclaim_write);
    text += mark(usage.reclaim_read);
  }
  return text;
}

std::string held_locks_text(const reported_task& task,
                            const std::vector<reported_lock>& held,
                            const report_format& format) {
  if (held.empty()) return "no locks held by " + task_text(task) + ".\n";
  std::string text = std::to_string(held.size()) +
                     (held.size() == 1 ? " lock" : " locks") + " held by " +
                     task_text(task) + ":\n";
  for (std::size_t i = 0; i < held.size(); ++i)
    text += " #" + std::to_string(i) + ": " + lock_text(held[i], format);
  return text;
}

std::string to_text(const circular_report& report, const report_format& format) {
  constexpr ruler_widths rulers{.upper = 54};  // shorter than the title of 4.10
  std::string text = header("INFO", "possible circular locking dependency detected",
                            report.kernel, format, rulers);
  text += wanted_text(report, report.wanted, report.blocking, format);
  text +=
      "\nwhich lock already depends on the new lock.\n\n"
      "\nthe existing dependency chain (in reverse order) is:\n";
  for (std::size_t k = report.chain.size(); k-- > 0;) {
    const circular_report::link& link = report.chain[k];
    text += "\n-> #" + std::to_string(k) + " " + class_text(link.lock, format) + ":\n" +
            frames_text(link.stack, "       ");
  }
  text += "\nother info that might help us debug this:\n\n";
  text += circular_scenario(report, format);
  text += held_locks_text(report.task, report.held, format);
  return text + backtrace_text(report, format);
}

std::string to_text(const recursive_report& report, const report_format& format) {
  std::string text =
      header("INFO", "possible recursive locking detected", report.kernel, format);
  text += wanted_text(report, report.wanted, report.blocking, format);
  text +=
      "\nother info that might help us debug this:\n"
      " Possible unsafe locking scenario:\n\n"
      "       CPU0\n"
      "       ----\n";
  text += "  lock(" + name_text(report.blocking.lock, format) + ");\n";
  text += "  lock(" + name_text(report.wanted.lock, format) + ");\n";
  text += "\n *** DEADLOCK ***\n\n May be due to missing lock nesting notation\n\n";
  text += held_locks_text(report.task, report.held, format);
  return text + backtrace_text(report, format);
}

std::string to_text(const bad_unlock_report& report, const report_format& format) {
  std::string text = header("BUG", "bad unlock balance detected!", report.kernel, format);
  text += task_text(report.task) + " is trying to release lock (" +
          name_text(report.lock, format) + ") at:\n" + bracketed(report.at.ip) + " " +
          symbolize(report.at) + "\nbut there are no more locks to release!\n";
  // The kernel cannot tell who holds it; a program's author wants to know.
  if (report.holder && report.held_as)
    text += "\nthe lock is held by " + task_text(*report.holder) + ":\n" +
            lock_text(*report.held_as, format);
  text += "\nother info that might help us debug this:\n";
  text += held_locks_text(report.task, report.held, format);
  return text + backtrace_text(report, format);
}

std::string to_text(const held_at_exit_report& report, const report_format& format) {
  // The kernel's rulers do not know how long the name is.
  const std::size_t width = format.info_brackets ? 37 : 36;
  std::string text = header("BUG", task_text(report.task) + " still has locks held!",
                            report.kernel, format, {.upper = width, .lower = width});
  text += held_locks_text(report.task, report.held, format);
  return text + backtrace_text(report, format);
}

std::string to_text(const held_destroyed_report& report, const report_format& format) {
  std::string text = header("BUG", "held lock freed!", report.kernel, format);
  const void* const last = static_cast<const std::byte*>(report.end) - 1;
  text += task_text(report.task) + " is freeing memory " + address(report.begin) + "-" +
          address(last) + ", with a lock still held there!\n" +
          lock_text(report.lock, format);
  if (report.holder) text += "the lock is held by " + task_text(*report.holder) + "\n";
  text += held_locks_text(report.task, report.held, format);
  return text + backtrace_text(report, format);
}

std::string to_text(const nest_lock_report& report, const report_format& format) {
  std::string text = header("BUG", "Nested lock was not taken", report.kernel, format);
  text += task_text(report.task) + " is trying to lock:\n" +
          lock_text(report.wanted, format) + "\nbut this task is not holding:\n" +
          report.nest + "\n" + backtrace_text(report, format);
  text += "\nother info that might help us debug this:\n";
  text += held_locks_text(report.task, report.held, format);
  return text + backtrace_text(report, format);  // the kernel, too, has it twice
}

std::string to_text(const assert_report& report, const report_format& format) {
  const std::string where = "CPU: " + std::to_string(report.task.cpu) +
                            " PID: " + std::to_string(report.task.pid);
  std::string text = "------------[ cut here ]------------\nWARNING: " + where + " at " +
                     report.file + ":" + std::to_string(report.line) + " " +
                     symbolize(report.at) + "\n";
  text += report.assertion + " failed\n";
  text += where + " Comm: " + report.task.comm + " " + report.kernel.taint + " " +
          report.kernel.release + " " + report.kernel.build + "\n";
  text += held_locks_text(report.task, report.held, format);
  text += call_trace(report.backtrace, format);
  return text + "---[ end trace 0000000000000000 ]---\n";
}

std::string to_text(const lockdep_report& report, const report_format& format) {
  return std::visit([&](const auto& facts) { return to_text(facts, format); }, report);
}

}  // namespace memhp
