/* main.c - fedlane-exhaustive: every float, or every n-th, through the functions of kernels/math; the results against
 * reference.c.
 *
 * The hash of an output is the SHA-256 of one little-endian 64-bit word for each 2^20 results: h = h*K + bits over them in order
 * from 0, K = 0x9e3779b97f4a7c15, NaN as 7fc00000. */
#include "exhaustive.h"
#include "harness/data.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const char *name;
  void (*run)(const fl_kernels *, size_t, float *y, float *other, const float *x);
  void (*want)(size_t, double *, const float *);
  float absolute;
  double ulp, units;
} function;
#define ALL INFINITY
#define NONE (-INFINITY)
#define ONE(name) \
  static void run_##name(const fl_kernels *k, size_t n, float *y, float *other, const float *x) { (void)other; k->name(n, y, x); }
#define SLOPE(name) /* of dy = 1 */ \
  static void run_##name(const fl_kernels *k, size_t n, float *y, float *other, const float *x) { \
    for (size_t i = 0; i < n; i++) { other[i] = 1.0f; } \
    k->name(n, y, other, x); \
  }
ONE(exp) ONE(log) ONE(expm1) ONE(log1p) ONE(tanh) ONE(sigmoid) ONE(erf) ONE(gelu) ONE(gelu_tanh) 

SLOPE(gelu_back) SLOPE(gelu_tanh_back)
static void run_sinpi(const fl_kernels *k, size_t n, float *y, float *other, const float *x) { k->sincospi(n, y, other, x); }
static void run_cospi(const fl_kernels *k, size_t n, float *y, float *other, const float *x) { k->sincospi(n, other, y, x); }
static const function functions[] = {
#define F(name, absolute, ulp, units) { #name, run_##name, reference_##name, absolute, ulp, units },
  EVERY_FUNCTION(F)
#undef F
};
enum { FUNCTIONS = sizeof functions / sizeof *functions, BLOCK = 1 << 13, TASK = 1 << 20 };

typedef struct {
  const fl_kernels *k, *also;
  uint64_t every, count, mpfr;
  int threads, names;
  const char *out, *against, *name[FUNCTIONS];
} job;
typedef struct { score most; float at_ulp, at_units; uint64_t different; char hash[65]; } outcome;
typedef struct { float x[BLOCK], y[BLOCK], other[BLOCK]; double want[BLOCK], ulp[BLOCK], units[BLOCK]; } space;

static float of_bits(uint32_t u) { float x; memcpy(&x, &u, sizeof x); return x; }
static uint32_t bits_of(float x) { uint32_t u; memcpy(&u, &x, sizeof u); return x != x ? 0x7fc00000u : u; }

static float where(const double *error, double most, const float *x) {
  size_t i = 0;
  while (error[i] != most) { i++; }
  return x[i];
}

static void block(const function *f, const job *j, size_t n, space *s, uint64_t *word, outcome *o) {
  f->run(j->k, n, s->y, s->other, s->x);
  for (size_t i = 0; i < n; i++) { *word = *word * 0x9e3779b97f4a7c15u + bits_of(s->y[i]); }
  f->want(n, s->want, s->x);
  const score r = judge(n, s->x, s->y, s->want, f->absolute, s->ulp, s->units);
  if (r.ulp > o->most.ulp) { o->most.ulp = r.ulp, o->at_ulp = where(s->ulp, r.ulp, s->x); }
  if (r.units > o->most.units) { o->most.units = r.units, o->at_units = where(s->units, r.units, s->x); }
  o->most.inexact += r.inexact;
  if (!j->also) { return; }
  float *y = (float *)s->want; /* done with */
  f->run(j->also, n, y, s->other, s->x);
  for (size_t i = 0; i < n; i++) { o->different += bits_of(y[i]) != bits_of(s->y[i]); }
}

