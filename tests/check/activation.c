/* activation.c - tests of activations, losses, dropout and embedding. */
#include "check.h"
#include <stdlib.h>

#define ALIASES(...) (const char *const[]){ __VA_ARGS__, NULL }
#define OUT(type, n) { 'o', type, (n), NULL, -1, 0, 0 }
#define IN(type, n, init) { 'i', type, (n), (init), -1, 0, 0 }
#define BOTH(n, init) { 'x', 'f', (n), (init), -1, 0, 0 }
#define SAME(n, init, as) { 'x', 'f', (n), (init), (as), 0, 0 }
#define COUNT(x) (sizeof(x) / sizeof *(x))

/* ---- activations ------------------------------------------------------------------------------------------------------ */
static void call_silu(const fl_kernels *k, call *c) { k->silu(c->s[0], c->p[0], c->p[1]); }
static void call_silu_back(const fl_kernels *k, call *c) { k->silu_back(c->s[0], c->p[0], c->p[1], c->p[2]); }
static void call_tanh_back(const fl_kernels *k, call *c) { k->tanh_back(c->s[0], c->p[0], c->p[1], c->p[2]); }
static void call_sigmoid_back(const fl_kernels *k, call *c) { k->sigmoid_back(c->s[0], c->p[0], c->p[1], c->p[2]); }
static void call_binary(const fl_kernels *k, call *c) {
  k->binary_entropy(c->s[0], c->p[0], c->p[1], c->p[2], c->p[3], c->f[0]);
}
void check_silu(check *t) { elementwise(t, call_silu, &(call){ 0 }, "oi", ALIASES("01")); }
void check_silu_back(check *t) { elementwise(t, call_silu_back, &(call){ 0 }, "oii", ALIASES("01", "02")); }
void check_tanh_back(check *t) { elementwise(t, call_tanh_back, &(call){ 0 }, "oii", ALIASES("01", "02")); }
void check_sigmoid_back(check *t) { elementwise(t, call_sigmoid_back, &(call){ 0 }, "oii", ALIASES("01", "02")); }
void check_binary_entropy(check *t) {
  elementwise(t, call_binary, &(call){ .f = { 0.02f } }, "ooii", ALIASES("02", "12", "03"));
}

/* ---- losses of rows --------------------------------------------------------------------------------------------------- */
static uint32_t *some_words(check *t, size_t n, uint32_t below) {
  uint32_t *p = malloc((n + 1) * sizeof *p);
  if (!p) { fprintf(stderr, "fedlane-check: out of memory\n"); exit(1); }
  for (size_t i = 0; i < n; i++) { p[i] = (uint32_t)rnd_below(t, below); }
  return p;
}

static const size_t row_counts[] = { 0, 1, 2, 15, 16, 17, 33 }, widths[] = { 1, 2, 10, 16, 17, 65, 130, 300 };
typedef void (*row_case)(check *, const char *, size_t rows, size_t n, int kind, const uint32_t *label);
static void rows_by_widths(check *t, row_case f) {
  char what[64];
  for (size_t i = 0; i < COUNT(row_counts); i++) {
    for (size_t j = 0; j < COUNT(widths); j++) {
      for (int kind = 0; kind < KINDS; kind++) {
        if (t->quick && (i + j + (size_t)kind) % 4) { continue; }
        uint32_t *label = some_words(t, row_counts[i], (uint32_t)widths[j]);
        snprintf(what, sizeof what, "rows=%zu n=%zu kind=%d", row_counts[i], widths[j], kind);
        f(t, what, row_counts[i], widths[j], kind, label);
        free(label);
      }
    }
  }
}

static void call_entropy(const fl_kernels *k, call *c) {
  k->cross_entropy(c->s[0], c->s[1], c->p[0], c->p[1], c->s[2] ? c->p[2] : NULL, c->param, c->p[3], c->p[4]);
}
static void entropy_case(check *t, const char *what, size_t rows, size_t n, int kind, const uint32_t *label) {
  const float *x = some_floats(t, 0, rows * n, kind), *w = some_floats(t, 1, n, KIND_TIMED);
  for (size_t form = 0; form < 4; form++) {
    const fl_cross_entropy a = { 0.02f, form & 2 ? 0.1f : 0.0f, rows ? label[rows / 2] : FL_IGNORE_NONE };
    const fl_cross_entropy plain = { 0.02f, a.smoothing, FL_IGNORE_NONE };
    call c = { .s = { rows, n, form & 1 }, .param = form == 3 ? &a : &plain };
    const arg list[] = { IN('f', rows * n, x), IN('u', rows, label), IN('f', n, w), OUT('f', rows * n), OUT('f', rows) };
    const arg onto[] = { BOTH(rows * n, x), IN('u', rows, label), IN('f', n, w), SAME(rows * n, x, 0), OUT('f', rows) };
    run_case(t, what, call_entropy, &c, 5, list);
    run_case(t, what, call_entropy, &c, 5, onto);
  }
}
void check_cross_entropy(check *t) { rows_by_widths(t, entropy_case); }

