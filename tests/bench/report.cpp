// report.cpp - runs the lines and, when all are done, adds to each its rates, the ceiling that binds it, and its share of that.
// Near the core a share is best time over best time. Beyond, where the speed of memory drifts by a factor of two within a minute,
// line and ceilings take turns, and the share is the median of the ratios of neighbours.
#include "bench.h"
#include <algorithm>
#include <benchmark/benchmark.h>
#include <cmath>
#include <memory>

namespace bench {
namespace {

using Run = benchmark::BenchmarkReporter::Run;

// Seconds that a call cannot undercut, and why; of neighbours in time the shares that half of the ratios lie between.
struct Bound {
  double seconds = 0, percent = 0, low = 0, high = 0;
  size_t pairs = 0;
  std::string what;
};

enum { PAIRS = 7 }; // at least

// Seconds of a call of a line and, right after it, of each of its ceilings.
struct Pair { double line; std::vector<double> ceilings; };
struct Company { std::vector<const Line *> ceilings; std::vector<Pair> pairs; };

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  const double at = q * static_cast<double>(values.size() - 1);
  const size_t i = static_cast<size_t>(at), j = std::min(i + 1, values.size() - 1);
  return values[i] + (at - static_cast<double>(i)) * (values[j] - values[i]);
}

// The ceiling is the stream that is fastest beside this line, by the median: the fastest of each turn alone would be luck.
Bound beside(const Company &company) {
  Bound bound;
  for (size_t c = 0; c < company.ceilings.size() && !company.pairs.empty(); c++) {
    std::vector<double> ratios;
    double least = 0;
    for (const Pair &p : company.pairs) {
      ratios.push_back(100 * p.ceilings[c] / p.line);
      least = least > 0 ? std::min(least, p.ceilings[c]) : p.ceilings[c];
    }
    const double middle = quantile(ratios, 0.5);
    if (c == 0 || middle < bound.percent) {
      bound = { least, middle, quantile(ratios, 0.25), quantile(ratios, 0.75), ratios.size(), company.ceilings[c]->name };
    }
  }
  return bound;
}

class Bounds {
public:
  // The best repetition of every ceiling: what disturbs only adds time.
  void see(const Line &line, double seconds) {
    if (!(seconds > 0)) { return; }
    if (line.own_limit && !line.paired && line.threads == 1) {
      double &own = alone[line.kernel + "/" + line.isa];
      own = own > 0 ? std::min(own, seconds / line.elements) : seconds / line.elements;
    }
    if (line.ceiling.empty()) { return; }
    double &best = cost[line.ceiling];
    const double each = seconds / (line.isa.empty() ? line.bytes : line.elements);
    if (best == 0 || each < best) {
      best = each;
      if (line.isa.empty()) { by[line.ceiling] = line.name; }
    }
  }
  // What takes the most of the line's best time, `best`.
  Bound of(const Line &line, const Company &company, double best) const {
    Bound bound = beside(company);
    const auto key = [&](const char *what) { return compute_key(what, line.isa, line.threads); };
    const auto consider = [&](double seconds, const std::string &what) {
      if (seconds <= 0 || 100 * seconds / best <= bound.percent) { return; }
      bound = Bound{};
      bound.seconds = seconds;
      bound.percent = 100 * seconds / best;
      bound.what = what;
    };
    if (!line.bandwidth.empty() && bound.pairs == 0) {
      const auto found = by.find(line.bandwidth);
      consider(line.bytes * get(line.bandwidth), found == by.end() ? "" : found->second);
    }
    consider(line.fmas * get(key("fma")), "ceiling/" + line.isa + "/fma");
    consider(2 * line.double_fmas * get(key("fma")), "ceiling/" + line.isa + "/fma, half as many doubles");
    const double pairs = std::min(line.divisions, line.roots);
    if (line.divisions + line.roots > 0) {
      consider(pairs * get(key("div+sqrt")) + (line.divisions - pairs) * get(key("div")) + (line.roots - pairs) *
               get(key("sqrt")), "ceiling/" + line.isa + "/div+sqrt");
    }
    const auto own = alone.find(line.kernel + "/" + line.isa);
    if (line.paired && own != alone.end()) { // which a long call may beat by a little, as it begins less often
      const double near = line.elements * own->second / line.threads;
      consider(line.threads == 1 ? std::min(near, best) : near, "its own instructions, as near the core");
    }
    return bound;
  }
private:
  double get(const std::string &key) const {
    const auto found = cost.find(key);
    return found == cost.end() ? 0 : found->second;
  }
  std::map<std::string, double> cost; // seconds a byte, or an element
  std::map<std::string, std::string> by;
  std::map<std::string, double> alone; // seconds an element of what computes long, near the core
};

double seconds_of(const Run &run) { return run.GetAdjustedRealTime() / benchmark::GetTimeUnitMultiplier(run.time_unit); }

void annotate(Run &run, const Line &line, const Bound &bound) {
  run.run_name.time_type.clear(); // all times are of the team
  run.threads = line.threads;
  if (run.run_type == Run::RT_Aggregate && run.aggregate_name != "mean" && run.aggregate_name != "median" && run.aggregate_name !=
      "best") {
    return;
  }
  const double seconds = seconds_of(run);
  run.counters["ns/element"] = seconds * 1e9 / line.elements;
  if (line.bytes > 0) { run.counters["GB/s"] = line.bytes / seconds * 1e-9; }
  if (line.flops > 0) { run.counters["GFLOP/s"] = line.flops / seconds * 1e-9; }
  if (bound.seconds > 0) {
    run.counters["ceiling_ns/element"] = bound.seconds * 1e9 / line.elements;
    run.counters["percent"] = bound.pairs ? bound.percent : 100 * bound.seconds / seconds;
    run.report_label = bound.what;
  }
  if (bound.pairs) {
    run.counters["percent_low"] = bound.low;
    run.counters["percent_high"] = bound.high;
    run.counters["pairs"] = static_cast<double>(bound.pairs);
  }
}

// Keeps every report until the end, because a ceiling may be measured last; then hands on what Google Benchmark would have.
class Later : public benchmark::BenchmarkReporter {
public:
  Later(const std::map<std::string, const Line *> &of_name, const std::map<const Line *, Company> &beside_of,
        benchmark::BenchmarkReporter *out, bool best)
      : lines(of_name), companies(beside_of), to(out), only_best(best) {}
  bool ReportContext(const Context &context) override {
    to->SetOutputStream(&GetOutputStream());
    to->SetErrorStream(&GetErrorStream());
    return to->ReportContext(context);
  }
  void ReportRuns(const std::vector<Run> &report) override { groups.push_back(report); }
  void Finalize() override {
    Bounds bounds;
    std::map<const Line *, double> best;
    for (const auto &group : groups) {
      for (const Run &run : group) {
        if (run.run_type != Run::RT_Iteration || run.iterations <= 0) { continue; }
        const Line &line = line_of(run);
        double &least = best.emplace(&line, seconds_of(run)).first->second;
        least = std::min(least, seconds_of(run));
        bounds.see(line, seconds_of(run));
      }
    }
    std::stable_sort(groups.begin(), groups.end(),
                     [](const auto &a, const auto &b) { return a[0].family_index < b[0].family_index; });
    for (auto &group : groups) {
      const Line &line = line_of(group[0]);
      const Bound bound = line.kernel != "ceiling" ? bounds.of(line, companies.at(&line), best[&line]) : Bound{};
      for (Run &run : group) { annotate(run, line, bound); }
      if (only_best && group.size() > 1) {
        group.erase(std::remove_if(group.begin(), group.end(), [](const Run &r) { return r.aggregate_name != "best"; }),
                    group.end());
      }
      if (!group.empty()) { to->ReportRuns(group); }
    }
    to->Finalize();
  }
private:
  const Line &line_of(const Run &run) const { return *lines.at(run.run_name.function_name); }
  const std::map<std::string, const Line *> &lines;
  const std::map<const Line *, Company> &companies;
  benchmark::BenchmarkReporter *to;
  bool only_best;
  std::vector<std::vector<Run>> groups;
};

double timed_warm(const Line &line, int64_t calls) {
  line.run(line.warm.calls, line.warm.skip);
  return line.run(calls, 0);
}

// Seconds of so many calls: near the core by the best of their parts, as a neighbour that takes the core seldom takes it for all
// of them. What bounds many lines is looked at more often.
double measure_near(const Line &line, int64_t calls) {
  const int64_t parts = line.ceiling.empty() || line.isa.empty() ? 4 : 24, part = (calls + 3) / 4;
  double best = timed_warm(line, part);
  for (int64_t i = 1; i < parts; i++) { best = std::min(best, line.run(part, 0)); }
  return best / static_cast<double>(part) * static_cast<double>(calls);
}

// Seconds of so many calls, the best of a few where the line has company.
double measure(const Book &book, const Line &line, Company &company, int64_t calls) {
  if (!line.paired) { return measure_near(line, calls); }
  double before = timed_warm(line, calls), best = before;
  // Google Benchmark still looks for the number of calls.
  if (company.ceilings.empty() || before < book.options.min_time / 2) { return best; }
  const double count = static_cast<double>(calls);
  unsigned slow = 0;
  const size_t pairs = (PAIRS + book.options.repetitions - 1) / book.options.repetitions;
  for (size_t i = 0; i < pairs; i++) {
    Pair pair;
    for (const Line *ceiling : company.ceilings) { pair.ceilings.push_back(timed_warm(*ceiling, calls) / count); }
    const double after = timed_warm(line, calls);
    pair.line = (before + after) / 2 / count; // of the same moment as what lies between
    best = std::min(best, after);
    company.pairs.push_back(pair);
    // What takes twice as long as its streams is bound by something else, and twice is enough to see it.
    slow += 2 * *std::min_element(pair.ceilings.begin(), pair.ceilings.end()) < pair.line;
    if (slow > 1) { break; }
    before = after;
  }
  return best;
}

} // namespace

