/* recurrent.c - LSTM and GRU over a sequence, built on a table: what multiplies the state is a product a step, whose weights are
 * packed once into panels of 48 columns; what multiplies the input is one product for all steps, or, of enough samples, one a
 * step too, so that the gates are still in the cache; weight gradients are one product over all steps. Rows of a step lie a whole
 * sequence apart, often a multiple of a page: they are copied side by side.
 *
 * Samples do not meet before the weights' gradients: over a team each part takes some of them through all steps. */
#include "kernels/divide_parts.h"
#include <string.h>

enum { PANEL = 48, STEPWISE = 16, NARROW = 16 };  /* from so many samples on; inputs of a row */
static size_t panels(size_t n) { return (n + PANEL - 1) / PANEL; }
static size_t width(size_t n, size_t panel) { return n - panel * PANEL < PANEL ? n - panel * PANEL : PANEL; }

/* Columns of `from` (k x n, or transposed n x k) by panels, the last as wide as it is. */
static void pack(const fl_kernels *t, size_t k, size_t n, const float *from, size_t ld, int transposed, float *to) {
  for (size_t p = 0; p < panels(n); p++) {
    const size_t wide = width(n, p), at = p * PANEL;
    float *panel = to + at * k;
    if (transposed) t->transpose(wide, k, from + at * ld, ld, panel, wide);
    for (size_t i = 0; !transposed && i < k; i++) memcpy(panel + i * wide, from + i * ld + at, wide * sizeof *to);
  }
}

/* c (m x n) += a b, b in panels; or c = a b. */
static void product(const fl_kernels *t, size_t m, size_t n, size_t k, const float *a, const float *b, float *c, size_t ldc,
                    int add) {
  for (size_t p = 0; p < panels(n); p++) {
    const size_t wide = width(n, p), at = p * PANEL;
    if (add) t->gemm_nn_add(m, wide, k, a, k, b + at * k, wide, c + at, ldc);
    else t->gemm_nn(m, wide, k, a, k, b + at * k, wide, c + at, ldc, k ? k : 1);
  }
}

static void gather(size_t rows, size_t n, const float *from, size_t ld, float *to) {
  for (size_t r = 0; r < rows; r++) memcpy(to + r * n, from + r * ld, n * sizeof *to);
}

size_t fl_recurrent_work(const fl_recurrent *s, size_t n) {
  const size_t h = s->hidden;
  return 4 * h * h + 4 * h + n * 6 * h + n * s->length * h + (4 * h + n) * s->in;
}

static float *input_part(const fl_recurrent *s, size_t n, float *work) {
  return work + fl_recurrent_work(s, n) - (4 * s->hidden + n) * s->in;
}

/* Whether the input's products, of k terms, are a step's; the sums are the same. */
static int stepwise(size_t n, size_t k) { return n >= STEPWISE && k <= FL_GEMM_PIECE; }

/* ---- samples: what a part of them reads and writes ------------------------------------------------------------------------- */
typedef struct {
  const fl_recurrent *s;
  size_t all;                                   /* gates of a row */
  const float *packed, *bias, *of_input;        /* for all samples; of_input NULL: the input's products are there already */
  const float *x, *before, *dy;                 /* n * length rows; before: y as the way back reads it */
  float *y, *gates, *kept, *states;             /* kept: cells, or a GRU's products of its state; states: y a step earlier */
  float *state, *carry, *dense, *rows;          /* n rows of scratch, `rows` as wide as the input */
} samples;
typedef void (*steps_of)(const fl_kernels *, const samples *, size_t n);

#define ROWS(field, wide) .field = a->field ? a->field + from * (wide) : NULL
static samples samples_from(const samples *a, size_t from) {
  const size_t h = a->s->hidden, sample = a->s->length * h;
  return (samples){ a->s, a->all, a->packed, a->bias, a->of_input, ROWS(x, a->s->length * a->s->in), ROWS(before, sample),
                    ROWS(dy, sample), ROWS(y, sample), ROWS(gates, a->s->length * a->all), ROWS(kept, sample),
                    ROWS(states, sample), ROWS(state, h), ROWS(carry, h), ROWS(dense, a->all), ROWS(rows, a->s->in) };
}

typedef struct { const fl_kernels *t; const samples *a; size_t n, parts; steps_of steps; } divided;

/* The leader's calls stay those of the caller's table, which may keep accounts; over nothing, since its team is at work. */
static void part_of(void *arg, size_t i) {
  const divided *d = arg;
  const fl_division *here = fl_divided_here();
  const size_t from = fl_divided_cut(d->n, d->parts, i), n = fl_divided_cut(d->n, d->parts, i + 1) - from;
  const samples part = samples_from(d->a, from);
  if (!here || here->team.workers == 1) {
    d->steps(fl_divided_kernels(), &part, n);
    return;
  }
  fl_division alone = *here;
  alone.team = (fl_team){ NULL, 1, NULL };
  fl_divide_over(&alone);
  d->steps(d->t, &part, n);
  fl_divide_over(here);
}

