/* bench.c - the time an element of every operation's largest case, with the ratio to scalar: a first look. What the machine could
 * do at most, and other sizes: fedlane bench. */
#include "../cycles.h"
#include "check.h"
#include <string.h>
#include <time.h>

enum { ROUNDS = 9, CYCLES = 8000 };
static volatile double sink;

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* Nanoseconds between two looks at the clock, and of a cycle of the core; 0: no chain of this machine's instructions is known. */
static double clock_ns(unsigned long cycles) {
  double best = 1e30;
  for (int r = 0; r < 1000; r++) {
    const double t0 = now_ns();
    spend_cycles(cycles);
    const double took = now_ns() - t0;
    best = took < best ? took : best;
  }
  return best;
}

static int changes_inputs(size_t nargs, const arg *a) {
  int found = 0;
  for (size_t i = 0; i < nargs; i++) { found |= a[i].role == 'x' && a[i].init && a[i].alias < 0; }
  return found;
}
static void restore(const call *c, size_t nargs, const arg *a) {
  for (size_t i = 0; i < nargs; i++) {
    const size_t width = a[i].type == 'b' ? 1 : a[i].type == 'd' ? 8 : 4;
    if (a[i].role == 'x' && a[i].init && a[i].alias < 0) { memcpy(c->p[i], a[i].init, a[i].n * width); }
  }
}

/* Nanoseconds of some calls. Where a call changes its inputs, the next gets them as they were, and each is timed alone: a matrix
 * that has been factored is no longer what it was. */
static double run(const fl_kernels *k, caller f, call *c, size_t nargs, const arg *a, size_t calls, double look) {
  double all = 0, t0 = now_ns();
  if (!changes_inputs(nargs, a)) {
    for (size_t i = 0; i < calls; i++) { f(k, c); }
    return now_ns() - t0;
  }
  for (size_t i = 0; i < calls; i++) {
    restore(c, nargs, a);
    t0 = now_ns();
    f(k, c);
    all += now_ns() - t0 - look;
  }
  return all;
}

/* Calls that take about half a millisecond. */
static size_t calls_of(const fl_kernels *k, caller f, call *c, size_t nargs, const arg *a, double look) {
  size_t calls = 1;
  for (;; calls *= 2) {
    if (run(k, f, c, nargs, a, calls, look) > 2.5e5 || calls > 1u << 20) { return 2 * calls; }
  }
}

/* Both forms in turns, each from fresh arrays; best of some rounds: what disturbs only adds time. Of the largest cases the
 * one that computes most, with no argument in another's place. */
void time_case(check *t, caller f, call *c, size_t nargs, const arg *a) {
  timing *w = t->timing;
  size_t elements = 0;
  const fl_kernels *form[2] = { t->dut, t->ref };
  double ns[2] = { 1e30, 1e30 };
  for (size_t i = 0; i < nargs; i++) {
    if (a[i].alias >= 0) { return; }
    elements = a[i].role != 's' && a[i].n > elements ? a[i].n : elements;
  }
  w->at++;
  if (!elements || elements < w->elements || (!w->find && w->at != w->wanted)) { return; }
  place_for_timing(c, nargs, a);
  if (w->find) {
    const double t0 = now_ns();
    f(t->ref, c);
    const double took = now_ns() - t0;
    if (elements == w->elements && took <= w->longest) { return; }
    w->elements = elements;
    w->longest = took;
    w->wanted = w->at;
    return;
  }
  const double look = clock_ns(0);
  const size_t calls[2] = { calls_of(form[0], f, c, nargs, a, look), calls_of(form[1], f, c, nargs, a, look) };
  for (int r = 0; r < ROUNDS; r++) {
    for (int j = 0; j < 2; j++) {
      place_for_timing(c, nargs, a);
      const double took = run(form[j], f, c, nargs, a, calls[j], look) / ((double)calls[j] * (double)elements);
      if (took < ns[j]) { ns[j] = took; }
    }
  }
  sink = c->ret;
  w->ns = ns[0];
  w->scalar_ns = ns[1];
}

int bench(const fl_kernels *k, const fl_kernels *scalar, char *const *word, int words) {
  int bad = 0;
  const double cycle = (clock_ns(CYCLES) - clock_ns(0)) / CYCLES;
  printf("isa %s; element: of the largest array of the case; cycles are of the core\n", k->name);
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
    if (w.ns > 0) {
      const double cycles = cycle > 0 ? w.ns / cycle : 0;
      printf("%-20s %10zu %10.4f %10.4f %10.2f\n", op_tests[i].name, w.elements, w.ns, cycles, w.scalar_ns / w.ns);
    }
    fflush(stdout);
  }
  return bad;
}
