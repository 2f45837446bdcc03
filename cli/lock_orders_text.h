// The orders of locks that were seen, for people: as a list, and as a drawing in the
// language of Graphviz. Those that can deadlock are marked, in the drawing red. Classes
// of one name that have the same orders are shown as one.
//
// Thread safety: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "locks/lock_orders.h"

namespace memhp {

// A line an order, those on cycles first; then by the class that was held. Names of
// classes are in the words of the era.
std::string lock_orders_text(const lock_orders& seen, const report_format& words);

// A graph of the classes that have an order. An edge's tooltip says where it was seen
// first; on cycles its label does, too.
std::string lock_orders_dot(const lock_orders& seen, const report_format& words,
                            std::string_view title);

}  // namespace memhp
