// What each operation does with the files of the tree, and what is wrong with an answer
// whatever the others do.
//
// Thread safety: one thread uses a performer; what it refers to is constant.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "stress/call.h"
#include "stress/request.h"
#include "stress/tree.h"

namespace memhp::stress {

// Whether a store to `state` goes to a file that the worker keeps open, one system call,
// or opens and closes it: three.
enum class state_files : std::uint8_t { kept, each };

class performer {
 public:
  // `sys` must outlive this, and this the steps that it gives.
  performer(const tree& sys, unsigned worker, state_files how)
      : sys_{sys}, worker_{worker}, how_{how} {}

  // Not `interrupt`, which is not done to a file. Calls may be under way together.
  steps perform(const call& what);

 private:
  struct kept_file {
    std::uint64_t id = 0;
    bool open = false;
    bool dead = false;  // it has answered ENODEV
    bool busy = false;  // a call uses it
  };
  static constexpr std::size_t states = 0;
  static constexpr std::size_t held = kept_files / 2;

  static steps nothing();
  static steps store(std::string path, std::string word);
  steps write_state(std::uint64_t id, std::string_view word);
  static steps read_attribute(call what);
  steps list_blocks() const;
  static steps scan_blocks();
  steps hold_call(call what);
  steps plug_or_eject(call what) const;
  static steps veto_changes(std::uint32_t variant);
  steps rebind(call what) const;
  steps cache(call what) const;
  steps switch_cpu(call what) const;

  const tree& sys_;
  const unsigned worker_;
  const state_files how_;
  std::array<kept_file, kept_files> files_{};
};

}  // namespace memhp::stress
