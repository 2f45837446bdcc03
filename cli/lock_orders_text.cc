#include "cli/lock_orders_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <ranges>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

namespace memhp {
namespace {

using output = std::back_insert_iterator<std::string>;

// Without where in the function it is, and without what its template was made for.
std::string function_of(const stack_frame& frame) {
  const std::string whole = symbolize(frame);
  std::string name;
  int depth = 0;
  for (const char c : std::string_view{whole}.substr(0, whole.find("+0x"))) {
    if (c == '<') ++depth;
    if (depth == 0) name += c;
    if (c == '>' && depth > 0) --depth;
  }
  return name.substr(0, name.find("[abi:"));
}

std::string held_at(const lock_order& order) {
  return function_of(order.held_at);
}
std::string wanted_at(const lock_order& order) {
  const auto frames = order.wanted_at.frames();
  return frames.empty() ? "" : function_of(frames.front());
}

// "w>w r>w": held to write and wanted to write, held to read and wanted to write.
std::string modes_text(const lock_order& order) {
  using enum order_mode;
  std::string text;
  for (const auto& [mode, word] :
       {std::pair{write_write, "w>w"}, std::pair{write_read, "w>r"},
        std::pair{read_write, "r>w"}, std::pair{read_read, "r>r"}})
    if ((order.modes & static_cast<std::uint8_t>(mode)) != 0)
      text.append(text.empty() ? "" : " ").append(word);
  return text;
}

// The classes of one name that have the same orders as the class at each place: the
// first of them, and how many there are. Most are files that go with their device.
struct alike {
  std::vector<std::size_t> first;
  std::vector<std::size_t> count;  // 0 for all but the first
};

alike find_alike(const lock_orders& seen) {
  using end = std::tuple<bool, std::size_t, bool>;  // held?, the other one, on a cycle?
  std::vector<std::set<end>> ends(seen.classes.size());
  for (const lock_order& order : seen.orders) {
    ends[order.held].emplace(true, order.wanted, order.on_cycle);
    ends[order.wanted].emplace(false, order.held, order.on_cycle);
  }
  std::map<std::tuple<std::string, int, std::set<end>>, std::size_t> known;
  alike made;
  for (std::size_t i = 0; i < seen.classes.size(); ++i) {
    const reported_class& cls = seen.classes[i];
    const auto at = known.try_emplace({cls.name, cls.subclass, ends[i]}, i).first;
    made.first.push_back(at->second);
    made.count.push_back(0);
    ++made.count[at->second];
  }
  return made;
}

// One order for those between classes that are alike.
std::vector<lock_order> merged(const lock_orders& seen, const alike& same) {
  std::map<std::pair<std::size_t, std::size_t>, std::uint8_t> modes;
  for (const lock_order& order : seen.orders)
    modes[{same.first[order.held], same.first[order.wanted]}] |= order.modes;
  std::vector<lock_order> orders;
  for (lock_order order : seen.orders) {
    if (same.first[order.held] != order.held || same.first[order.wanted] != order.wanted)
      continue;
    order.modes = modes[{order.held, order.wanted}];
    orders.push_back(order);
  }
  return orders;
}

// A lock_orders as it is shown.
struct shown_orders {
  shown_orders(const lock_orders& seen, const report_format& words) {
    const alike same = find_alike(seen);
    orders = merged(seen, same);
    for (std::size_t i = 0; i < seen.classes.size(); ++i) {
      names.push_back(name_text(seen.classes[i], words));
      if (same.count[i] > 1) names[i] += fmt::format(" and {} more", same.count[i] - 1);
    }
  }

