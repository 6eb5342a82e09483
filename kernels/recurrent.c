/* recurrent.c - LSTM and GRU over a sequence, built on a table: what multiplies the state is a product a step, whose weights are
 * packed once into panels of 48 columns; what multiplies the input is one product for all steps, or, of enough samples, the first
 * terms of the step's, so that no sum is stored in between; weight gradients are one product over all steps. Rows of a step lie a
 * whole sequence apart, often a multiple of a page: products read copies side by side.
 *
 * Samples do not meet before the weights' gradients: over a team each part takes some of them through all steps. */
#include "kernels/divide_parts.h"
#include <string.h>

enum { PANEL = 48, STEPWISE = 16, NARROW = 16 };  /* from so many samples on; inputs of a row */
static size_t panels(size_t n) { return (n + PANEL - 1) / PANEL; }
static size_t width(size_t n, size_t panel) { return n - panel * PANEL < PANEL ? n - panel * PANEL : PANEL; }

/* Columns of `from` (k x n, or transposed n x k) by panels of `deep` rows, the last as wide as it is, into the rows from
 * `first` on. */
static void pack(const fl_kernels *t, size_t k, size_t n, const float *from, size_t ld, int transposed, float *to, size_t deep,
                 size_t first) {
  for (size_t p = 0; p < panels(n); p++) {
    const size_t wide = width(n, p), at = p * PANEL;
    float *panel = to + at * deep + first * wide;
    if (transposed && k) t->transpose(wide, k, from + at * ld, ld, panel, wide);
    for (size_t i = 0; !transposed && i < k; i++) memcpy(panel + i * wide, from + i * ld + at, wide * sizeof *to);
  }
}

/* k rows from `first` on of panels that are `deep`: n columns. */
typedef struct { const float *panel; size_t n, deep, first, k; } packed;

/* c (m x n) += a b, or c = a b. */
static void product(const fl_kernels *t, size_t m, const float *a, size_t lda, packed b, float *c, size_t ldc, int add) {
  for (size_t p = 0; p < panels(b.n); p++) {
    const size_t wide = width(b.n, p), at = p * PANEL;
    const float *panel = b.panel + at * b.deep + b.first * wide;
    if (add) t->gemm_nn_add(m, wide, b.k, a, lda, panel, wide, c + at, ldc);
    else t->gemm_nn(m, wide, b.k, a, lda, panel, wide, c + at, ldc, b.k);
  }
}

static void copy_rows(size_t rows, size_t n, const float *from, size_t ld, float *to, size_t ldto) {
  for (size_t r = 0; r < rows; r++) memcpy(to + r * ldto, from + r * ld, n * sizeof *to);
}

size_t fl_recurrent_work(const fl_recurrent *s, size_t n) {
  const size_t h = s->hidden;
  return 4 * h * h + 4 * h + n * 6 * h + n * s->length * h + (4 * h + n) * s->in;
}

/* ---- samples: what a part of them reads and writes ------------------------------------------------------------------------- */
typedef struct {
  const fl_recurrent *s;
  size_t all;                                   /* gates of a row */
  size_t in, deep;                              /* terms of a step's products: the input's (0: the gates hold them), all */
  const float *panel, *bias;                    /* for all samples */
  const float *x, *before, *dy;                 /* n * length rows; before: y as the way back reads it */
  float *y, *gates, *kept, *states;             /* kept: cells, or a GRU's products of its state; states: y a step earlier */
  float *rows, *state, *carry, *dense;          /* n rows of scratch; a row of `rows`: input, and state before */
} samples;
typedef void (*steps_of)(const fl_kernels *, const samples *, size_t n);

