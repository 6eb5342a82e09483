/* layer.c - tests of the layers, forward and backward. */
#include "check.h"
#include <stdlib.h>

#define ALIASES(...) (const char *const[]){ __VA_ARGS__, NULL }
#define OUT(type, n) { 'o', type, (n), NULL, -1, 0, 0 }
#define IN(type, n, init) { 'i', type, (n), (init), -1, 0, 0 }
#define COUNT(x) (sizeof(x) / sizeof *(x))

static const size_t row_counts[] = { 0, 1, 2, 3, 7, 31, 32, 33, 50, 64, 65 };
static const size_t widths[] = { 1, 2, 6, 10, 15, 16, 17, 33, 84, 120, 200 };

static void call_bias_rows(const fl_kernels *k, call *c) { k->bias_rows(c->s[0], c->s[1], c->p[0], c->p[1]); }
static void call_bias_grad(const fl_kernels *k, call *c) { k->bias_grad(c->s[0], c->s[1], c->p[0], c->p[1], c->s[2]); }
static void call_softmax(const fl_kernels *k, call *c) {
  k->softmax_xent(c->s[0], c->s[1], c->p[0], c->p[1], c->f[0], c->p[2], c->p[3]);
}
static void call_argmax(const fl_kernels *k, call *c) { k->argmax_rows(c->s[0], c->s[1], c->p[0], c->p[1]); }

typedef void (*row_case)(check *, const char *, size_t rows, size_t n, int kind);
static void rows_by_widths(check *t, row_case f) {
  char what[64];
  for (size_t i = 0; i < COUNT(row_counts); i++) {
    for (size_t j = 0; j < COUNT(widths); j++) {
      for (int kind = 0; kind < KINDS; kind++) {
        if (t->quick && (i + j + (size_t)kind) % 4) { continue; }
        snprintf(what, sizeof what, "rows=%zu n=%zu kind=%d", row_counts[i], widths[j], kind);
        f(t, what, row_counts[i], widths[j], kind);
      }
    }
  }
}

static void bias_rows_case(check *t, const char *what, size_t rows, size_t n, int kind) {
  const arg a[] = { { 'x', 'f', rows * n, some_floats(t, 0, rows * n, kind), -1, 0, 0 }, IN('f', n, some_floats(t, 1, n, kind)) };
  run_case(t, what, call_bias_rows, &(call){ .s = { rows, n } }, 2, a);
}
void check_bias_rows(check *t) { rows_by_widths(t, bias_rows_case); }

static void bias_grad_case(check *t, const char *what, size_t rows, size_t n, int kind) {
  static const size_t pieces[] = { 1, 7, 32, FL_GEMM_PIECE };
  for (size_t i = 0; i < COUNT(pieces); i++) {
    const arg a[] = { IN('f', rows * n, some_floats(t, 0, rows * n, kind)), OUT('f', n) };
    run_case(t, what, call_bias_grad, &(call){ .s = { rows, n, pieces[i] } }, 2, a);
  }
}
void check_bias_grad(check *t) { rows_by_widths(t, bias_grad_case); }

static void softmax_case(check *t, const char *what, size_t rows, size_t n, int kind) {
  const arg a[] = { IN('f', rows * n, some_floats(t, 0, rows * n, kind)), IN('b', rows, some_bytes(t, 0, rows, (unsigned)n)),
                    OUT('f', rows * n), OUT('f', rows) };
  run_case(t, what, call_softmax, &(call){ .s = { rows, n }, .f = { 0.02f } }, 4, a);
}
void check_softmax_xent(check *t) { rows_by_widths(t, softmax_case); }

static void call_sample(const fl_kernels *k, call *c) { k->softmax_sample(c->s[0], c->s[1], c->p[0], c->p[1], c->p[2], c->p[3]); }
static void sample_case(check *t, const char *what, size_t rows, size_t n, int kind) {
  float *u = malloc((rows + 1) * sizeof *u);
  if (!u) { fprintf(stderr, "fedlane-check: out of memory\n"); exit(1); }
  for (size_t r = 0; r < rows; r++) { u[r] = (float)(rnd(t) >> 8) * 0x1p-24f; }
  const arg a[] = { IN('f', rows * n, some_floats(t, 0, rows * n, kind)), IN('f', rows, u), { 's', 'f', n, NULL, -1, 0, 0 },
                    OUT('b', rows) };
  run_case(t, what, call_sample, &(call){ .s = { rows, n } }, 4, a);
  free(u);
}
void check_softmax_sample(check *t) { rows_by_widths(t, sample_case); }