  std::vector<std::string> names;  // of classes
  std::vector<lock_order> orders;
};

// What is written of one order.
using row = std::array<std::string, 5>;

row row_of(const shown_orders& shown, const lock_order& order) {
  return {shown.names[order.held], shown.names[order.wanted], modes_text(order),
          held_at(order), wanted_at(order)};
}

// Inside of double quotes.
std::string escaped(std::string_view text) {
  std::string made;
  for (const char c : text) {
    if (c == '"' || c == '\\') made += '\\';
    made += c;
  }
  return made;
}

std::string tooltip(const row& words, const lock_order& order) {
  std::string text =
      fmt::format("{} -> {} ({})\\nheld at {}\\nwanted at", escaped(words[0]),
                  escaped(words[1]), words[2], escaped(words[3]));
  constexpr std::size_t deep_enough = 12;  // what lies deeper all orders have
  for (const stack_frame& frame :
       order.wanted_at.frames() | std::views::take(deep_enough))
    text += "\\n  " + escaped(function_of(frame));
  return text;
}

void draw_class(output out, std::size_t number, const std::string& name,
                const std::string& usage, bool on_cycle) {
  fmt::format_to(out, "  c{} [label=\"{}\\n{{{}}}\"{}];\n", number, escaped(name), usage,
                 on_cycle ? ", color=red, fontcolor=red, penwidth=2" : "");
}

void draw_order(output out, const lock_order& order, const row& words) {
  fmt::format_to(out, "  c{} -> c{} [tooltip=\"{}\"", order.held, order.wanted,
                 tooltip(words, order));
  if (order.on_cycle)
    fmt::format_to(out,
                   ", color=red, fontcolor=red, penwidth=2, label=\"{}\\n{}\", "
                   "labeltooltip=\"{}\"",
                   escaped(words[3]), escaped(words[4]), tooltip(words, order));
  fmt::format_to(out, "];\n");
}

}  // namespace

std::string lock_orders_text(const lock_orders& seen, const report_format& words) {
  std::vector<row> rows{{"HELD", "WANTED", "TAKEN", "HELD AT", "WANTED AT"}};
  std::vector<bool> marks{false};
  shown_orders shown{seen, words};
  std::ranges::sort(shown.orders, {}, [](const lock_order& order) {
    return std::tuple{!order.on_cycle, order.held, order.wanted};
  });
  for (const lock_order& order : shown.orders) {
    rows.push_back(row_of(shown, order));
    marks.push_back(order.on_cycle);
  }
  std::array<std::size_t, std::tuple_size_v<row>> widths{};
  for (const row& each : rows)
    for (std::size_t i = 0; i < each.size(); ++i)
      widths[i] = std::max(widths[i], each[i].size());
  std::string text;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    text += marks[i] ? '!' : ' ';
    for (std::size_t column = 0; column < widths.size(); ++column)
      text += fmt::format(" {:<{}}", rows[i][column],
                          column + 1 < widths.size() ? widths[column] : 0);
    text += '\n';
  }
  return text;
}

std::string lock_orders_dot(const lock_orders& seen, const report_format& words,
                            std::string_view title) {
  const shown_orders shown{seen, words};
  enum class part : std::uint8_t { none, order, cycle };
  std::vector<part> parts(seen.classes.size(), part::none);
  for (const lock_order& order : shown.orders)
    for (const std::size_t end : {order.held, order.wanted})
      parts[end] = std::max(parts[end], order.on_cycle ? part::cycle : part::order);

  std::string text;
  const output out{text};
  fmt::format_to(out,
                 "digraph locks {{\n"
                 "  label=\"{}\"; labelloc=t; fontname=sans;\n"
                 "  node [shape=box, fontname=sans, fontsize=10];\n"
                 "  edge [fontname=sans, fontsize=8, color=gray40];\n",
                 escaped(title));
  for (std::size_t i = 0; i < parts.size(); ++i)
    if (parts[i] != part::none)
      draw_class(out, i, shown.names[i], usage_text(seen.classes[i].usage, words),
                 parts[i] == part::cycle);
  for (const lock_order& order : shown.orders)
    draw_order(out, order, row_of(shown, order));
  text += "}\n";
  return text;
}

}  // namespace memhp
