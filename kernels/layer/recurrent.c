/* recurrent.c - the cells of LSTM and GRU for one step, forward and backward: everything between the products, in one pass. */
#include "kernels/math/logistic.h"
#include "kernels/math/tanh.h"

FL_INLINE v16 sigmoid_slope(v16 s) { return v_mul(s, v_sub(v_set(1.0f), s)); }
FL_INLINE v16 tanh_slope(v16 t) { return v_fnma(t, t, v_set(1.0f)); }
FL_INLINE v16 get_or_zero(const float *p, size_t at, size_t lanes) { return p ? v_get(p + at, lanes) : v_zero(); }

/* The four gates of a vector of an LSTM, kept in place of their sums. */
typedef struct { v16 in, forget, cell, out; } gates4;
FL_INLINE v16 sum_of(const float *g, const float *bias, size_t lanes) { return v_add(v_get(g, lanes), v_get(bias, lanes)); }
FL_INLINE gates4 open_gates(size_t lanes, size_t n, float *g, const float *bias) {
  const gates4 o = { v_sigmoid(sum_of(g, bias, lanes)), v_sigmoid(sum_of(g + n, bias + n, lanes)),
                     v_tanh(sum_of(g + 2 * n, bias + 2 * n, lanes)), v_sigmoid(sum_of(g + 3 * n, bias + 3 * n, lanes)) };
  v_put(g, lanes, o.in);
  v_put(g + n, lanes, o.forget);
  v_put(g + 2 * n, lanes, o.cell);
  v_put(g + 3 * n, lanes, o.out);
  return o;
}

/* Where registers are few, they do not hold the constants of both functions: one after the other over the row. */
#define ROW_FIRST (FL_VREGS < 24)
static void open_row(size_t n, float *g, const float *bias) {
  FL_EACH(2 * n, v_put(g + i, lanes, v_sigmoid(sum_of(g + i, bias + i, lanes))));
  g += 2 * n, bias += 2 * n;
  FL_EACH(n, v_put(g + i, lanes, v_tanh(sum_of(g + i, bias + i, lanes))));
  g += n, bias += n;
  FL_EACH(n, v_put(g + i, lanes, v_sigmoid(sum_of(g + i, bias + i, lanes))));
}
FL_INLINE gates4 opened(size_t lanes, size_t n, const float *g) {
  return (gates4){ v_get(g, lanes), v_get(g + n, lanes), v_get(g + 2 * n, lanes), v_get(g + 3 * n, lanes) };
}

void FL_FN(lstm_cell)(size_t rows, size_t n, float *gates, size_t ldg, const float *bias, const float *before, float *c,
                      size_t ldc, float *h, size_t ldh) {
  for (size_t r = 0; r < rows; r++, gates += ldg, c += ldc, h += ldh) {
    if (ROW_FIRST) open_row(n, gates, bias);
    FL_EACH(n, {
      const gates4 g = ROW_FIRST ? opened(lanes, n, gates + i) : open_gates(lanes, n, gates + i, bias + i);
      const v16 next = v_fma(g.forget, get_or_zero(before, r * ldc + i, lanes), v_mul(g.in, g.cell));
      v_put(c + i, lanes, next);
      v_put(h + i, lanes, v_mul(g.out, v_tanh(next)));
    });
  }
}

void FL_FN(lstm_cell_back)(size_t rows, size_t n, float *gates, size_t ldg, const float *before, const float *c, size_t ldc,
                           const float *dh, float *dc, float *dense) {
  for (size_t r = 0; r < rows; r++, gates += ldg, c += ldc, dh += n, dc += n, dense += 4 * n) {
    FL_EACH(n, {
      float *g = gates + i;
      float *to = dense + i;
      const v16 in = v_get(g, lanes);
      const v16 forget = v_get(g + n, lanes);
      const v16 cell = v_get(g + 2 * n, lanes);
      const v16 out = v_get(g + 3 * n, lanes);
      const v16 t = v_tanh(v_get(c + i, lanes));
      const v16 d = v_get(dh + i, lanes);
      const v16 dcell = v_fma(v_mul(d, out), tanh_slope(t), v_get(dc + i, lanes));
      const v16 di = v_mul(v_mul(dcell, cell), sigmoid_slope(in));
      const v16 df = v_mul(v_mul(dcell, get_or_zero(before, r * ldc + i, lanes)), sigmoid_slope(forget));
      const v16 dg = v_mul(v_mul(dcell, in), tanh_slope(cell));
      const v16 dout = v_mul(v_mul(d, t), sigmoid_slope(out));
      v_put(dc + i, lanes, v_mul(dcell, forget));
      v_put(g, lanes, di);
      v_put(g + n, lanes, df);
      v_put(g + 2 * n, lanes, dg);
      v_put(g + 3 * n, lanes, dout);
      v_put(to, lanes, di);
      v_put(to + n, lanes, df);
      v_put(to + 2 * n, lanes, dg);
      v_put(to + 3 * n, lanes, dout);
    });
  }
}

void FL_FN(gru_cell)(size_t rows, size_t n, float *gates, size_t ldg, const float *bias, float *hidden, size_t ldn,
                     const float *before, float *h, size_t ldh) {
  for (size_t r = 0; r < rows; r++, gates += ldg, hidden += ldn, h += ldh) {
    FL_EACH(n, {
      float *g = gates + i;
      const v16 reset = v_sigmoid(v_add(v_get(g, lanes), v_get(bias + i, lanes)));
      const v16 update = v_sigmoid(v_add(v_get(g + n, lanes), v_get(bias + n + i, lanes)));
      const v16 own = v_add(v_get(hidden + i, lanes), v_get(bias + 3 * n + i, lanes));
      const v16 new = v_tanh(v_fma(reset, own, v_add(v_get(g + 2 * n, lanes), v_get(bias + 2 * n + i, lanes))));
      const v16 old = get_or_zero(before, r * ldh + i, lanes);
      v_put(g, lanes, reset);
      v_put(g + n, lanes, update);
      v_put(g + 2 * n, lanes, new);
      v_put(hidden + i, lanes, own);
      v_put(h + i, lanes, v_fma(update, v_sub(old, new), new));
    });
  }
}

void FL_FN(gru_cell_back)(size_t rows, size_t n, float *gates, size_t ldg, float *hidden, size_t ldn, const float *before,
                          size_t ldh, float *dh, float *dense) {
  for (size_t r = 0; r < rows; r++, gates += ldg, hidden += ldn, dh += n, dense += 3 * n) {
    FL_EACH(n, {
      float *g = gates + i;
      float *to = dense + i;
      const v16 reset = v_get(g, lanes);
      const v16 update = v_get(g + n, lanes);
      const v16 new = v_get(g + 2 * n, lanes);
      const v16 d = v_get(dh + i, lanes);
      const v16 old = get_or_zero(before, r * ldh + i, lanes);
      const v16 dn = v_mul(v_mul(d, v_sub(v_set(1.0f), update)), tanh_slope(new));
      const v16 dz = v_mul(v_mul(d, v_sub(old, new)), sigmoid_slope(update));
      const v16 dr = v_mul(v_mul(dn, v_get(hidden + i, lanes)), sigmoid_slope(reset));
      const v16 own = v_mul(dn, reset);
      v_put(g, lanes, dr);
      v_put(g + n, lanes, dz);
      v_put(g + 2 * n, lanes, dn);
      v_put(hidden + i, lanes, own);
      v_put(to, lanes, dr);
      v_put(to + n, lanes, dz);
      v_put(to + 2 * n, lanes, own);
      v_put(dh + i, lanes, v_mul(d, update));
    });
  }
}