static void argmax_case(check *t, const char *what, size_t rows, size_t n, int kind) {
  const arg a[] = { IN('f', rows * n, some_floats(t, 0, rows * n, kind)), OUT('l', rows) };
  run_case(t, what, call_argmax, &(call){ .s = { rows, n } }, 2, a);
}
void check_argmax_rows(check *t) { rows_by_widths(t, argmax_case); }

static void call_relu(const fl_kernels *k, call *c) { k->relu(c->s[0], c->p[0], c->p[1]); }
static void call_relu_back(const fl_kernels *k, call *c) { k->relu_back(c->s[0], c->p[0], c->p[1], c->p[2]); }
static void call_normalize(const fl_kernels *k, call *c) { k->normalize(c->s[0], c->p[0], c->p[1], c->f[0], c->f[1]); }
void check_relu(check *t) { elementwise(t, call_relu, &(call){ 0 }, "oi", ALIASES("01")); }
void check_relu_back(check *t) { elementwise(t, call_relu_back, &(call){ 0 }, "oii", ALIASES("01")); }
void check_normalize(check *t) {
  char what[32];
  for (size_t n = 0; n != SIZE_MAX; n = next_length(t, n)) {
    const arg a[] = { OUT('f', n), IN('b', n, some_bytes(t, 0, n, 256)) };
    snprintf(what, sizeof what, "n=%zu", n);
    run_case(t, what, call_normalize, &(call){ .s = { n }, .f = { 0.0111f, -0.81f } }, 2, a);
  }
}

/* ---- pooling ---------------------------------------------------------------------------------------------------------- */
static const size_t planes[][3] = { { 0, 4, 4 }, { 1, 2, 2 }, { 3, 4, 6 }, { 6, 28, 28 }, { 16, 10, 10 }, { 2, 8, 34 },
                                    { 5, 2, 66 }, { 12, 28, 28 } };
/* whose windows of several rows are one vector; in no golden hash */
static const size_t small_planes[][3] = { { 50, 2, 2 }, { 11, 6, 2 }, { 7, 4, 4 }, { 9, 8, 8 }, { 3, 16, 16 }, { 2, 3, 8 } };

static void call_pool(const fl_kernels *k, call *c) { k->maxpool2(c->s[0], c->s[1], c->s[2], c->p[0], c->p[1], c->p[2]); }
static void call_pool_back(const fl_kernels *k, call *c) {
  k->maxpool2_back(c->s[0], c->s[1], c->s[2], c->p[0], c->p[1], c->p[2]);
}

static void pools(check *t, int back) {
  char what[64];
  for (size_t i = 0; i < COUNT(planes) + (t->quick ? 0 : COUNT(small_planes)); i++) {
    for (int kind = 0; kind < KINDS; kind++) {
      const size_t *s = i < COUNT(planes) ? planes[i] : small_planes[i - COUNT(planes)];
      const size_t in = s[0] * s[1] * s[2], out = s[0] * (s[1] / 2) * (s[2] / 2);
      const arg forward[] = { IN('f', in, some_floats(t, 0, in, kind)), OUT('f', out), OUT('b', out) };
      const arg backward[] = { IN('f', out, some_floats(t, 1, out, kind)), IN('b', out, some_bytes(t, 0, out, 4)), OUT('f', in) };
      snprintf(what, sizeof what, "planes=%zu %zux%zu kind=%d", s[0], s[1], s[2], kind);
      run_case(t, what, back ? call_pool_back : call_pool, &(call){ .s = { s[0], s[1], s[2] } }, 3, back ? backward : forward);
    }
  }
}
void check_maxpool2(check *t) { pools(t, 0); }
void check_maxpool2_back(check *t) { pools(t, 1); }

/* ---- convolution ------------------------------------------------------------------------------------------------------ */
static const fl_conv convs[] = { FL_CONV_OF(1, 28, 28, 6, 5, 2), FL_CONV_OF(6, 14, 14, 16, 5, 0),
                                 FL_CONV_OF(1, 5, 5, 1, 5, 0), FL_CONV_OF(2, 7, 9, 3, 3, 1),
                                 FL_CONV_OF(3, 6, 6, 17, 1, 0), FL_CONV_OF(1, 4, 19, 2, 3, 0), FL_CONV_OF(5, 8, 8, 4, 5, 4) };
