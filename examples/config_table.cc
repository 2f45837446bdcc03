// A configuration that every request reads and hardly anybody changes.
#include <memhp/locks/guards.h>
#include <memhp/locks/percpu_rwsem.h>

#include <iostream>
#include <map>
#include <string>
#include <thread>

class config_table {
 public:
  // On every request, on every CPU: two increments of this CPU's own counters.
  std::string get(const std::string& key) {
    memhp::read_guard hold{lock_};
    const auto found = values_.find(key);
    return found == values_.end() ? std::string{} : found->second;
  }

  // Now and then: closes the gate, waits until nobody reads.
  void set(const std::string& key, std::string value) {
    memhp::guard hold{lock_};
    values_[key] = std::move(value);
  }

 private:
  memhp::percpu_rw_semaphore lock_{"config_table"};
  std::map<std::string, std::string> values_ GUARDED_BY(lock_);  // checked by clang
};

int main() {
  config_table config;
  config.set("colour", "red");
  std::jthread worker{[&] {
    while (config.get("colour") != "blue") std::this_thread::yield();
  }};
  config.set("colour", "blue");
  worker.join();
  std::cout << "colour is " << config.get("colour") << '\n';
}
