// serve.cpp - fedlane-bench --serve: rows are asked for on the standard input and answered on the standard output, one line each,
// for a program that interleaves several builds. First comes what this build and machine are, and which rows there are.
#include "serve.h"
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <sched.h>
#include <sstream>
#include <unistd.h>
#if defined(__linux__)
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#endif
#if __has_include(<valgrind/callgrind.h>)
#include <fstream>
#include <valgrind/callgrind.h>
#define FL_HAVE_CALLGRIND 1
#endif

namespace bench {
namespace {

// ---- what is counted -------------------------------------------------------------------------------------------------------
class Meter {
public:
  virtual ~Meter() = default;
  virtual double of(const Line &, int64_t calls) = 0; // of all calls
  virtual bool warms() const { return false; }        // whether what the caches hold makes a difference
};

class Clock : public Meter {
public:
  double of(const Line &line, int64_t calls) override { return line.run(calls, 0); }
  bool warms() const override { return true; }
};

[[noreturn]] void refuse(const std::string &why) {
  std::fprintf(stderr, "fedlane-bench: --serve: %s\n", why.c_str());
  std::exit(2);
}

// Instructions of this thread in user space.
class Counter : public Meter {
public:
  Counter() {
    perf_event_attr what{};
    what.type = PERF_TYPE_HARDWARE;
    what.size = sizeof what;
    what.config = PERF_COUNT_HW_INSTRUCTIONS;
    what.disabled = 1;
    what.exclude_kernel = 1;
    what.exclude_hv = 1;
    file = static_cast<int>(syscall(SYS_perf_event_open, &what, 0, -1, -1, 0));
    if (file < 0) { refuse(std::string("perf_event_open: ") + std::strerror(errno)); }
  }
  ~Counter() override { close(file); }
  double of(const Line &line, int64_t calls) override {
    uint64_t count = 0;
    ioctl(file, PERF_EVENT_IOC_RESET, 0);
    ioctl(file, PERF_EVENT_IOC_ENABLE, 0);
    line.run(calls, 0);
    ioctl(file, PERF_EVENT_IOC_DISABLE, 0);
    return read(file, &count, sizeof count) == sizeof count ? static_cast<double>(count) : 0;
  }
private:
  int file;
};

#if FL_HAVE_CALLGRIND
// Callgrind counts between two requests (all else runs ten times faster) and writes a file; its line "totals:" has the
// instructions.
class Callgrind : public Meter {
public:
  explicit Callgrind(const std::string &file) : path(file) {
    if (!RUNNING_ON_VALGRIND) { refuse("callgrind: this process does not run under valgrind"); }
  }
  double of(const Line &line, int64_t calls) override {
    CALLGRIND_ZERO_STATS;
    CALLGRIND_START_INSTRUMENTATION;
    line.run(calls, 0);
    CALLGRIND_STOP_INSTRUMENTATION;
    CALLGRIND_DUMP_STATS;
    const std::string dump = path + "." + std::to_string(++dumps);
    double count = 0;
    std::ifstream in(dump);
    for (std::string word; in >> word;) {
      if (word == "totals:") { in >> count; }
    }
    unlink(dump.c_str());
    return count;
  }
private:
  std::string path;
  unsigned dumps = 0;
};
#endif

std::unique_ptr<Meter> meter_of(const std::string &kind) {
  if (kind == "time") { return std::make_unique<Clock>(); }
  if (kind == "counter") { return std::make_unique<Counter>(); }
  if (kind.rfind("callgrind:", 0) == 0) {
#if FL_HAVE_CALLGRIND
    return std::make_unique<Callgrind>(kind.substr(std::strlen("callgrind:")));
#else
    refuse("callgrind: this build was made without valgrind/callgrind.h (Debian's package valgrind)");
#endif
  }
  refuse("\"" + kind + "\"; allowed: time, counter, callgrind:FILE");
}

// ---- rows ------------------------------------------------------------------------------------------------------------------
// Of instructions: what one thread does in its own caches, as more elements and memory farther away are the same instructions;
// and no large product, as callgrind runs a fiftieth as fast.
bool served(const Line &line, bool time) {
  return line.kernel != "ceiling" && (time || (line.threads == 1 && !line.paired && line.flops <= 4e7));
}

json_t *row_json(const Book &book, const Line &line) {
  json_t *ceilings = json_array();
  for (const Line &other : book.lines) {
    if (line.paired && !line.bandwidth.empty() && other.ceiling == line.bandwidth) {
      json_array_append_new(ceilings, json_string(other.name.c_str()));
    }
  }
  return json_pack("{s:s, s:i, s:o}", "name", line.name.c_str(), "threads", static_cast<int>(line.threads), "ceilings", ceilings);
}

void hello(const Book &book, const std::vector<bool> &wanted, json_t *context, bool time) {
  json_t *rows = json_array(), *all = json_object();
  for (size_t i = 0; i < book.lines.size(); i++) {
    if (wanted[i] && served(book.lines[i], time)) { json_array_append_new(rows, row_json(book, book.lines[i])); }
  }
  json_object_set_new(all, "fedlane_bench", json_integer(1));
  json_object_set_new(all, "context", context);
  json_object_set_new(all, "rows", rows);
  char *text = json_dumps(all, JSON_COMPACT);
  std::printf("%s\n", text);
  std::fflush(stdout);
  std::free(text);
  json_decref(all);
}

// Both programs run a row of one thread on the same processor, whichever that is in this round.
class Processor {
public:
  Processor() { sched_getaffinity(0, sizeof before, &before); }
  void pin(int cpu) {
    if (cpu < 0 || !CPU_ISSET(static_cast<unsigned>(cpu), &before)) { return; }
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(cpu), &one);
    pinned = sched_setaffinity(0, sizeof one, &one) == 0;
  }
  void free() {
    if (pinned) { sched_setaffinity(0, sizeof before, &before); }
    pinned = false;
  }
private:
  cpu_set_t before;
  bool pinned = false;
};

double answer(Meter &meter, const Line &line, Processor &place, int cpu, int64_t calls, int parts) {
  line.prepare();
  if (line.threads == 1) { place.pin(cpu); }
  line.run(meter.warms() ? line.warm.calls : 1, meter.warms() ? line.warm.skip : 0); // a first call binds symbols, too
  double best = meter.of(line, calls);
  for (int i = 1; i < parts; i++) { best = std::min(best, meter.of(line, calls)); }
  place.free();
  return best / static_cast<double>(calls);
}

} // namespace

int serve(Book &book, const std::vector<bool> &wanted, const std::string &kind, json_t *context) {
  const std::unique_ptr<Meter> meter = meter_of(kind);
  hello(book, wanted, context, kind == "time");
  std::map<std::string, const Line *> of_name;
  for (const Line &line : book.lines) { of_name[line.name] = &line; }
  std::vector<bool> used = wanted;
  for (size_t i = 0; i < used.size(); i++) { used[i] = used[i] && (kind == "time" || served(book.lines[i], false)); }
  Processor place;
  bool ready = false;
  for (std::string question; std::getline(std::cin, question);) {
    std::istringstream in(question);
    int cpu = -1, parts = 0;
    int64_t calls = 0;
    std::string name;
    in >> cpu >> calls >> parts >> name;
    const auto found = of_name.find(name);
    if (!in || calls < 1 || parts < 1 || found == of_name.end()) {
      std::printf("not understood\n");
    } else {
      if (!ready) { arena.reserve(book.memory(used), book.options.huge_pages); }
      ready = true; // not before: memory that another build counts as free
      std::printf("%.9g\n", answer(*meter, *found->second, place, cpu, calls, parts));
    }
    std::fflush(stdout);
  }
  return 0;
}

} // namespace bench