/* k above 4096 forward, backward; more padding than the kernel has rows; kernels of 1x1; in no golden hash */
static const fl_conv cut[] = { FL_CONV_OF(200, 6, 5, 2, 5, 2), FL_CONV_OF(3, 6, 5, 350, 5, 2), FL_CONV_OF(3, 5, 7, 4, 2, 3),
                               { 20, 32, 32, 33, 1, 0, 0, 0, 2, 1, 0 }, { 48, 9, 17, 36, 1, 0, 0, 0, 3, 2, 0 },
                               FL_CONV_OF(40, 7, 12, 50, 1, 0) };
/* more channels, strides, groups, Winograd: { c, h, w, o, k, p, kw, pw, stride, groups, winograd } */
static const fl_conv wide[] = { { 40, 9, 7, 48, 3, 1, 0, 0, 1, 1, 0 }, { 20, 9, 8, 35, 3, 1, 0, 0, 2, 1, 0 },
                                { 16, 6, 6, 50, 1, 0, 0, 0, 2, 1, 0 },
                                { 12, 9, 8, 24, 3, 1, 0, 0, 2, 4, 0 }, { 9, 6, 7, 9, 3, 1, 0, 0, 1, 9, 0 },
                                { 8, 13, 11, 6, 5, 1, 3, 2, 3, 2, 0 }, { 470, 4, 5, 17, 3, 1, 0, 0, 1, 1, 0 },
                                { 16, 8, 8, 32, 3, 1, 0, 0, 1, 1, 1 } };
static const fl_conv winograds[] = { { 16, 4, 4, 16, 3, 1, 0, 0, 0, 0, 1 }, { 32, 7, 9, 48, 3, 1, 0, 0, 0, 0, 1 },
                                     { 48, 16, 12, 80, 3, 1, 0, 0, 0, 0, 1 }, { 16, 33, 8, 64, 3, 1, 0, 0, 0, 0, 1 } };
static const size_t batches[] = { 1, 2, 7, 33 };
enum { FORWARD, GRAD_WEIGHT, GRAD_INPUT, WINO_FORWARD, WINO_GRAD_WEIGHT, WINO_GRAD_INPUT };

static void call_forward(const fl_kernels *k, call *c) {
  k->conv_forward(c->param, c->s[0], c->p[0], c->p[1], c->p[2], c->p[3], c->p[4]);
}
static void call_grad_weight(const fl_kernels *k, call *c) {
  k->conv_grad_weight(c->param, c->s[0], c->p[0], c->p[1], c->p[2], c->p[3], c->p[4]);
}
static void call_grad_input(const fl_kernels *k, call *c) {
  k->conv_grad_input(c->param, c->s[0], c->p[0], c->p[1], c->p[2], c->p[3]);
}

static void call_wino_forward(const fl_kernels *k, call *c) {
  k->winograd_forward(c->param, c->s[0], c->p[0], c->p[1], c->p[2], c->p[3], c->p[4]);
}
static void call_wino_grad_weight(const fl_kernels *k, call *c) {
  k->winograd_grad_weight(c->param, c->s[0], c->p[0], c->p[1], c->p[2], c->p[3]);
}
static void call_wino_grad_input(const fl_kernels *k, call *c) {
  k->winograd_grad_input(c->param, c->s[0], c->p[0], c->p[1], c->p[2], c->p[3]);
}

static size_t conv_weights(const fl_conv *s) { return s->o * (s->c / fl_conv_groups(s)) * s->k * fl_conv_kw(s); }

