#include "emu/hung_task_report.h"

#include <fmt/format.h>

namespace memhp {
namespace {

std::string frames_text(const stack_trace& stack) {
  std::string text;
  for (const stack_frame& frame : stack.frames()) text += " " + symbolize(frame) + "\n";
  return text;
}

}  // namespace

std::string to_text(const hung_task& hung, const report_format& format,
                    const reported_kernel& kernel) {
  std::string text = fmt::format("INFO: task {}:{} blocked for more than {} seconds.\n",
                                 hung.task.comm, hung.task.pid, hung.seconds);
  text += fmt::format("      {} {} {}\n", kernel.taint, kernel.release, kernel.build);
  text += "\"echo 0 > /proc/sys/kernel/hung_task_timeout_secs\" disables this message.\n";
  text += fmt::format(
      "task:{:<15} state:D stack:0     pid:{:<5} ppid:2      flags:0x{:08x}\n",
      hung.task.comm, hung.task.pid, 0x4000);
  if (!hung.waits_for.empty()) text += fmt::format("waits for: {}\n", hung.waits_for);
  text += "Call Trace:\n";
  if (format.task_marks) text += " <TASK>\n";
  text += frames_text(hung.stack);
  if (format.task_marks) text += " </TASK>\n";
  return text;
}

std::string hung_tasks_text(std::span<const hung_task> hung, const report_format& format,
                            const reported_kernel& kernel) {
  if (hung.empty()) return {};
  std::string text;
  for (const hung_task& each : hung) text += to_text(each, format, kernel);
  text += "\nShowing all locks held in the system:\n";
  for (const hung_task& each : hung)
    if (!each.held.empty()) text += held_locks_text(each.task, each.held, format);
  text += "\n=============================================\n\n";
  return text;
}

}  // namespace memhp