int run_lines(Book &book, const std::vector<bool> &wanted, bool console) {
  std::map<std::string, const Line *> of_name;
  std::map<const Line *, Company> companies;
  for (size_t i = 0; i < book.lines.size(); i++) {
    const Line &line = book.lines[i];
    if (!wanted[i]) { continue; }
    of_name[line.name] = &line;
    Company &company = companies[&line];
    for (const Line &other : book.lines) {
      if (line.paired && !line.bandwidth.empty() && other.ceiling == line.bandwidth) { company.ceilings.push_back(&other); }
    }
    benchmark::RegisterBenchmark(line.name.c_str(), [&book, &line, &company](benchmark::State &state) {
      while (state.KeepRunningBatch(state.max_iterations)) {
        state.PauseTiming();
        line.prepare();
        state.ResumeTiming();
        // One time for the whole batch: the clock is read twice.
        state.SetIterationTime(measure(book, line, company, static_cast<int64_t>(state.max_iterations)));
      }
    })->UseManualTime()->Unit(benchmark::kNanosecond)->ComputeStatistics("best", [](const std::vector<double> &values) {
      return *std::min_element(values.begin(), values.end());
    });
  }
  std::unique_ptr<benchmark::BenchmarkReporter> display(benchmark::CreateDefaultDisplayReporter());
  benchmark::JSONReporter json;
  Later shown(of_name, companies, display.get(), console), kept(of_name, companies, &json, false);
  const size_t ran = book.options.file ? benchmark::RunSpecifiedBenchmarks(&shown, &kept, ".")
      : benchmark::RunSpecifiedBenchmarks(&shown, ".");
  benchmark::Shutdown();
  return ran ? 0 : 1;
}

} // namespace bench
