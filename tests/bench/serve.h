// serve.h - fedlane-bench that is asked row by row (serve.cpp).
#ifndef FEDLANE_BENCH_SERVE_H
#define FEDLANE_BENCH_SERVE_H
#include "bench.h"
#include <jansson.h>

namespace bench {

// Answers until its input ends; kind: what is measured. The context becomes part of the first line.
int serve(Book &, const std::vector<bool> &wanted, const std::string &kind, json_t *context);

} // namespace bench
#endif
