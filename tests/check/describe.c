/* describe.c - what the tests of an operation show of it, for docs/kernels.md: which arguments may be the same memory, and what a
 * NaN in an input does to the outputs. One line an operation: name, roles, pairs, effects; "-" where there is nothing to say; of
 * what is built on a table also its formula, its arrays, and the floats of scratch at three orders. */
#include "check.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST = 33, MOST = 20000, PAIRS = 8 }; /* a NaN in the middle of so many shows whether it stays where it is */
typedef struct {
  char roles[MAX_ARGS + 1], pair[PAIRS][3], effects[256];
  size_t pairs, longest;
} description;

static size_t width_of(const arg *a) { return a->type == 'b' ? 1 : a->type == 'd' ? 8 : 4; }
static int reads(const arg *a) { return a->type == 'f' && a->n && (a->role == 'i' || a->role == 'x'); }
static int writes(const arg *a) { return (a->type == 'f' || a->type == 'd') && a->n && (a->role == 'o' || a->role == 'x'); }
static int nan_at(const arg *a, const void *p, size_t i) {
  return a->type == 'd' ? isnan(((const double *)p)[i]) != 0 : isnan(((const float *)p)[i]) != 0;
}
static int in_gap(const arg *a, size_t i) { return a->ld && i % a->ld >= a->row; }

/* The inputs without their signs: a second moment is not negative. */
static void fill(const call *c, size_t nargs, const arg *a) {
  for (size_t i = 0; i < nargs; i++) {
    memset(c->p[i], 0, a[i].n * width_of(&a[i]));
    if (!a[i].init || !a[i].n) { continue; }
    memcpy(c->p[i], a[i].init, a[i].n * width_of(&a[i]));
    for (size_t k = 0; a[i].type == 'f' && k < a[i].n; k++) { ((float *)c->p[i])[k] = fabsf(((float *)c->p[i])[k]); }
  }
}

/* Elements that are NaN now and were not in the call without one. */
static size_t count_nan(const arg *a, const void *p, const void *before, size_t *last) {
  size_t found = 0;
  for (size_t i = 0; i < a->n; i++) {
    if (in_gap(a, i) || !nan_at(a, p, i) || nan_at(a, before, i)) { continue; }
    *last = i;
    found++;
  }
  return found;
}

static void *zeros(const arg *a) {
  void *p = calloc(a->n + 1, width_of(a));
  if (!p) { fprintf(stderr, "fedlane-check: out of memory\n"); exit(1); }
  return p;
}

/* A place near the middle of argument i where no output is NaN without our doing. */
static size_t middle(size_t nargs, const arg *a, size_t i, void *const *before) {
  size_t at = a[i].n / 2;
  for (; at + 1 < a[i].n; at++) {
    int free_place = !in_gap(&a[i], at);
    for (size_t j = 0; j < nargs; j++) {
      if (writes(&a[j]) && a[j].n == a[i].n) { free_place &= !nan_at(&a[j], before[j], at); }
    }
    if (free_place) { break; }
  }
  return at;
}

/* "1>0p": a NaN in argument 1 makes argument 0 NaN at its place; a: everywhere, s: at some places, and r: what is returned. */
static void probe(check *t, caller f, call *c, size_t nargs, const arg *a, char *effects, size_t size) {
  void *before[MAX_ARGS];
  size_t used = 0, last = 0;
  for (size_t i = 0; i < nargs; i++) { c->p[i] = zeros(&a[i]); }
  fill(c, nargs, a);
  f(t->ref, c);
  for (size_t i = 0; i < nargs; i++) {
    before[i] = c->p[i];
    c->p[i] = zeros(&a[i]);
  }
  for (size_t i = 0; i < nargs; i++) {
    if (!reads(&a[i])) { continue; }
    const size_t at = middle(nargs, a, i, before);
    fill(c, nargs, a);
    ((float *)c->p[i])[at] = NAN;
    c->ret = 0;
    f(t->ref, c);
    used += (size_t)snprintf(effects + used, size - used, "%s%zu>%s", used ? ";" : "", i, c->ret != c->ret ? "r" : "");
    for (size_t j = 0; j < nargs && used + 8 < size; j++) {
      const size_t nans = writes(&a[j]) ? count_nan(&a[j], c->p[j], before[j], &last) : 0;
      if (!nans) { continue; }
      const char how = nans == a[j].n && nans > 1 ? 'a' : nans == 1 && a[j].n == a[i].n && last == at ? 'p' : 's';
      used += (size_t)snprintf(effects + used, size - used, "%zu%c", j, how);
    }
  }
  for (size_t i = 0; i < nargs; i++) {
    free(before[i]);
    free(c->p[i]);
  }
}

/* Of several cases the one that shows most (in others a term may not take part), and of these the largest. */
void describe_case(check *t, caller f, call *c, size_t nargs, const arg *a) {
  description *d = t->description;
  char effects[sizeof d->effects] = "";
  size_t longest = 0;
  int aliased = 0;
  for (size_t i = 0; i < nargs; i++) {
    if (a[i].alias >= 0) {
      const char pair[3] = { (char)('0' + a[i].alias), (char)('0' + i), 0 };
      size_t k = 0;
      while (k < d->pairs && strcmp(d->pair[k], pair)) { k++; }
      if (k == d->pairs && k < PAIRS) { memcpy(d->pair[d->pairs++], pair, sizeof pair); }
      aliased = 1;
    }
    if (reads(&a[i]) && a[i].n > longest) { longest = a[i].n; }
  }
  if (aliased) { return; }
  for (size_t i = 0; i < nargs; i++) { d->roles[i] = a[i].role; }
  if (longest < LEAST || longest > MOST) { return; }
  call copy = *c;
  probe(t, f, &copy, nargs, a, effects, sizeof effects);
  const size_t more = strlen(effects), known = strlen(d->effects);
  if (more < known || (more == known && longest <= d->longest)) { return; }
  memcpy(d->effects, effects, sizeof effects);
  d->longest = longest;
}

static void print_matrix(const char *op) {
  static const size_t orders[] = { 64, 256, 1024 };
#define MATRIX_TEST(name, formula, arrays, scratch) \
  if (!strcmp(op, #name)) { \
    printf("\t" formula "\t" arrays "\t"); \
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) { \
      const size_t n = orders[i]; \
      printf("%s%zu:%zu", i ? "," : "", n, (size_t)(scratch)); \
    } \
  }
  MATRIX_TESTS(MATRIX_TEST)
#undef MATRIX_TEST
}

int describe(const fl_kernels *k) {
  for (size_t i = 0; i < op_count; i++) {
    description d = { 0 };
    check t = { .ref = k, .dut = k, .seed = 1, .quick = 1, .quiet = 1, .description = &d };
    run_op(&t, &op_tests[i]);
    printf("%s\t%s\t", op_tests[i].name, d.roles[0] ? d.roles : "-");
    for (size_t p = 0; p < d.pairs; p++) { printf("%s%s", p ? "," : "", d.pair[p]); }
    printf("%s\t%s", d.pairs ? "" : "-", d.effects[0] ? d.effects : "-");
    print_matrix(op_tests[i].name);
    printf("\n");
  }
  return 0;
}