#define ROWS(field, wide) .field = a->field ? a->field + from * (wide) : NULL
static samples samples_from(const samples *a, size_t from) {
  const size_t h = a->s->hidden, sample = a->s->length * h;
  return (samples){ a->s, a->all, a->in, a->deep, a->panel, a->bias, ROWS(x, a->s->length * a->s->in),
                    ROWS(before, sample), ROWS(dy, sample), ROWS(y, sample), ROWS(gates, a->s->length * a->all),
                    ROWS(kept, sample), ROWS(states, sample), ROWS(rows, a->deep), ROWS(state, h), ROWS(carry, h),
                    ROWS(dense, a->all) };
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

/* What both begin with. The input's terms stand in a step's products where they are one piece; the sums are the same. */
static samples forward_of(const fl_recurrent *s, size_t n, size_t all, float *work) {
  const size_t in = n >= STEPWISE && s->in <= FL_GEMM_PIECE ? s->in : 0, deep = in + s->hidden;
  return (samples){ .s = s, .all = all, .in = in, .deep = deep, .panel = work, .bias = work + all * deep,
                    .rows = work + all * deep + 4 * s->hidden };
}

static samples back_of(const fl_recurrent *s, size_t n, size_t all, float *work) {
  float *state = work + all * s->hidden, *carry = state + n * s->hidden, *dense = carry + n * s->hidden;
  return (samples){ .s = s, .all = all, .panel = work, .states = dense + n * all, .state = state, .carry = carry,
                    .dense = dense };
}

/* Panels of `gates` rows of both weights. */
static void pack_step(const fl_kernels *t, const samples *a, size_t gates, const float *w_ih, const float *w_hh, float *to) {
  const size_t h = a->s->hidden;
  pack(t, a->in, gates, w_ih, a->in, 1, to, a->deep, 0);
  pack(t, h, gates, w_hh, h, 1, to, a->deep, a->in);
}

static void products_of_input(const fl_kernels *t, const samples *a, size_t n, const float *w_ih) {
  const size_t in = a->s->in;
  if (!a->in) t->gemm_nt(n * a->s->length, a->all, in, a->x, in, w_ih, in, a->gates, a->all, FL_GEMM_PIECE);
}

/* What a step adds to its first gates, or with the input gives them. */
static void product_of_step(const fl_kernels *t, const samples *a, size_t n, size_t step, size_t gates) {
  const size_t h = a->s->hidden, length = a->s->length;
  const packed w = { a->panel, gates, a->deep, 0, a->in + (step ? h : 0) };
  if (a->in) copy_rows(n, a->in, a->x + step * a->in, length * a->in, a->rows, a->deep);
  if (step) copy_rows(n, h, a->y + (step - 1) * h, length * h, a->rows + a->in, a->deep);
  if (a->in || step) product(t, n, a->rows, a->deep, w, a->gates + step * a->all, length * a->all, !a->in);
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
    product_of_step(t, a, n, i, all);
    t->lstm_cell(n, h, a->gates + i * all, length * all, a->bias, i ? a->kept + (i - 1) * h : NULL, a->kept + i * h, length * h,
                 a->y + i * h, length * h);
  }
}

void fl_lstm(const fl_kernels *t, const fl_recurrent *s, size_t n, const float *x, const fl_recurrent_weights *w, float *y,
             float *gates, float *cells, float *work) {
  const size_t all = 4 * s->hidden;
  samples a = forward_of(s, n, all, work);
  a.x = x, a.y = y, a.gates = gates, a.kept = cells;
  if (!n || !s->length) return;
  pack_step(t, &a, all, w->w_ih, w->w_hh, work);
  t->add(all, work + all * a.deep, w->b_ih, w->b_hh);
  products_of_input(t, &a, n, w->w_ih);
  run_steps(t, &a, n, lstm_steps);
}

static void lstm_steps_back(const fl_kernels *t, const samples *a, size_t n) {
  const size_t h = a->s->hidden, all = a->all, length = a->s->length;
  memset(a->carry, 0, n * h * sizeof *a->carry);
  for (size_t i = length; i-- > 0;) {
    copy_rows(n, h, a->dy + i * h, length * h, a->state, h);
    if (i + 1 < length) product(t, n, a->dense, all, (packed){ a->panel, h, all, 0, all }, a->state, h, 1);
    t->lstm_cell_back(n, h, a->gates + i * all, length * all, i ? a->kept + (i - 1) * h : NULL, a->kept + i * h, length * h,
                      a->state, a->carry, a->dense);
  }
  states_before(a, n);
}

