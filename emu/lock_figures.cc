#include "emu/lock_figures.h"

#include <algorithm>

#include "locks/lockdep.h"
#include "locks/proc_files.h"

namespace memhp {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;

// What does not fit is cut; the last byte stays 0.
template <std::size_t Size>
void store_text(std::array<std::atomic<char>, Size>& to, std::string_view text) {
  for (std::size_t i = 0; i + 1 < Size; ++i)
    to[i].store(i < text.size() ? text[i] : '\0', relaxed);
}

template <std::size_t Size>
std::string load_text(const std::array<std::atomic<char>, Size>& from) {
  std::string text;
  for (const auto& each : from) {
    const char c = each.load(relaxed);
    if (c == '\0') break;
    text += c;
  }
  return text;
}

std::vector<lock_figures::point> named(const std::vector<contention_point>& points) {
  std::vector<lock_figures::point> all;
  all.reserve(points.size());
  for (const contention_point& point : points)
    all.push_back({.where = symbolize({.ip = point.ip}), .count = point.count});
  return all;
}

}  // namespace

std::vector<lock_figures> current_lock_figures() {
  std::vector<lock_figures> all;
  std::vector<lock_stat_row> rows = lockdep::lock_stat_rows();
  sort_by_contentions(rows);
  for (const lock_stat_row& row : rows) {
    if (row.stats.write.hold.nr + row.stats.read.hold.nr + row.stats.contentions() == 0)
      continue;
    all.push_back({.name = name_text(row.lock, report_format_6_1),
                   .stats = row.stats,
                   .contention_points = named(row.stats.contention_points),
                   .contending_points = named(row.stats.contending_points)});
    all.back().stats.contention_points.clear();
    all.back().stats.contending_points.clear();
  }
  return all;
}

void shared_lock_figures::shared_times::store(const lock_times& times) {
  nr.store(times.nr, relaxed);
  total_ns.store(times.total_ns, relaxed);
  min_ns.store(times.min_ns, relaxed);
  max_ns.store(times.max_ns, relaxed);
  for (std::size_t i = 0; i < histogram.size(); ++i)
    histogram[i].store(times.histogram[i], relaxed);
}

lock_times shared_lock_figures::shared_times::load() const {
  lock_times times{.nr = nr.load(relaxed),
                   .total_ns = total_ns.load(relaxed),
                   .min_ns = min_ns.load(relaxed),
                   .max_ns = max_ns.load(relaxed)};
  for (std::size_t i = 0; i < histogram.size(); ++i)
    times.histogram[i] = histogram[i].load(relaxed);
  return times;
}

void shared_lock_figures::shared_side::store(const lock_class_stats::side& side) {
  wait.store(side.wait);
  hold.store(side.hold);
  contended_bounces.store(side.contended_bounces, relaxed);
  acquired_bounces.store(side.acquired_bounces, relaxed);
}

lock_class_stats::side shared_lock_figures::shared_side::load() const {
  return {.wait = wait.load(),
          .hold = hold.load(),
          .contended_bounces = contended_bounces.load(relaxed),
          .acquired_bounces = acquired_bounces.load(relaxed)};
}

void shared_lock_figures::store(shared_points& to,
                                const std::vector<lock_figures::point>& points) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    const bool there = i < points.size();
    store_text(to[i].where, there ? points[i].where : "");
    to[i].count.store(there ? points[i].count : 0, relaxed);
  }
}

std::vector<lock_figures::point> shared_lock_figures::load(const shared_points& points) {
  std::vector<lock_figures::point> all;
  for (const shared_point& point : points)
    if (const std::uint64_t count = point.count.load(relaxed); count != 0)
      all.push_back({.where = load_text(point.where), .count = count});
  return all;
}

void shared_lock_figures::publish(const std::vector<lock_figures>& figures,
                                  bool counting) {
  const std::size_t classes = std::min(figures.size(), max_classes);
  for (std::size_t i = 0; i < classes; ++i) {
    store_text(class_[i].name, figures[i].name);
    class_[i].write.store(figures[i].stats.write);
    class_[i].read.store(figures[i].stats.read);
    store(class_[i].contention_points, figures[i].contention_points);
    store(class_[i].contending_points, figures[i].contending_points);
  }
  counting_.store(counting ? 1 : 0, relaxed);
  // A pairs with B in read(): whoever sees the number sees what it counts. Otherwise a
  // reader could take a class that nothing was written to yet.
  classes_.store(static_cast<std::uint32_t>(classes), std::memory_order_release);  // A
}

std::vector<lock_figures> shared_lock_figures::read() const {
  const std::size_t classes =
      std::min<std::size_t>(classes_.load(std::memory_order_acquire), max_classes);  // B
  std::vector<lock_figures> figures(classes);
  for (std::size_t i = 0; i < classes; ++i) {
    figures[i].name = load_text(class_[i].name);
    figures[i].stats.write = class_[i].write.load();
    figures[i].stats.read = class_[i].read.load();
    figures[i].contention_points = load(class_[i].contention_points);
    figures[i].contending_points = load(class_[i].contending_points);
  }
  return figures;
}

}  // namespace memhp
