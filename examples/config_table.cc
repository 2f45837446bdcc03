// A configuration that every request reads and hardly anybody changes, and a mistake in
// it that the validator finds although nothing deadlocks.
#include <memhp/locks/guards.h>
#include <memhp/locks/lockdep.h>
#include <memhp/locks/tracked.h>

#include <iostream>
#include <map>
#include <string>

const memhp::lock_class_key config_lock{"config_lock"};
const memhp::lock_class_key journal_lock{"journal_lock"};
memhp::tracked_mutex journal{journal_lock};

class config_table {
 public:
  std::string get(const std::string& key) {
    memhp::read_guard hold{lock_};  // counts on this CPU only
    const auto found = values_.find(key);
    return found == values_.end() ? "" : found->second;
  }
  void set(const std::string& key, const std::string& value) {
    memhp::guard hold{lock_};  // waits until nobody reads
    memhp::guard note{journal};
    std::cout << "journal: " << key << " = " << value << '\n';
    values_[key] = value;
  }

 private:
  memhp::tracked_percpu_rw_semaphore lock_{config_lock};
  std::map<std::string, std::string> values_ GUARDED_BY(lock_);  // clang checks it
};

int main() {
  memhp::lockdep::set_on(true);
  config_table config;
  config.set("colour", "blue");  // config_lock, then journal_lock
  memhp::guard note{journal};
  std::cout << "colour is " << config.get("colour") << '\n';  // the other way round
}
