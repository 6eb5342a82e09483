// report.cpp - runs the lines and, when all are done, adds to each its rates, the ceiling that binds it, and its share of that.
#include "bench.h"
#include <algorithm>
#include <benchmark/benchmark.h>
#include <cmath>
#include <memory>

namespace bench {
namespace {

using Run = benchmark::BenchmarkReporter::Run;

// Seconds that a call cannot undercut, and why.
struct Bound { double seconds = 0; std::string what; };

class Bounds {
public:
  // The best repetition of every ceiling: what disturbs only adds time.
  void see(const Line &line, double seconds) {
    if (line.ceiling.empty() || !(seconds > 0)) { return; }
    double &best = cost[line.ceiling];
    const double each = seconds / (line.isa.empty() ? line.bytes : line.elements);
    if (best == 0 || each < best) {
      best = each;
      if (line.isa.empty()) { by[line.ceiling] = line.name; }
    }
  }
  Bound of(const Line &line) const {
    Bound bound;
    const auto key = [&](const char *what) { return compute_key(what, line.isa, line.threads); };
    const auto consider = [&](double seconds, const std::string &what) {
      if (seconds > bound.seconds) { bound = { seconds, what }; }
    };
    if (!line.bandwidth.empty()) {
      const auto found = by.find(line.bandwidth);
      consider(line.bytes * get(line.bandwidth), found == by.end() ? "" : found->second);
    }
    if (line.flops > 0) { consider(line.flops / 2 * get(key("fma")), "ceiling/" + line.isa + "/fma"); }
    const double pairs = std::min(line.divisions, line.roots);
    if (line.divisions + line.roots > 0) {
      consider(pairs * get(key("div+sqrt")) + (line.divisions - pairs) * get(key("div")) + (line.roots - pairs) * get(key("sqrt")),
               "ceiling/" + line.isa + "/div+sqrt");
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
};

double seconds_of(const Run &run) { return run.GetAdjustedRealTime() / benchmark::GetTimeUnitMultiplier(run.time_unit); }

void annotate(Run &run, const Line &line, const Bounds &bounds) {
  run.run_name.time_type.clear(); // all times are of the team
  run.threads = line.threads;
  if (run.run_type == Run::RT_Aggregate && run.aggregate_name != "mean" && run.aggregate_name != "median" && run.aggregate_name != "best") { return; }
  const double seconds = seconds_of(run);
  const Bound bound = line.ceiling.empty() ? bounds.of(line) : Bound{};
  run.counters["ns/element"] = seconds * 1e9 / line.elements;
  if (line.bytes > 0) { run.counters["GB/s"] = line.bytes / seconds * 1e-9; }
  if (line.flops > 0) { run.counters["GFLOP/s"] = line.flops / seconds * 1e-9; }
  if (bound.seconds > 0) {
    run.counters["ceiling_ns/element"] = bound.seconds * 1e9 / line.elements;
    run.counters["percent"] = 100 * bound.seconds / seconds;
    run.report_label = bound.what;
  }
}

// Keeps every report until the end, because a ceiling may be measured last; then hands on what Google Benchmark would have.
class Later : public benchmark::BenchmarkReporter {
public:
  Later(const std::map<std::string, const Line *> &of_name, benchmark::BenchmarkReporter *out, bool best)
      : lines(of_name), to(out), only_best(best) {}
  bool ReportContext(const Context &context) override {
    to->SetOutputStream(&GetOutputStream());
    to->SetErrorStream(&GetErrorStream());
    return to->ReportContext(context);
  }
  void ReportRuns(const std::vector<Run> &report) override { groups.push_back(report); }
  void Finalize() override {
    Bounds bounds;
    for (const auto &group : groups) {
      for (const Run &run : group) {
        if (run.run_type == Run::RT_Iteration && run.iterations > 0) { bounds.see(line_of(run), seconds_of(run)); }
      }
    }
    std::stable_sort(groups.begin(), groups.end(), [](const auto &a, const auto &b) { return a[0].family_index < b[0].family_index; });
    for (auto &group : groups) {
      for (Run &run : group) { annotate(run, line_of(run), bounds); }
      if (only_best && group.size() > 1) {
        group.erase(std::remove_if(group.begin(), group.end(), [](const Run &r) { return r.aggregate_name != "best"; }), group.end());
      }
      if (!group.empty()) { to->ReportRuns(group); }
    }
    to->Finalize();
  }
private:
  const Line &line_of(const Run &run) const { return *lines.at(run.run_name.function_name); }
  const std::map<std::string, const Line *> &lines;
  benchmark::BenchmarkReporter *to;
  bool only_best;
  std::vector<std::vector<Run>> groups;
};

} // namespace

int run_lines(Book &book, const std::vector<bool> &wanted, bool console) {
  std::map<std::string, const Line *> of_name;
  for (size_t i = 0; i < book.lines.size(); i++) {
    const Line &line = book.lines[i];
    if (!wanted[i]) { continue; }
    of_name[line.name] = &line;
    benchmark::RegisterBenchmark(line.name.c_str(), [&line](benchmark::State &state) {
      while (state.KeepRunningBatch(state.max_iterations)) {
        state.PauseTiming();
        line.prepare();
        state.ResumeTiming();
        // One time for the whole batch: the clock is read twice.
        state.SetIterationTime(line.run(state.max_iterations));
      }
    })->UseManualTime()->Unit(benchmark::kNanosecond)->ComputeStatistics("best", [](const std::vector<double> &values) {
      return *std::min_element(values.begin(), values.end());
    });
  }
  std::unique_ptr<benchmark::BenchmarkReporter> display(benchmark::CreateDefaultDisplayReporter());
  benchmark::JSONReporter json;
  Later shown(of_name, display.get(), console), kept(of_name, &json, false);
  const size_t ran = book.options.file ? benchmark::RunSpecifiedBenchmarks(&shown, &kept, ".") : benchmark::RunSpecifiedBenchmarks(&shown, ".");
  benchmark::Shutdown();
  return ran ? 0 : 1;
}

} // namespace bench