static void one_conv(check *t, int which, const fl_conv *s, size_t n, int kind) {
  const size_t in = n * s->c * s->h * s->w, out = n * s->o * fl_conv_oh(s) * fl_conv_ow(s), w = conv_weights(s);
  const arg work = { 's', 'f', fl_conv_work(s, n), NULL, -1, 0, 0 };
  const float *x = some_floats(t, 0, in, kind), *dy = some_floats(t, 1, out, kind);
  const float *weight = some_floats(t, 2, w, kind == KIND_SPECIAL ? KIND_UNIFORM : kind),
      *bias = some_floats(t, 3, s->o, KIND_UNIFORM);
  const arg forward[] = { IN('f', in, x), IN('f', w, weight), IN('f', s->o, bias), OUT('f', out), work };
  const arg to_weight[] = { IN('f', in, x), IN('f', out, dy), OUT('f', w), OUT('f', s->o), work };
  const arg to_input[] = { IN('f', w, weight), IN('f', out, dy), OUT('f', in), work };
  call c = { .s = { n }, .param = s };
  char what[128];
  snprintf(what, sizeof what, "batch=%zu %zux%zux%zu o=%zu k=%zux%zu p=%zu,%zu stride=%zu groups=%zu kind=%d", n, s->c, s->h,
           s->w, s->o, s->k, fl_conv_kw(s), s->p, fl_conv_pw(s), fl_conv_stride(s), fl_conv_groups(s), kind);
  const arg wino_to_weight[] = { to_weight[0], to_weight[1], to_weight[2], work };
  if (which == FORWARD || which == WINO_FORWARD) {
    run_case(t, what, which == FORWARD ? call_forward : call_wino_forward, &c, 5, forward);
  } else if (which == GRAD_WEIGHT) {
    run_case(t, what, call_grad_weight, &c, 5, to_weight);
  } else if (which == WINO_GRAD_WEIGHT) {
    run_case(t, what, call_wino_grad_weight, &c, 4, wino_to_weight);
  } else {
    run_case(t, what, which == GRAD_INPUT ? call_grad_input : call_wino_grad_input, &c, 4, to_input);
  }
}

static void all_winograds(check *t, int which) {
  for (size_t i = 0; i < COUNT(winograds); i++) {
    for (size_t j = 0; j < COUNT(batches) - (t->quick ? 1u : 0u); j++) {
      one_conv(t, which, &winograds[i], batches[j], KIND_UNIFORM);
      if (!t->quick && j < 2) { one_conv(t, which, &winograds[i], batches[j], (int)((2 * i + j) % KINDS)); }
    }
  }
}
void check_winograd_forward(check *t) { all_winograds(t, WINO_FORWARD); }
void check_winograd_grad_weight(check *t) { all_winograds(t, WINO_GRAD_WEIGHT); }
void check_winograd_grad_input(check *t) { all_winograds(t, WINO_GRAD_INPUT); }

static void all_convs(check *t, int which) {
  for (size_t i = 0; i < COUNT(convs); i++) {
    for (size_t j = 0; j < COUNT(batches) - (t->quick ? 1u : 0u); j++) {
      const int kind = (int)((i + j) % KINDS);
      one_conv(t, which, &convs[i], batches[j], KIND_UNIFORM);
      if (kind != KIND_UNIFORM && !t->quick) { one_conv(t, which, &convs[i], batches[j], kind); }
    }
  }
  for (size_t i = 0; !t->quick && i < COUNT(cut); i++) {
    for (int kind = 0; kind < KINDS; kind++) { one_conv(t, which, &cut[i], 2, kind); }
  }
  for (size_t i = 0; i < COUNT(wide); i++) {
    if (!t->quick) { one_conv(t, which, &wide[i], 1, (int)(i % KINDS)); }
    one_conv(t, which, &wide[i], t->quick ? 3 : 5, KIND_UNIFORM);
  }
}

/* A sample's output must not depend on the batch that it is in. */
void check_conv_forward(check *t) {
  enum { BATCH = 64 };
  static const size_t parts[] = { 1, 2, 7 };
  all_convs(t, FORWARD);
  for (size_t l = 0; l < 2; l++) {
    const fl_conv *s = &convs[l];
    const size_t in = s->c * s->h * s->w, out = s->o * fl_conv_oh(s) * fl_conv_ow(s);
    const float *x = some_floats(t, 0, BATCH * in, KIND_UNIFORM), *w = some_floats(t, 1, s->o * s->c * s->k * s->k, KIND_UNIFORM);
    const float *b = some_floats(t, 2, s->o, KIND_UNIFORM);
    float *all = malloc(4 * BATCH * out), *part = malloc(4 * BATCH * out), *work = malloc(4 * fl_conv_work(s, BATCH) + 4);
    if (!all || !part || !work) { fprintf(stderr, "fedlane-check: out of memory\n"); exit(1); }
    t->dut->conv_forward(s, BATCH, x, w, b, all, work);
    for (size_t i = 0; i < COUNT(parts); i++) {
      for (size_t r = 0; r < BATCH; r += parts[i]) {
        t->dut->conv_forward(s, BATCH - r < parts[i] ? BATCH - r : parts[i], x + r * in, w, b, part + r * out, work);
      }
      expect_bits(t, "samples in smaller batches against 64", part, all, BATCH * out);
    }
    free(all);
    free(part);
    free(work);
  }
}
void check_conv_grad_weight(check *t) { all_convs(t, GRAD_WEIGHT); }
void check_conv_grad_input(check *t) { all_convs(t, GRAD_INPUT); }