static void run_steps(const fl_kernels *t, const samples *a, size_t n, steps_of steps) {
  const int divides = t != fl_divided_kernels();        /* a plain table is the caller's alone */
  divided d = { t, a, n, divides ? fl_divided_count(n, n * a->s->length * a->all * (1 + a->s->hidden / 8)) : 1, steps };
  if (d.parts > 1) fl_divided_run(d.parts, part_of, &d);
  else steps(t, a, n);
}

/* The input's products of all steps into gates; where they are a step's, only what product_of_step needs, into work. */
static void products_of_input(const fl_kernels *t, samples *a, size_t n, const float *w_ih, float *work) {
  const size_t in = a->s->in;
  if (stepwise(n, in)) {
    pack(t, in, a->all, w_ih, in, 1, work);
    a->of_input = work;
    a->rows = work + a->all * in;
  } else t->gemm_nt(n * a->s->length, a->all, in, a->x, in, w_ih, in, a->gates, a->all, FL_GEMM_PIECE);
}
static void product_of_step(const fl_kernels *t, const samples *a, size_t n, size_t step) {
  const size_t in = a->s->in;
  if (!a->of_input) return;
  gather(n, in, a->x + step * in, a->s->length * in, a->rows);
  product(t, n, a->all, in, a->rows, a->of_input, a->gates + step * a->all, a->s->length * a->all, 0);
}

/* y a step earlier, +0 at first */
static void states_before(const samples *a, size_t n) {
  const size_t h = a->s->hidden, sample = a->s->length * h;
  for (size_t b = 0; b < n; b++) {
    memset(a->states + b * sample, 0, h * sizeof *a->states);
    memcpy(a->states + b * sample + h, a->before + b * sample, (sample - h) * sizeof *a->states);
  }
}

/* Weights' gradients from those of the gates (n*length rows of `gates` columns) and of what multiplied the state. A matrix of few
 * columns is made as its transpose, in work. */
static void input_back(const fl_kernels *t, const fl_recurrent *s, size_t n, size_t gates, const float *x, const float *w_ih,
                       const float *dgates, float *dx, float *dw, float *db, float *work) {
  const size_t rows = n * s->length, piece = fl_sample_piece(s->length) * s->length;
  if (dx) t->gemm_nn(rows, s->in, gates, dgates, gates, w_ih, s->in, dx, s->in, FL_GEMM_PIECE);
  if (s->in <= NARROW && s->in <= s->hidden) {
    t->gemm_tn(s->in, gates, rows, x, s->in, dgates, gates, work, gates, piece);
    t->transpose(s->in, gates, work, gates, dw, s->in);
  } else t->gemm_tn(gates, s->in, rows, dgates, gates, x, s->in, dw, s->in, piece);
  t->bias_grad(rows, gates, dgates, db, piece);
}

/* ---- LSTM --------------------------------------------------------------------------------------------------------------- */
static void lstm_steps(const fl_kernels *t, const samples *a, size_t n) {
  const size_t h = a->s->hidden, all = a->all, length = a->s->length;
  for (size_t i = 0; i < length; i++) {
    product_of_step(t, a, n, i);
    if (i) {
      gather(n, h, a->y + (i - 1) * h, length * h, a->state);
      product(t, n, all, h, a->state, a->packed, a->gates + i * all, length * all, 1);
    }
    t->lstm_cell(n, h, a->gates + i * all, length * all, a->bias, i ? a->kept + (i - 1) * h : NULL, a->kept + i * h, length * h,
                 a->y + i * h, length * h);
  }
}

void fl_lstm(const fl_kernels *t, const fl_recurrent *s, size_t n, const float *x, const fl_recurrent_weights *w, float *y,
             float *gates, float *cells, float *work) {
  const size_t h = s->hidden, all = 4 * h;
  float *packed = work, *bias = packed + all * h, *state = bias + all;
  samples a = { .s = s, .all = all, .packed = packed, .bias = bias, .x = x, .y = y, .gates = gates, .kept = cells,
                .state = state };
  if (!n || !s->length) return;
  pack(t, h, all, w->w_hh, h, 1, packed);
  t->add(all, bias, w->b_ih, w->b_hh);
  products_of_input(t, &a, n, w->w_ih, input_part(s, n, work));
  run_steps(t, &a, n, lstm_steps);
}

static void lstm_steps_back(const fl_kernels *t, const samples *a, size_t n) {
  const size_t h = a->s->hidden, all = a->all, length = a->s->length;
  memset(a->carry, 0, n * h * sizeof *a->carry);
  for (size_t i = length; i-- > 0;) {
    gather(n, h, a->dy + i * h, length * h, a->state);
    if (i + 1 < length) product(t, n, h, all, a->dense, a->packed, a->state, h, 1);
    t->lstm_cell_back(n, h, a->gates + i * all, length * all, i ? a->kept + (i - 1) * h : NULL, a->kept + i * h, length * h,
                      a->state, a->carry, a->dense);
  }
  states_before(a, n);
}

