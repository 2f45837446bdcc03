#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "stress/report.h"

namespace memhp::stress {
namespace {

constexpr double width = 900;
constexpr double height = 320;
constexpr double left = 80;
constexpr double right = 20;
constexpr double top = 34;
constexpr double bottom = 40;

struct curve {
  std::string name;
  std::string colour;
  std::vector<double> values;
};

std::string axis_label(double x, double y, const char* anchor, const std::string& text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x,
                     y, anchor, text);
}

// Curves over time, from 0 to their greatest value.
std::string svg(const std::string& title, const std::string& unit,
                const std::vector<double>& times, const std::vector<curve>& curves) {
  double most = 1;
  for (const curve& each : curves)
    for (const double value : each.values) most = std::max(most, value);
  const double end = times.empty() ? 1 : std::max(times.back(), 1e-9);
  const auto x_of = [&](double t) { return left + t / end * (width - left - right); };
  const auto y_of = [&](double v) {
    return height - bottom - v / most * (height - top - bottom);
  };
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
      "height=\"{1}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" "
      "height=\"100%\" fill=\"white\"/>\n",
      width, height);
  out += axis_label(left, 16, "start", title);
  constexpr int steps = 4;
  for (int i = 0; i <= steps; ++i) {
    const double value = most * i / steps;
    out += fmt::format(
        "<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#ddd\"/>\n", left,
        width - right, y_of(value), y_of(value));
    out += axis_label(left - 6, y_of(value) + 4, "end",
                      fmt::format("{:.0f} {}", value, unit));
    out += axis_label(x_of(end * i / steps), height - bottom + 18, "middle",
                      fmt::format("{:.1f} s", end * i / steps));
  }
  double name_x = width - right;
  for (const curve& each : curves) {
    std::string points;
    for (std::size_t i = 0; i < times.size(); ++i)
      points += fmt::format("{:.1f},{:.1f} ", x_of(times[i]), y_of(each.values[i]));
    out += fmt::format(
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\"/>\n"
        "<text x=\"{:.1f}\" y=\"16\" text-anchor=\"end\" fill=\"{}\">{}</text>\n",
        points, each.colour, name_x, each.colour, each.name);
    name_x -= 110;
  }
  return out + "</svg>\n";
}

std::expected<void, std::string> write_file(const std::string& path,
                                            const std::string& text) {
  std::ofstream file{path};
  file << text;
  file.close();
  if (!file) return std::unexpected{fmt::format("{}: {}", path, strerror(errno))};
  return {};
}

}  // namespace

std::expected<void, std::string> write_plots(const run_figures& figures,
                                             const std::string& dir) {
  constexpr double ns_per_us = 1000;
  std::vector<double> times;
  curve calls{.name = "calls", .colour = "#888", .values = {}};
  curve successes{.name = "successes", .colour = "#06c", .values = {}};
  curve mean{.name = "mean", .colour = "#06c", .values = {}};
  curve longest{.name = "longest", .colour = "#c30", .values = {}};
  double before = 0;
  for (const timeline::sample& each : figures.over_time.samples()) {
    const double interval = std::max(each.until_s - before, 1e-9);
    before = each.until_s;
    times.push_back(each.until_s);
    calls.values.push_back(static_cast<double>(each.calls) / interval);
    successes.values.push_back(static_cast<double>(each.successes) / interval);
    mean.values.push_back(static_cast<double>(each.latency_sum_ns) / ns_per_us /
                          std::max(1.0, static_cast<double>(each.calls)));
    longest.values.push_back(static_cast<double>(each.latency_max_ns) / ns_per_us);
  }
  if (auto written = write_file(dir + "/throughput.svg",
                                svg("calls a second", "/s", times, {successes, calls}));
      !written)
    return written;
  return write_file(dir + "/latency.svg",
                    svg("latency of a call", "us", times, {longest, mean}));
}

}  // namespace memhp::stress
