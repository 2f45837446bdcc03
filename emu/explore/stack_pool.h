// Stacks for fibers, kept for the next fiber: to map one costs more than a whole run.
//
// Thread safety: none; a pool belongs to one thread.
#pragma once

#include <boost/context/protected_fixedsize_stack.hpp>
#include <cstddef>
#include <vector>

namespace memhp {

class stack_pool {
 public:
  static constexpr std::size_t stack_bytes = std::size_t{512} << 10;

  stack_pool() = default;
  ~stack_pool();
  stack_pool(const stack_pool&) = delete;
  stack_pool& operator=(const stack_pool&) = delete;

  boost::context::stack_context take();
  void give_back(const boost::context::stack_context& stack);

 private:
  boost::context::protected_fixedsize_stack fresh_{stack_bytes};
  std::vector<boost::context::stack_context> free_;
};

}  // namespace memhp
