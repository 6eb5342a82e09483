// main.cpp - fedlane-bench: options of ours, those of Google Benchmark, and which lines there are.
#include "serve.h"
#include <algorithm>
#include <benchmark/benchmark.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <omp.h>
#include <regex>
#include <sstream>
extern "C" {
#include "harness/results.h"
}

namespace bench {

std::string place_name(const Place &at, bool huge_pages) {
  return "n:" + std::to_string(at.n) + (at.cold ? "/cold" : "") + (huge_pages ? "" : "/pages:4k") + "/threads:" +
      std::to_string(at.threads);
}

void Book::add(Line line, size_t n, size_t arrays) {
  line.memory = Arena::bytes(n, arrays);
  lines.push_back(std::move(line));
}

size_t Book::memory(const std::vector<bool> &wanted) const {
  size_t most = Arena::bytes(4096, 1);
  for (size_t i = 0; i < lines.size(); i++) {
    if (!wanted[i]) { continue; }
    most = std::max(most, lines[i].memory);
    if (lines[i].cold) { most = std::max(most, memory_for_cold(sizes)); }
  }
  return most;
}

void Book::settle(Line &line, const Place &at, size_t arrays) const {
  line.cold = at.cold;
  line.paired = at.cold || at.n > sizes.l2;
  if (at.cold) { line.warm.calls = static_cast<int64_t>(64 * sizes.l3 / Arena::bytes(at.n, arrays) + 1); }
  if (at.n > 16 * sizes.l3) { line.warm.skip = (at.n - 8 * sizes.l3) / 16 * 16; }
}

std::string Book::bandwidth(Mix mix, Place at) {
  if (mix.traffic() == 0) { return ""; }
  const std::string key = text(mix) + "/" + place_name(at, options.huge_pages);
  needed.emplace(key, std::make_pair(mix, at));
  return key;
}

// The first instruction set runs everywhere; the others where arithmetic counts, in the second cache.
std::vector<Place> Book::places(bool first_isa, bool step) const {
  std::vector<Place> made;
  std::vector<size_t> ns = options.sizes;
  if (ns.empty() && first_isa) {
    ns = { sizes.l1, sizes.l2, sizes.l3, sizes.dram };
    if (step) { ns.insert(ns.end(), { 4096, 61706 }); } // a call's cost; LeNet-5's parameters
  } else if (ns.empty()) {
    ns = { sizes.l2 };
  }
  for (const size_t n : ns) {
    for (const unsigned t : options.threads) {
      // What fits a core's own caches is one core's work.
      if (t == 1 || n > sizes.l2 || !options.sizes.empty()) { made.push_back({ n, t, false }); }
    }
    if (n == sizes.l2 && first_isa) { made.push_back({ n, 1, true }); }
  }
  return made;
}

void Book::add_ceilings(std::vector<bool> &wanted) {
  std::map<std::string, bool> bound;
  std::map<std::pair<std::string, unsigned>, bool> computing;
  for (size_t i = 0; i < lines.size(); i++) {
    if (!wanted[i]) { continue; }
    bound[lines[i].bandwidth] = true;
    const Line &line = lines[i];
    if (line.fmas + line.double_fmas + line.divisions + line.roots > 0) { computing[{ line.isa, line.threads }] = true; }
  }
  for (const auto &[key, what] : needed) {
    if (bound[key]) { add_bandwidth(*this, what.first, what.second, key); }
  }
  for (const auto &[what, unused] : computing) {
    for (const fl_kernels *k : options.isas) {
      if (what.first == k->name) { add_compute(*this, k, what.second); }
    }
  }
  add_cycle(*this);
  wanted.resize(lines.size(), true);
}

namespace {

const char usage[] =
    "usage: fedlane bench [--isa=NAME,... | --isa=all] [--threads=N,...] [--sizes=N,...] [--pages=huge|4k] [--benchmark_...]\n"
    "Times every kernel of the registry, and the ceilings that bind it, in one run. Names: kernel/isa/n:4096/threads:1\n"
    "  --isa       instruction sets; default: the best, and the others at one size    --threads  default: 1 and all\n"
    "  --sizes     elements of an array; default: in L1, L2 (cold, too), L3, DRAM, and for steps 4096 and 61706\n"
    "  --pages     huge (default): ask for huge pages; 4k: refuse them\n"
    "Of Google Benchmark's flags the most useful: --benchmark_filter=REGEX --benchmark_list_tests --benchmark_repetitions=9\n"
    "  --benchmark_min_time=0.002 --benchmark_out=FILE (JSON) --benchmark_format=json; repetitions are interleaved at\n"
    "random, and the best is shown. Beyond a core's own caches a line and its ceilings are timed in turns, seven times or\n"
    "more: the percentage is the median of their ratios.\n"
    "scripts/report-bench FILE makes table and figure of it, and says whether the ceilings hold.\n";

[[noreturn]] void refuse(const std::string &what) {
  std::fprintf(stderr, "fedlane-bench: %s\n%s", what.c_str(), usage);
  std::exit(2);
}

std::vector<std::string> split(const std::string &list) {
  std::vector<std::string> words;
  std::stringstream stream(list);
  for (std::string word; std::getline(stream, word, ',');) { words.push_back(word); }
  return words;
}

std::vector<size_t> numbers(const char *option, const std::string &list, size_t most) {
  std::vector<size_t> found;
  for (const std::string &word : split(list)) {
    char *end = nullptr;
    const unsigned long long value = std::strtoull(word.c_str(), &end, 10);
    if (word.empty() || word[0] == '-' || *end || value < 1 || value > most) {
      refuse(std::string(option) + ": \"" + word + "\"; allowed: whole numbers, 1 to " + std::to_string(most));
    }
    found.push_back(value);
  }
  if (found.empty()) { refuse(std::string(option) + ": no number"); }
  return found;
}

const fl_kernels *table(const std::string &name) {
  for (int i = 0; i < FL_ISA_COUNT; i++) {
    if (name != fl_isa_name(static_cast<fl_isa>(i))) { continue; }
    const fl_kernels *k = fl_kernels_of(static_cast<fl_isa>(i));
    if (!k) { refuse("--isa: this machine or build cannot run \"" + name + "\""); }
    return k;
  }
  refuse("--isa: unknown ISA \"" + name + "\"; allowed: scalar, scalar+fma, avx2, avx512, neon, all");
}

std::vector<const fl_kernels *> choose(const std::string &list) {
  static const fl_isa order[] = { FL_ISA_AVX512, FL_ISA_AVX2, FL_ISA_NEON, FL_ISA_SCALAR_FMA, FL_ISA_SCALAR };
  std::vector<const fl_kernels *> chosen;
  if (!list.empty() && list != "all") {
    for (const std::string &word : split(list)) { chosen.push_back(table(word)); }
    return chosen;
  }
  const char *error = nullptr;
  const fl_kernels *best = fl_kernels_select(nullptr, &error); // FEDLANE_MAX_CPU_ISA counts
  if (!best) { refuse(error); }
  for (const fl_isa isa : order) {
    const fl_kernels *k = fl_kernels_of(isa);
    // The plain scalar form calls a function for an fma: what others are checked with, never what runs.
    if (k && (k == best || (!chosen.empty() && (isa != FL_ISA_SCALAR || list == "all")))) { chosen.push_back(k); }
  }
  return chosen;
}

bool given(int argc, char **argv, const char *flag) {
  for (int i = 1; i < argc; i++) {
    if (!std::strncmp(argv[i], flag, std::strlen(flag))) { return true; }
  }
  return false;
}

const char *last(int argc, char **argv, const char *flag) { // the value that counts
  const char *value = "";
  for (int i = 1; i < argc; i++) {
    if (!std::strncmp(argv[i], flag, std::strlen(flag))) { value = argv[i] + std::strlen(flag); }
  }
  return value;
}

// Takes our options out of argv.
Options parse(int &argc, char **argv) {
  Options o;
  std::string isa, threads, sizes, pages = "huge";
  const std::pair<const char *, std::string *> known[] = { { "--isa=", &isa }, { "--threads=", &threads }, { "--sizes=", &sizes },
                                                           { "--pages=", &pages }, { "--serve=", &o.serve } };
  int kept = 1;
  for (int i = 1; i < argc; i++) {
    bool ours = false;
    for (const auto &[name, value] : known) {
      if (std::strncmp(argv[i], name, std::strlen(name))) { continue; }
      *value = argv[i] + std::strlen(name);
      ours = true;
    }
    if (!std::strcmp(argv[i], "--help") || !std::strcmp(argv[i], "-h")) {
      std::fputs(usage, stdout);
      std::exit(0);
    }
    if (!ours) { argv[kept++] = argv[i]; }
  }
  argc = kept;
  o.isas = choose(isa);
  const unsigned all = static_cast<unsigned>(omp_get_num_procs());
  if (threads.empty()) {
    o.threads = { 1 };
    if (all > 1) { o.threads.push_back(all); }
  } else {
    for (const size_t t : numbers("--threads", threads, 1024)) { o.threads.push_back(static_cast<unsigned>(t)); }
  }
  if (!sizes.empty()) { o.sizes = numbers("--sizes", sizes, size_t{1} << 32); }
  if (pages != "huge" && pages != "4k") { refuse("--pages: \"" + pages + "\"; allowed: huge, 4k"); }
  o.huge_pages = pages == "huge";
  o.file = given(argc, argv, "--benchmark_out=");
  o.min_time = std::strtod(last(argc, argv, "--benchmark_min_time="), nullptr);
  o.repetitions = std::max(1u, static_cast<unsigned>(std::strtoul(last(argc, argv, "--benchmark_repetitions="), nullptr, 10)));
  return o;
}

// What a result must say of machine and build, in the words of run.json.
json_t *describe(const Options &o) {
  json_t *context = json_object();
  const auto add = [context](const std::string &key, const char *value) {
    benchmark::AddCustomContext(key, value);
    json_object_set_new(context, key.c_str(), json_string(value));
  };
  json_t *machine = fl_machine_json(o.isas[0], static_cast<int>(o.threads.back()));
  const char *key = nullptr;
  json_t *value = nullptr;
  json_object_foreach(machine, key, value) {
    char *text = json_is_string(value) ? nullptr : json_dumps(value, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    add(std::string("machine_") + key, text ? text : json_string_value(value));
    std::free(text);
  }
  json_decref(machine);
  add("pages", o.huge_pages ? "huge" : "4k");
  return context;
}

std::vector<bool> filtered(const Book &book) {
  std::string filter = benchmark::GetBenchmarkFilter();
  const bool negative = !filter.empty() && filter[0] == '-';
  if (negative) { filter.erase(0, 1); }
  if (filter.empty() || filter == "all") { filter = "."; }
  std::regex pattern;
  try {
    pattern = std::regex(filter, std::regex::extended);
  } catch (const std::regex_error &) {
    refuse("--benchmark_filter: \"" + filter + "\" is no regular expression");
  }
  std::vector<bool> wanted;
  for (const Line &line : book.lines) { wanted.push_back(std::regex_search(line.name, pattern) != negative); }
  return wanted;
}

} // namespace
} // namespace bench

int main(int argc, char **argv) {
  using namespace bench;
  const bool console = !given(argc, argv, "--benchmark_format=") || given(argc, argv, "--benchmark_format=console");
  std::vector<char *> words(argv, argv + argc);
  char repetitions[] = "--benchmark_repetitions=9", interleaving[] = "--benchmark_enable_random_interleaving=true",
       min_time[] = "--benchmark_min_time=0.002";
  for (char *flag : { repetitions, interleaving, min_time }) { // first, so that what the user says comes later
    words.insert(words.begin() + 1, flag);
  }
  int count = static_cast<int>(words.size());
  words.push_back(nullptr);
  Book book(parse(count, words.data()));
  benchmark::Initialize(&count, words.data());
  if (benchmark::ReportUnrecognizedArguments(count, words.data())) {
    std::fputs(usage, stderr);
    return 2;
  }
  add_kernels(book);
  add_matrix(book);
  std::vector<bool> wanted = filtered(book);
  if (std::find(wanted.begin(), wanted.end(), true) == wanted.end()) {
    std::fprintf(stderr, "fedlane-bench: --benchmark_filter=%s: no line has such a name; --benchmark_list_tests shows all\n",
                 benchmark::GetBenchmarkFilter().c_str());
    return 2;
  }
  book.add_ceilings(wanted);
  const bool list = given(argc, argv, "--benchmark_list_tests") && !given(argc, argv, "--benchmark_list_tests=false");
  if (list) {
    for (size_t i = 0; i < book.lines.size(); i++) {
      if (wanted[i]) { std::printf("%s\n", book.lines[i].name.c_str()); }
    }
    return 0;
  }
  fl_fpenv_enter();
  if (!book.options.serve.empty()) { return serve(book, wanted, book.options.serve, describe(book.options)); }
  arena.reserve(book.memory(wanted), book.options.huge_pages);
  json_decref(describe(book.options));
  return run_lines(book, wanted, console);
}