static outcome run(const function *f, const job *j) {
  const size_t tasks = (size_t)((j->count + TASK - 1) / TASK);
  uint64_t *word = calloc(tasks, sizeof *word);
  outcome o = { 0 };
  if (!word) { fprintf(stderr, "fedlane-exhaustive: out of memory\n"); exit(1); }
#pragma omp parallel num_threads(j->threads)
  {
    space *s = malloc(sizeof *s);
    outcome mine = { 0 };
#pragma omp for schedule(dynamic)
    for (size_t t = 0; t < tasks; t++) {
      const uint64_t end = (t + 1) * (uint64_t)TASK < j->count ? (t + 1) * (uint64_t)TASK : j->count;
      for (uint64_t at = t * (uint64_t)TASK; s && at < end; at += BLOCK) {
        const size_t n = end - at < BLOCK ? (size_t)(end - at) : BLOCK;
        for (size_t i = 0; i < n; i++) { s->x[i] = of_bits((uint32_t)((at + i) * j->every)); }
        block(f, j, n, s, &word[t], &mine);
      }
    }
#pragma omp critical
    {
      /* Of equal errors the first by bits, whoever found it. */
      if (mine.most.ulp > o.most.ulp || (mine.most.ulp == o.most.ulp && bits_of(mine.at_ulp) < bits_of(o.at_ulp))) {
        o.most.ulp = mine.most.ulp, o.at_ulp = mine.at_ulp;
      }
      if (mine.most.units > o.most.units || (mine.most.units == o.most.units && bits_of(mine.at_units) < bits_of(o.at_units))) {
        o.most.units = mine.most.units, o.at_units = mine.at_units;
      }
      o.most.inexact += s ? mine.most.inexact : j->count;
      o.different += mine.different;
      free(s);
    }
  }
  fl_sha256(word, tasks * sizeof *word, o.hash);
  free(word);
  return o;
}

static const fl_kernels *table_of(const char *name) {
  for (int i = 0; i < FL_ISA_COUNT; i++) {
    if (!strcmp(name, fl_isa_name((fl_isa)i))) { return fl_kernels_of((fl_isa)i); }
  }
  return NULL;
}

static int has(const char *path, const char *hash) {
  char line[1024];
  int found = 0;
  FILE *f = fopen(path, "r");
  while (f && fgets(line, sizeof line, f)) { found |= strstr(line, hash) != NULL; }
  if (f) { fclose(f); }
  return found;
}

/* 1 when an error is above its bound, the other ISA differs, or the hash is not in the file of --against. */
static int report(const function *f, const job *j, FILE *out, const char *separator) {
  const outcome o = run(f, j);
  const double ulp = o.most.ulp, units = o.most.units;
  const int other = j->against && !has(j->against, o.hash), bad = ulp > f->ulp || units > f->units || o.different || other;
  printf("%-14s", f->name);
  if (f->ulp > 0) { printf(" %8.4f ULP at %.9g,", ulp, (double)o.at_ulp); }
  if (f->units > 0) { printf(" %8.4f*2^-24 at %.9g,", units, (double)o.at_units); }
  printf(" %llu not correctly rounded%s%s%s\n", (unsigned long long)o.most.inexact, o.different ? "; the other ISA differs" : "",
         other ? "; not the hash of --against" : "", bad ? "  FAILED" : "");
  fflush(stdout);
  if (!out) { return bad; }
  fprintf(out, "%s    {\"function\": \"%s\", \"inputs\": %llu", separator, f->name, (unsigned long long)j->count);
  if (f->ulp > 0) { fprintf(out, ", \"max_ulp\": %.4f, \"at\": \"%a\"", ulp, (double)o.at_ulp); }
  if (f->units > 0) { fprintf(out, ", \"max_abs_2^-24\": %.4f, \"abs_at\": \"%a\"", units, (double)o.at_units); }
  fprintf(out, ", \"not_correctly_rounded\": %llu, \"hash\": \"%s\"}", (unsigned long long)o.most.inexact, o.hash);
  fflush(out);
  return bad;
}

static const char usage[] =
  "usage: fedlane-exhaustive [--isa ISA] [--also ISA] [--every N] [--threads N] [--out FILE.json] [--against FILE.json]\n"
  "                          [--mpfr N] [FUNCTION ...]\n"
  "  --isa      the kernels to judge: avx512, avx2, scalar+fma, scalar, neon (default: the best here)\n"
  "  --also     another ISA, which must give the same bits\n"
  "  --every    only every N-th float by its bits (odd; default 1: all 2^32)\n"
  "  --against  the hashes must stand in this file, which --out wrote\n"
  "  --mpfr     instead: the reference against MPFR at N floats a function\n"
  "exit: 0 all within their bounds, 1 not, 2 usage, 77 no such ISA here\n";

