// Steps that several scenarios have in common. What comes of one is seen by how the run
// ends: that an era refuses a step is no mistake.
//
// Thread safety: any thread.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "emu/machine.h"

namespace memhp::steps {

// echo TEXT > PATH
void write(machine& m, std::string_view path, std::string_view text);

// A block goes online and offline again, by its file `state`.
void online_and_offline(machine& m, unsigned block);
template <unsigned Block>
void online_and_offline(machine& m) {
  online_and_offline(m, Block);
}
// Block 48, of the default size, appears.
void probe_block_48(machine& m);
// What a boot does with every CPU, here with CPU 1: the validator has seen one come up.
void bring_a_cpu_up(machine& m);

// A dax device leaves device_dax and becomes system RAM.
void give_to_kmem(machine& m, std::string_view dax);

// Empty if zone Normal of node 0, which these blocks go to, has counted those that are
// online; else a line that says what it has.
std::string lost_pages(machine& m, std::initializer_list<unsigned> blocks);

}  // namespace memhp::steps