void fl_lstm_back(const fl_kernels *t, const fl_recurrent *s, size_t n, const float *x, const fl_recurrent_weights *w,
                  const float *y, float *gates, float *cells, const float *dy, float *dx, const fl_recurrent_gradients *g,
                  float *work) {
  const size_t h = s->hidden, all = 4 * h, rows = n * s->length, piece = fl_sample_piece(s->length) * s->length;
  float *packed = work, *dh = packed + all * h, *dc = dh + n * h, *dense = dc + n * h, *before = dense + n * all;
  const samples a = { .s = s, .all = all, .packed = packed, .before = y, .dy = dy, .gates = gates, .kept = cells,
                      .states = before, .state = dh, .carry = dc, .dense = dense };
  pack(t, all, h, w->w_hh, h, 0, packed);
  run_steps(t, &a, n, lstm_steps_back);
  input_back(t, s, n, all, x, w->w_ih, gates, dx, g->w_ih, g->b_ih, packed);
  memcpy(g->b_hh, g->b_ih, all * sizeof *g->b_hh);
  t->gemm_tn(all, h, rows, gates, all, before, h, g->w_hh, h, piece);
}

/* ---- GRU ---------------------------------------------------------------------------------------------------------------- */
static void gru_steps(const fl_kernels *t, const samples *a, size_t n) {
  const size_t h = a->s->hidden, all = a->all, length = a->s->length;
  for (size_t i = 0; i < length; i++) {
    product_of_step(t, a, n, i);
    if (i) {
      gather(n, h, a->y + (i - 1) * h, length * h, a->state);
      product(t, n, 2 * h, h, a->state, a->packed, a->gates + i * all, length * all, 1);
      product(t, n, h, h, a->state, a->packed + 2 * h * h, a->kept + i * h, length * h, 0);
    } else {
      for (size_t b = 0; b < n; b++) memset(a->kept + b * length * h, 0, h * sizeof *a->kept);
    }
    t->gru_cell(n, h, a->gates + i * all, length * all, a->bias, a->kept + i * h, length * h, i ? a->y + (i - 1) * h : NULL,
                a->y + i * h, length * h);
  }
}

void fl_gru(const fl_kernels *t, const fl_recurrent *s, size_t n, const float *x, const fl_recurrent_weights *w, float *y,
            float *gates, float *hidden, float *work) {
  const size_t h = s->hidden, all = 3 * h;
  float *packed = work, *bias = packed + all * h, *state = bias + 4 * h;
  samples a = { .s = s, .all = all, .packed = packed, .bias = bias, .x = x, .y = y, .gates = gates, .kept = hidden,
                .state = state };
  if (!n || !s->length) return;
  pack(t, h, 2 * h, w->w_hh, h, 1, packed);
  pack(t, h, h, w->w_hh + 2 * h * h, h, 1, packed + 2 * h * h);
  t->add(2 * h, bias, w->b_ih, w->b_hh);
  memcpy(bias + 2 * h, w->b_ih + 2 * h, h * sizeof *bias);
  memcpy(bias + all, w->b_hh + 2 * h, h * sizeof *bias);
  products_of_input(t, &a, n, w->w_ih, input_part(s, n, work));
  run_steps(t, &a, n, gru_steps);
}

static void gru_steps_back(const fl_kernels *t, const samples *a, size_t n) {
  const size_t h = a->s->hidden, all = a->all, length = a->s->length;
  for (size_t i = length; i-- > 0;) {
    gather(n, h, a->dy + i * h, length * h, a->state);
    if (i + 1 < length) {
      t->add(n * h, a->state, a->state, a->carry);
      product(t, n, h, all, a->dense, a->packed, a->state, h, 1);
    }
    t->gru_cell_back(n, h, a->gates + i * all, length * all, a->kept + i * h, length * h, i ? a->before + (i - 1) * h : NULL,
                     length * h, a->state, a->dense);
    memcpy(a->carry, a->state, n * h * sizeof *a->carry);
  }
  states_before(a, n);
}

void fl_gru_back(const fl_kernels *t, const fl_recurrent *s, size_t n, const float *x, const fl_recurrent_weights *w,
                 const float *y, float *gates, float *hidden, const float *dy, float *dx, const fl_recurrent_gradients *g,
                 float *work) {
  const size_t h = s->hidden, all = 3 * h, rows = n * s->length, piece = fl_sample_piece(s->length) * s->length;
  float *packed = work, *dh = packed + all * h, *carry = dh + n * h, *dense = carry + n * h, *before = dense + n * all;
  const samples a = { .s = s, .all = all, .packed = packed, .before = y, .dy = dy, .gates = gates, .kept = hidden,
                      .states = before, .state = dh, .carry = carry, .dense = dense };
  pack(t, all, h, w->w_hh, h, 0, packed);
  run_steps(t, &a, n, gru_steps_back);
  input_back(t, s, n, all, x, w->w_ih, gates, dx, g->w_ih, g->b_ih, packed);
  memcpy(g->b_hh, g->b_ih, 2 * h * sizeof *g->b_hh);
  t->bias_grad(rows, h, hidden, g->b_hh + 2 * h, piece);
  t->gemm_tn(2 * h, h, rows, gates, all, before, h, g->w_hh, h, piece);
  t->gemm_tn(h, h, rows, hidden, h, before, h, g->w_hh + 2 * h * h, h, piece);
}