/* ---- convolution with pooling ----------------------------------------------------------------------------------------- */
static const fl_conv pooled[] = { FL_CONV_OF(1, 28, 28, 6, 5, 2), FL_CONV_OF(6, 14, 14, 16, 5, 0),
                                  FL_CONV_OF(2, 7, 9, 3, 3, 1), FL_CONV_OF(17, 6, 6, 33, 3, 1),
                                  FL_CONV_OF(3, 6, 40, 17, 1, 0), FL_CONV_OF(4, 13, 5, 1, 9, 5), FL_CONV_OF(1, 3, 3, 2, 2, 0) };

static void call_conv_pool(const fl_kernels *k, call *c) {
  k->conv_pool(c->param, c->s[0], c->p[0], c->p[1], c->p[2], c->p[3], c->p[4], c->p[5]);
}
static void call_conv_pool_back(const fl_kernels *k, call *c) {
  k->conv_pool_back(c->param, c->s[0], c->p[0], c->p[1], c->p[2], c->p[3], c->p[4], c->p[5], c->p[6], c->p[7]);
}
static void call_conv_pool_weights(const fl_kernels *k, call *c) {
  k->conv_pool_back(c->param, c->s[0], c->p[0], c->p[1], c->p[2], c->p[3], NULL, c->p[4], c->p[5], c->p[6]);
}

static void one_conv_pool(check *t, int back, const fl_conv *s, size_t n, int kind) {
  const size_t in = n * s->c * s->h * s->w, w = s->o * s->c * s->k * s->k;
  const size_t out = n * s->o * (fl_conv_oh(s) / 2) * (fl_conv_ow(s) / 2);
  const int weights_kind = kind == KIND_SPECIAL ? KIND_UNIFORM : kind;
  const arg work = { 's', 'f', fl_conv_pool_work(s, n), NULL, -1, 0, 0 };
  const float *x = some_floats(t, 0, in, kind), *dy = some_floats(t, 1, out, kind);
  const float *weight = some_floats(t, 2, w, weights_kind), *bias = some_floats(t, 3, s->o, KIND_UNIFORM);
  const uint8_t *at = some_bytes(t, 4, out, kind == KIND_SPECIAL ? 16 : 8);
  const arg forward[] = { IN('f', in, x), IN('f', w, weight), IN('f', s->o, bias), OUT('f', out), OUT('b', out), work };
  const arg all[] = { IN('f', in, x), IN('f', w, weight), IN('f', out, dy), IN('b', out, at), OUT('f', in), OUT('f', w),
                      OUT('f', s->o), work };
  const arg weights[] = { all[0], all[1], all[2], all[3], all[5], all[6], work };
  call c = { .s = { n }, .param = s };
  char what[96];
  snprintf(what, sizeof what, "batch=%zu %zux%zux%zu o=%zu k=%zu p=%zu kind=%d", n, s->c, s->h, s->w, s->o, s->k, s->p, kind);
  if (!back) {
    run_case(t, what, call_conv_pool, &c, 6, forward);
    return;
  }
  run_case(t, what, call_conv_pool_back, &c, 8, all);
  run_case(t, what, call_conv_pool_weights, &c, 7, weights);
}

static void all_conv_pools(check *t, int back) {
  for (size_t i = 0; i < COUNT(pooled); i++) {
    for (size_t j = 0; j < COUNT(batches) - (t->quick ? 1u : 0u); j++) {
      const int kind = (int)((i + j) % KINDS);
      one_conv_pool(t, back, &pooled[i], batches[j], KIND_UNIFORM);
      if (kind != KIND_UNIFORM && !t->quick) { one_conv_pool(t, back, &pooled[i], batches[j], kind); }
    }
  }
}
void check_conv_pool(check *t) { all_conv_pools(t, 0); }
void check_conv_pool_back(check *t) { all_conv_pools(t, 1); }
