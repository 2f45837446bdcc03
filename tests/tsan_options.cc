// The tests take locks in orders that can deadlock, on purpose, for our own validator to
// report; ThreadSanitizer's is not asked. What it reports is seen in
// locks/tsan_reports.cc. And each child that ends would sleep for a second, to let races
// show up.
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() {
  return "detect_deadlocks=0:atexit_sleep_ms=0";
}
