/* recurrent.c - LSTM and GRU over a sequence, built on a table: what multiplies the state is a product a step, whose weights are
 * packed once into panels of 48 columns; what multiplies the input is one product for all steps, or, of enough samples, one a
 * step too, so that the gates are still in the cache; weight gradients are one product over all steps. Rows of a step lie a whole
 * sequence apart, often a multiple of a page: they are copied side by side. */
#include <fedlane/kernels.h>
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

/* The input's products of all steps into gates; where they are a step's, only what product_of_step needs, into work. */
static void products_of_input(const fl_kernels *t, const fl_recurrent *s, size_t n, size_t all, const float *x, const float *w_ih,
                              float *gates, float *work) {
  if (stepwise(n, s->in)) pack(t, s->in, all, w_ih, s->in, 1, work);
  else t->gemm_nt(n * s->length, all, s->in, x, s->in, w_ih, s->in, gates, all, FL_GEMM_PIECE);
}
static void product_of_step(const fl_kernels *t, const fl_recurrent *s, size_t n, size_t all, size_t step, const float *x,
                            float *gates, float *work) {
  float *rows = work + all * s->in;
  if (!stepwise(n, s->in)) return;
  gather(n, s->in, x + step * s->in, s->length * s->in, rows);
  product(t, n, all, s->in, rows, work, gates + step * all, s->length * all, 0);
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

/* y a step earlier, +0 at first */
static void states_before(const fl_recurrent *s, size_t n, const float *y, float *to) {
  const size_t h = s->hidden, sample = s->length * h;
  for (size_t b = 0; b < n; b++) {
    memset(to + b * sample, 0, h * sizeof *to);
    memcpy(to + b * sample + h, y + b * sample, (sample - h) * sizeof *to);
  }
}

/* ---- LSTM --------------------------------------------------------------------------------------------------------------- */
void fl_lstm(const fl_kernels *t, const fl_recurrent *s, size_t n, const float *x, const fl_recurrent_weights *w, float *y,
             float *gates, float *cells, float *work) {
  const size_t h = s->hidden, all = 4 * h, length = s->length;
  float *packed = work, *bias = packed + all * h, *state = bias + all, *of_input = input_part(s, n, work);
  if (!n || !length) return;
  pack(t, h, all, w->w_hh, h, 1, packed);
  t->add(all, bias, w->b_ih, w->b_hh);
  products_of_input(t, s, n, all, x, w->w_ih, gates, of_input);
  for (size_t i = 0; i < length; i++) {
    product_of_step(t, s, n, all, i, x, gates, of_input);
    if (i) {
      gather(n, h, y + (i - 1) * h, length * h, state);
      product(t, n, all, h, state, packed, gates + i * all, length * all, 1);
    }
    t->lstm_cell(n, h, gates + i * all, length * all, bias, i ? cells + (i - 1) * h : NULL, cells + i * h, length * h, y + i * h,
                 length * h);
  }
}

void fl_lstm_back(const fl_kernels *t, const fl_recurrent *s, size_t n, const float *x, const fl_recurrent_weights *w,
                  const float *y, float *gates, float *cells, const float *dy, float *dx, const fl_recurrent_gradients *g,
                  float *work) {
  const size_t h = s->hidden, all = 4 * h, length = s->length, rows = n * length, piece = fl_sample_piece(length) * length;
  float *packed = work, *dh = packed + all * h, *dc = dh + n * h, *dense = dc + n * h, *before = dense + n * all;
  pack(t, all, h, w->w_hh, h, 0, packed);
  memset(dc, 0, n * h * sizeof *dc);
  for (size_t i = length; i-- > 0;) {
    gather(n, h, dy + i * h, length * h, dh);
    if (i + 1 < length) product(t, n, h, all, dense, packed, dh, h, 1);
    t->lstm_cell_back(n, h, gates + i * all, length * all, i ? cells + (i - 1) * h : NULL, cells + i * h, length * h, dh, dc,
                      dense);
  }
  input_back(t, s, n, all, x, w->w_ih, gates, dx, g->w_ih, g->b_ih, packed);
  memcpy(g->b_hh, g->b_ih, all * sizeof *g->b_hh);
  states_before(s, n, y, before);
  t->gemm_tn(all, h, rows, gates, all, before, h, g->w_hh, h, piece);
}

/* ---- GRU ---------------------------------------------------------------------------------------------------------------- */
void fl_gru(const fl_kernels *t, const fl_recurrent *s, size_t n, const float *x, const fl_recurrent_weights *w, float *y,
            float *gates, float *hidden, float *work) {
  const size_t h = s->hidden, all = 3 * h, length = s->length;
  float *packed = work, *bias = packed + all * h, *state = bias + 4 * h, *of_input = input_part(s, n, work);
  if (!n || !length) return;
  pack(t, h, 2 * h, w->w_hh, h, 1, packed);
  pack(t, h, h, w->w_hh + 2 * h * h, h, 1, packed + 2 * h * h);
  t->add(2 * h, bias, w->b_ih, w->b_hh);
  memcpy(bias + 2 * h, w->b_ih + 2 * h, h * sizeof *bias);
  memcpy(bias + all, w->b_hh + 2 * h, h * sizeof *bias);
  products_of_input(t, s, n, all, x, w->w_ih, gates, of_input);
  for (size_t i = 0; i < length; i++) {
    product_of_step(t, s, n, all, i, x, gates, of_input);
    if (i) {
      gather(n, h, y + (i - 1) * h, length * h, state);
      product(t, n, 2 * h, h, state, packed, gates + i * all, length * all, 1);
      product(t, n, h, h, state, packed + 2 * h * h, hidden + i * h, length * h, 0);
    } else {
      for (size_t b = 0; b < n; b++) memset(hidden + b * length * h, 0, h * sizeof *hidden);
    }
    t->gru_cell(n, h, gates + i * all, length * all, bias, hidden + i * h, length * h, i ? y + (i - 1) * h : NULL, y + i * h,
                length * h);
  }
}

void fl_gru_back(const fl_kernels *t, const fl_recurrent *s, size_t n, const float *x, const fl_recurrent_weights *w,
                 const float *y, float *gates, float *hidden, const float *dy, float *dx, const fl_recurrent_gradients *g,
                 float *work) {
  const size_t h = s->hidden, all = 3 * h, length = s->length, rows = n * length, piece = fl_sample_piece(length) * length;
  float *packed = work, *dh = packed + all * h, *carry = dh + n * h, *dense = carry + n * h, *before = dense + n * all;
  pack(t, all, h, w->w_hh, h, 0, packed);
  for (size_t i = length; i-- > 0;) {
    gather(n, h, dy + i * h, length * h, dh);
    if (i + 1 < length) {
      t->add(n * h, dh, dh, carry);
      product(t, n, h, all, dense, packed, dh, h, 1);
    }
    t->gru_cell_back(n, h, gates + i * all, length * all, hidden + i * h, length * h, i ? y + (i - 1) * h : NULL, length * h, dh,
                     dense);
    memcpy(carry, dh, n * h * sizeof *dh);
  }
  input_back(t, s, n, all, x, w->w_ih, gates, dx, g->w_ih, g->b_ih, packed);
  memcpy(g->b_hh, g->b_ih, 2 * h * sizeof *g->b_hh);
  t->bias_grad(rows, h, hidden, g->b_hh + 2 * h, piece);
  states_before(s, n, y, before);
  t->gemm_tn(2 * h, h, rows, gates, all, before, h, g->w_hh, h, piece);
  t->gemm_tn(h, h, rows, hidden, h, before, h, g->w_hh + 2 * h * h, h, piece);
}