static void call_margin(const fl_kernels *k, call *c) {
  k->multi_margin(c->s[0], c->s[1], c->p[0], c->p[1], c->f[0], c->p[2], c->p[3]);
}
static void margin_case(check *t, const char *what, size_t rows, size_t n, int kind, const uint32_t *label) {
  const float *x = some_floats(t, 0, rows * n, kind);
  const arg a[] = { IN('f', rows * n, x), IN('u', rows, label), OUT('f', rows * n), OUT('f', rows) };
  run_case(t, what, call_margin, &(call){ .s = { rows, n }, .f = { 0.02f } }, 4, a);
}
void check_multi_margin(check *t) { rows_by_widths(t, margin_case); }

/* ---- dropout ---------------------------------------------------------------------------------------------------------- */
static const double drops[] = { 0.0, 0.1, 0.5, 1.0 };
static const fl_key drop_key = { 77, FL_PURPOSE_TEST, 3, 4, 5 };
static void call_dropout(const fl_kernels *k, call *c) {
  k->dropout(c->s[0], c->p[0], c->p[1], c->s[1], &drop_key, drops[c->s[2]], c->p[2]);
}
static void call_dropout_back(const fl_kernels *k, call *c) {
  k->dropout_back(c->s[0], c->p[0], c->p[1], drops[c->s[2]], c->p[2]);
}
static void dropouts(check *t, int back) {
  char what[64];
  for (size_t n = 0; n != SIZE_MAX; n = next_length(t, n)) {
    for (size_t i = 0; i < COUNT(drops); i++) {
      const size_t words = fl_dropout_words(n), first = n % 3 * 37;
      const float *x = some_floats(t, 0, n, (int)(n % KINDS));
      uint32_t *mask = some_words(t, words, UINT32_MAX);
      call c = { .s = { n, first, i } };
      const arg forward[] = { OUT('f', n), IN('f', n, x), OUT('u', words) };
      const arg onto[] = { BOTH(n, x), SAME(n, x, 0), OUT('u', words) };
      const arg backward[] = { OUT('f', n), IN('f', n, x), IN('u', words, mask) };
      const arg back_onto[] = { BOTH(n, x), SAME(n, x, 0), IN('u', words, mask) };
      snprintf(what, sizeof what, "n=%zu first=%zu drop=%g", n, first, drops[i]);
      run_case(t, what, back ? call_dropout_back : call_dropout, &c, 3, back ? backward : forward);
      run_case(t, what, back ? call_dropout_back : call_dropout, &c, 3, back ? back_onto : onto);
      free(mask);
    }
  }
}
void check_dropout(check *t) { dropouts(t, 0); }
void check_dropout_back(check *t) { dropouts(t, 1); }

/* ---- embedding -------------------------------------------------------------------------------------------------------- */
static const size_t tables[][4] = { { 0, 4, 3, 1 }, { 1, 1, 1, 1 }, { 40, 24, 7, 8 }, { 33, 16, 65, 4 }, { 200, 17, 3, 32 },
                                    { 70, 130, 100, 2 } }; /* rows, n, vocabulary, piece */
static void call_embed(const fl_kernels *k, call *c) { k->embed(c->s[0], c->s[1], c->p[0], c->p[1], c->p[2]); }
static void call_embed_grad(const fl_kernels *k, call *c) {
  k->embed_grad(c->s[0], c->s[1], c->p[0], c->p[1], c->s[2], c->p[2], c->s[3], c->p[3]);
}
static void embeds(check *t, int back) {
  char what[64];
  for (size_t i = 0; i < COUNT(tables); i++) {
    for (int kind = 0; kind < KINDS; kind++) {
      const size_t *s = tables[i], all = s[0] * s[1], table = s[2] * s[1];
      uint32_t *token = some_words(t, s[0], (uint32_t)s[2]);
      const arg forward[] = { OUT('f', all), IN('u', s[0], token), IN('f', table, some_floats(t, 0, table, kind)) };
      const arg backward[] = { IN('f', all, some_floats(t, 1, all, kind)), IN('u', s[0], token), OUT('f', table),
                               { 's', 'u', fl_embed_work(s[0], s[2]), NULL, -1, 0, 0 } };
      snprintf(what, sizeof what, "rows=%zu n=%zu vocabulary=%zu piece=%zu kind=%d", s[0], s[1], s[2], s[3], kind);
      run_case(t, what, back ? call_embed_grad : call_embed, &(call){ .s = { s[0], s[1], s[2], s[3] } }, back ? 4 : 3,
               back ? backward : forward);
      free(token);
    }
  }
}
void check_embed(check *t) { embeds(t, 0); }
void check_embed_grad(check *t) { embeds(t, 1); }
