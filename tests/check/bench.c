/* bench.c - the time an element of every operation's largest case, with the ratio to scalar: a first look. What the machine could do
 * at most, and other sizes: fedlane bench. */
#include "check.h"
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

enum { ROUNDS = 9 };
static volatile double sink;

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}
static double now_cycles(void) {
#if defined(__x86_64__)
  return (double)__rdtsc();
#else
  return 0.0; /* no counter that a program may read everywhere */
#endif
}

/* Calls that take about half a millisecond. */
static size_t calls_of(const fl_kernels *k, caller f, call *c) {
  size_t calls = 1;
  for (;; calls *= 2) {
    const double t0 = now_ns();
    for (size_t i = 0; i < calls; i++) { f(k, c); }
    if (now_ns() - t0 > 2.5e5 || calls > 1u << 20) { return 2 * calls; }
  }
}

/* Both forms in turns, each from fresh arrays; best of some rounds: what disturbs only adds time. */
void time_case(check *t, caller f, call *c, size_t nargs, const arg *a) {
  timing *w = t->timing;
  size_t elements = 0;
  const fl_kernels *form[2] = { t->dut, t->ref };
  double ns[2] = { 1e30, 1e30 };
  for (size_t i = 0; i < nargs; i++) { elements = a[i].role != 's' && a[i].n > elements ? a[i].n : elements; }
  w->at++;
  if (w->find && elements >= w->elements) {
    w->elements = elements;
    w->wanted = w->at;
  }
  if (w->find || w->at != w->wanted || !elements) { return; }
  place_for_timing(c, nargs, a);
  const size_t calls[2] = { calls_of(form[0], f, c), calls_of(form[1], f, c) };
  for (int r = 0; r < ROUNDS; r++) {
    for (int j = 0; j < 2; j++) {
      place_for_timing(c, nargs, a);
      const double t0 = now_ns(), c0 = now_cycles();
      for (size_t i = 0; i < calls[j]; i++) { f(form[j], c); }
      const double all = (double)calls[j] * (double)elements, cycles = (now_cycles() - c0) / all, took = (now_ns() - t0) / all;
      if (took < ns[j] && j == 0) { w->cycles = cycles; }
      if (took < ns[j]) { ns[j] = took; }
    }
  }
  sink = c->ret;
  w->ns = ns[0];
  w->scalar_ns = ns[1];
}

int bench(const fl_kernels *k, const fl_kernels *scalar, char *const *word, int words) {
  int bad = 0;
  printf("isa %s; element: of the largest array of the case; cycles are of the time-stamp counter\n", k->name);
  printf("%-20s %10s %10s %10s %10s\n", "op", "elements", "ns/elem", "cyc/elem", "x scalar");
  for (size_t i = 0; i < op_count; i++) {
    if (!wanted(&op_tests[i], word, words)) { continue; }
    timing w = { .find = 1 };
    check t = { .ref = scalar, .dut = k, .seed = 1, .quick = 1, .timing = &w };
    run_op(&t, &op_tests[i]);
    w.find = 0;
    w.at = 0;
    run_op(&t, &op_tests[i]);
    bad |= t.failures != 0;
    if (w.ns > 0) { printf("%-20s %10zu %10.4f %10.4f %10.2f\n", op_tests[i].name, w.elements, w.ns, w.cycles, w.scalar_ns / w.ns); }
    fflush(stdout);
  }
  return bad;
}
