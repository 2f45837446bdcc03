// --config FILE: a JSON object whose names are long options without their dashes.
//
//   {"nodes": 2, "memory": "1G", "dimm": ["512M@1"], "movable-node": true,
//    "node-cpus": [[0, 1], [2, 3]], "distances": [[10, 20], [20, 10]]}
//
// Thread safety: none; one thread.
#pragma once

#include <CLI/App.hpp>
#include <expected>
#include <string>
#include <vector>

namespace memhp {

// `arguments` of `command` with those of the file that --config names put in front, so
// that the command line wins. Without --config they come back as they are. The error is
// one line.
std::expected<std::vector<std::string>, std::string> with_config_file(
    const CLI::App& command, std::vector<std::string> arguments);

}  // namespace memhp