void fl_lstm_back(const fl_kernels *t, const fl_recurrent *s, size_t n, const float *x, const fl_recurrent_weights *w,
                  const float *y, float *gates, float *cells, const float *dy, float *dx, const fl_recurrent_gradients *g,
                  float *work) {
  const size_t h = s->hidden, all = 4 * h, rows = n * s->length, piece = fl_sample_piece(s->length) * s->length;
  samples a = back_of(s, n, all, work);
  a.before = y, a.dy = dy, a.gates = gates, a.kept = cells;
  pack(t, all, h, w->w_hh, h, 0, work, all, 0);
  run_steps(t, &a, n, lstm_steps_back);
  input_back(t, s, n, all, x, w->w_ih, gates, dx, g->w_ih, g->b_ih, work);
  memcpy(g->b_hh, g->b_ih, all * sizeof *g->b_hh);
  t->gemm_tn(all, h, rows, gates, all, a.states, h, g->w_hh, h, piece);
}

/* ---- GRU ---------------------------------------------------------------------------------------------------------------- */
static void gru_steps(const fl_kernels *t, const samples *a, size_t n) {
  const size_t h = a->s->hidden, all = a->all, length = a->s->length;
  const float *new = a->panel + 2 * h * a->deep;
  for (size_t i = 0; i < length; i++) {
    float *gates = a->gates + i * all, *own = a->kept + i * h;
    product_of_step(t, a, n, i, 2 * h);
    if (a->in) product(t, n, a->rows, a->deep, (packed){ new, h, a->deep, 0, a->in }, gates + 2 * h, length * all, 0);
    if (i) product(t, n, a->rows + a->in, a->deep, (packed){ new, h, a->deep, a->in, h }, own, length * h, 0);
    for (size_t r = 0; !i && r < n; r++) memset(own + r * length * h, 0, h * sizeof *own);      /* of a state of 0 */
    t->gru_cell(n, h, gates, length * all, a->bias, own, length * h, i ? a->y + (i - 1) * h : NULL, a->y + i * h, length * h);
  }
}

void fl_gru(const fl_kernels *t, const fl_recurrent *s, size_t n, const float *x, const fl_recurrent_weights *w, float *y,
            float *gates, float *hidden, float *work) {
  const size_t h = s->hidden, all = 3 * h;
  samples a = forward_of(s, n, all, work);
  float *bias = work + all * a.deep;
  a.x = x, a.y = y, a.gates = gates, a.kept = hidden;
  if (!n || !s->length) return;
  pack_step(t, &a, 2 * h, w->w_ih, w->w_hh, work);
  pack_step(t, &a, h, w->w_ih + 2 * h * s->in, w->w_hh + 2 * h * h, work + 2 * h * a.deep);
  t->add(2 * h, bias, w->b_ih, w->b_hh);
  memcpy(bias + 2 * h, w->b_ih + 2 * h, h * sizeof *bias);
  memcpy(bias + all, w->b_hh + 2 * h, h * sizeof *bias);
  products_of_input(t, &a, n, w->w_ih);
  run_steps(t, &a, n, gru_steps);
}

static void gru_steps_back(const fl_kernels *t, const samples *a, size_t n) {
  const size_t h = a->s->hidden, all = a->all, length = a->s->length;
  for (size_t i = length; i-- > 0;) {
    copy_rows(n, h, a->dy + i * h, length * h, a->state, h);
    if (i + 1 < length) {
      t->add(n * h, a->state, a->state, a->carry);
      product(t, n, a->dense, all, (packed){ a->panel, h, all, 0, all }, a->state, h, 1);
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
  samples a = back_of(s, n, all, work);
  a.before = y, a.dy = dy, a.gates = gates, a.kept = hidden;
  pack(t, all, h, w->w_hh, h, 0, work, all, 0);
  run_steps(t, &a, n, gru_steps_back);
  input_back(t, s, n, all, x, w->w_ih, gates, dx, g->w_ih, g->b_ih, work);
  memcpy(g->b_hh, g->b_ih, 2 * h * sizeof *g->b_hh);
  t->bias_grad(rows, h, hidden, g->b_hh + 2 * h, piece);
  t->gemm_tn(2 * h, h, rows, gates, all, a.states, h, g->w_hh, h, piece);
  t->gemm_tn(h, h, rows, hidden, h, a.states, h, g->w_hh + 2 * h * h, h, piece);
}
