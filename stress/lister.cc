#include "stress/lister.h"

#include <sys/eventfd.h>

namespace memhp::stress {

lister::lister(const tree& sys)
    : sys_{sys}, event_{eventfd(0, EFD_CLOEXEC)}, thread_{[this] { serve(); }} {}

lister::~lister() {
  {
    const std::lock_guard hold{lock_};
    ends_ = true;
  }
  asked_.notify_one();
  thread_.join();
}

void lister::ask(std::size_t number, std::string directory) {
  {
    const std::lock_guard hold{lock_};
    questions_.emplace_back(number, std::move(directory));
  }
  asked_.notify_one();
}

std::vector<std::pair<std::size_t, answer>> lister::take() {
  const std::lock_guard hold{lock_};
  return std::exchange(answers_, {});
}

void lister::serve() {
  std::unique_lock hold{lock_};
  for (;;) {
    asked_.wait(hold, [this] { return ends_ || !questions_.empty(); });
    if (questions_.empty()) return;
    const auto [number, directory] = std::move(questions_.front());
    questions_.pop_front();
    hold.unlock();
    answer found{.names = sys_.list(directory)};
    hold.lock();
    answers_.emplace_back(number, std::move(found));
    (void)eventfd_write(event_.get(), 1);
  }
}

}  // namespace memhp::stress
