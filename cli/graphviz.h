// Drawings by Graphviz: what we know is a graph, and Graphviz knows how to lay one out.
#pragma once

#include <expected>
#include <string>

namespace memhp {

// `graph`, in Graphviz's language, as an SVG picture that needs nothing else. Runs the
// program `dot`. The error is one line that says what to do. Any thread.
std::expected<std::string, std::string> draw_svg(const std::string& graph);

}  // namespace memhp
