#include "bench/locks_bench/targets.h"

#include "bench/locks_bench/questions.h"

namespace memhp::bench {
namespace {

constexpr auto ours = "memhp::percpu_rw_semaphore";
constexpr auto std_shared = "std::shared_mutex";
constexpr auto membarrier = "limit: membarrier alone";

// Collects targets over one table of results.
class judgement {
 public:
  explicit judgement(const results& of) : of_{of} {}

  void at_most(std::string asked, double bound, std::string unit,
               std::optional<double> measured) {
    list_.push_back({std::move(asked), measured, bound, true, std::move(unit)});
  }
  void at_least(std::string asked, double bound, std::string unit,
                std::optional<double> measured) {
    list_.push_back({std::move(asked), measured, bound, false, std::move(unit)});
  }

  // a / b in one column of a question.
  std::optional<double> times(const char* question, const char* column, const char* a,
                              const char* b) const {
    return results::ratio(of_.find(question, a, column), of_.find(question, b, column));
  }
  // a - b.
  std::optional<double> more(const char* question, const char* column, const char* a,
                             const char* b) const {
    return results::difference(of_.find(question, a, column),
                               of_.find(question, b, column));
  }
  std::optional<double> value(const char* question, const char* column) const {
    const row* found = of_.find(question, ours, column);
    if (found == nullptr) return std::nullopt;
    return found->median();
  }
  // Throughput of two threads over that of one: 2 where they do not disturb each other.
  std::optional<double> scaling() const {
    const auto rate = results::ratio(of_.find(read_pair_question, ours, "1 thread"),
                                     of_.find(read_pair_question, ours, "2 threads"));
    if (!rate) return rate;
    return 2 * *rate;
  }
  std::vector<target> take() { return std::move(list_); }

 private:
  const results& of_;
  std::vector<target> list_;
};

void judge_reads(judgement& all) {
  const auto pair = [&](const char* column, const char* a, const char* b) {
    return all.times(read_pair_question, column, a, b);
  };
  all.at_most("read pair over the bare rseq pair", 1.6, "x",
              pair("1 thread", ours, "limit: bare rseq pair"));
  all.at_most("read pair over liburcu memb", 0.85, "x",
              pair("1 thread", ours, "urcu memb (RCU)"));
  all.at_least("faster than std::shared_mutex, 1 thread", 6, "x",
               pair("1 thread", std_shared, ours));
  all.at_least("faster than std::shared_mutex, 2 threads", 40, "x",
               pair("2 threads", std_shared, ours));
  all.at_least("faster than BRAVO, 1 thread", 3, "x",
               pair("1 thread", "BRAVO over pthread_rwlock", ours));
  all.at_least("throughput of 2 threads over 1", 1.85, "x", all.scaling());
  all.at_most("tracked read pair, validator off, more than the raw one", 1, "ns",
              all.more(read_pair_question, "1 thread",
                       "memhp::tracked_percpu_rw_semaphore", ours));
  all.at_most(
      "tracked mutex pair, validator off, more than the raw one", 4, "ns",
      all.more(read_pair_question, "1 thread", "memhp::tracked_mutex", "memhp::mutex"));
}

void judge_writes(judgement& all) {
  all.at_most("write pair alone, other CPU busy, over membarrier", 1.3, "x",
              all.times(write_pair_question, "alone, other busy", ours, membarrier));
  all.at_most("write pairs in a row, other CPU busy, over membarrier", 1.3, "x",
              all.times(write_pair_question, "in a row, other busy", ours, membarrier));
  all.at_most("write pair in a burst", 60, "ns",
              all.value(write_pair_question, "burst, other busy"));
  all.at_most("writer's p50 against a hammering reader, over membarrier", 1.6, "x",
              all.times(latency_question, "p50", ours, membarrier));
}

void judge_mixes(judgement& all) {
  all.at_least("99.9:0.1 on 2 threads over std::shared_mutex", 8, "x",
               all.times(mix_question, "99.9:0.1, 2 threads", ours, std_shared));
  all.at_least("99:1 on 2 threads, empty sections, over ck_brlock", 1, "x",
               all.times(mix_question, "99:1, 2 threads", ours, "ck_brlock"));
  all.at_least("writes through overlapping readers", 4000, "1/s",
               all.value(overlap_question, "writes"));
  all.at_most("longest wait of that writer", 5000, "us",
              all.value(overlap_question, "longest wait"));
}

}  // namespace

std::vector<target> judge(const results& of) {
  judgement all{of};
  judge_reads(all);
  judge_writes(all);
  judge_mixes(all);
  return all.take();
}

}  // namespace memhp::bench