static int wrong(const char *what, const char *value) {
  fprintf(stderr, "fedlane-exhaustive: %s \"%s\"\n%s", what, value, usage);
  return 2;
}
static uint64_t number(const char *text, uint64_t most) { /* 0 when it is none of 1..most */
  char *end;
  errno = 0;
  const unsigned long long n = strtoull(text, &end, 10);
  return errno || *end || *text == '-' || n > most ? 0 : n;
}

static int parse(job *j, char **argv) {
  for (; *argv; argv++) {
    const char *a = *argv, *v = argv[1];
    if (a[0] != '-') {
      size_t f = 0;
      while (f < FUNCTIONS && strcmp(a, functions[f].name)) { f++; }
      if (f == FUNCTIONS || j->names == FUNCTIONS) { return wrong("unknown function", a); }
      j->name[j->names++] = a;
      continue;
    }
    if (!v) { return wrong("unknown option, or one without its value:", a); }
    argv++;
    if (!strcmp(a, "--isa") || !strcmp(a, "--also")) {
      const fl_kernels *k = table_of(v);
      if (!k) { fprintf(stderr, "fedlane-exhaustive: no kernels here for \"%s\"\n", v); return 77; }
      if (a[2] == 'i') { j->k = k; } else { j->also = k; }
    } else if (!strcmp(a, "--every")) {
      j->every = number(v, UINT32_MAX);
      if (j->every % 2 == 0) { return wrong("--every wants an odd number below 2^32, not", v); }
    } else if (!strcmp(a, "--threads")) {
      j->threads = (int)number(v, 1024);
      if (!j->threads) { return wrong("--threads wants 1 to 1024, not", v); }
    } else if (!strcmp(a, "--mpfr")) {
      j->mpfr = number(v, UINT32_MAX);
      if (!j->mpfr) { return wrong("--mpfr wants 1 to 4294967295, not", v); }
    } else if (!strcmp(a, "--out")) {
      j->out = v;
    } else if (!strcmp(a, "--against")) {
      j->against = v;
    } else {
      return wrong("unknown option", a);
    }
  }
  return 0;
}

static void head(FILE *out, const job *j) {
  fl_isa_info info;
  fl_isa_detect(&info);
  fprintf(out, "{\n  \"cpu\": \"%s\",\n  \"isa\": \"%s\",\n", info.brand, j->k->name);
  if (j->also) { fprintf(out, "  \"same_bits\": \"%s\",\n", j->also->name); }
  fprintf(out, "  \"compiler\": \"%s\",\n  \"functions\": [\n", FL_COMPILER);
}

int main(int argc, char **argv) {
  (void)argc;
  job j = { .k = fl_kernels_select(NULL, NULL), .every = 1, .threads = 1 };
  const int usage_error = parse(&j, argv + 1);
  if (usage_error) { return usage_error; }
  if (!j.k) { fprintf(stderr, "fedlane-exhaustive: no kernels for this machine\n"); return 1; }
  FILE *out = j.out ? fopen(j.out, "w") : NULL;
  if (j.out && !out) { perror(j.out); return 1; }
  if (out) { head(out, &j); }
  j.count = ((1ull << 32) + j.every - 1) / j.every;
  int bad = 0, shown = 0;
  for (size_t f = 0; f < FUNCTIONS; f++) {
    int wanted = !j.names;
    for (int i = 0; i < j.names; i++) { wanted |= !strcmp(j.name[i], functions[f].name); }
    if (!wanted) { continue; }
    bad |= j.mpfr ? check_reference(functions[f].name, functions[f].want, j.mpfr)
        : report(&functions[f], &j, out, shown++ ? ",\n" : "");
  }
  if (out) { fprintf(out, "\n  ]\n}\n"); }
  return bad | (out && fclose(out));
}
