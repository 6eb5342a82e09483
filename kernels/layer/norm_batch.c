/* norm_batch.c - batch normalisation: the moments of a batch (or of a shard of it, to be joined), the map itself, which training
 * and evaluation share, and the way back in two parts, since its sums are over the whole batch. */
#include "kernels/gemm/pieces.h"
#include "kernels/layer/norm_plane.h"

/* Planes of at most 4096 positions: a piece of samples is one leaf; of larger ones a chunk is. */
void FL_FN(batch_moments)(size_t n, size_t c, size_t hw, const float *x, size_t piece, double *out) {
  const size_t together = rows_together(16, hw <= FL_CHUNK ? (n < piece ? n : piece) * hw : FL_CHUNK);
  for (size_t c0 = 0, count; c0 < c; c0 += count) {
    moments_tree tree[16];
    count = c - c0 < together ? c - c0 : together;
    for (size_t j = 0; j < count; j++) tree[j].have = 0;
    for (size_t i = 0; i < n; i += piece) {
      const size_t samples = n - i < piece ? n - i : piece;
      const float *from = x + (i * c + c0) * hw;
      float s[16], q[16];
      if (hw > FL_CHUNK) {
        for (size_t k = 0; k < samples; k++) moments_long(&tree[0], hw, from + k * c * hw);
        continue;
      }
      v16 vs, vq;
      moments_rows(count, (segments){ samples, c * hw, hw }, from, hw, &vs, &vq);
      v_store(s, vs);
      v_store(q, vq);
      for (size_t j = 0; j < count; j++) moments_push(&tree[j], (moments){ (double)(samples * hw), (double)s[j], (double)q[j] });
    }
    for (size_t j = 0; j < count; j++) {
      const moments m = moments_total(&tree[j]);
      out[2 * (c0 + j)] = m.s;
      out[2 * (c0 + j) + 1] = m.q;
    }
  }
}

typedef struct { size_t c, hw; const float *stat, *gamma, *beta; int relu; } batch;

static plane plane_of(const batch *b, size_t j) {
  const v16 beta = b->beta ? v_set(b->beta[j]) : v_zero();
  return (plane){ v_set(b->stat[j]), v_mul(v_set(b->gamma[j]), v_set(b->stat[b->c + j])), beta, b->relu };
}

void FL_FN(batch_norm)(size_t n, size_t c, size_t hw, const float *x, const float *stat, const float *gamma, const float *beta,
                       int relu, float *y) {
  const batch b = { c, hw, stat, gamma, beta, relu };
  for (size_t i = 0; i < n * c; i++) {
    const plane p = plane_of(&b, i % c);
    if (relu) plane_forward(1, &p, hw, x + i * hw, y + i * hw);
    else plane_forward(0, &p, hw, x + i * hw, y + i * hw);
  }
}

/* The sums of one piece of one channel. */
FL_INLINE void piece_of(const int relu, const plane *p, segments s, const float *x, const float *dy, float *to_dy,
                        float *to_dot) {
  const v16 zero = v_zero();
  plane_sums sums = { { zero, zero, zero, zero }, { zero, zero, zero, zero } };
  for (size_t k = 0; k < s.count; k++) plane_add(relu, p, &sums, s.n, x + k * s.step, dy + k * s.step);
  v_store(to_dy, row_fold(sums.dy));
  v_store(to_dot, row_fold(sums.dot));
}

void FL_FN(batch_norm_grad)(size_t n, size_t c, size_t hw, const float *x, const float *stat, const float *gamma,
                            const float *beta, int relu, const float *dy, float *dgamma, float *dbeta, size_t piece) {
  const batch b = { c, hw, stat, gamma, beta, relu };
  const size_t chunk = hw < FL_CHUNK ? hw : FL_CHUNK, whole = hw > FL_CHUNK ? 1 : piece;
  for (size_t c0 = 0; c0 < c; c0 += 16) {
    const size_t count = c - c0 < 16 ? c - c0 : 16;
    float level[PIECES_LEVELS * 32], part[32] = { 0 }, sdy[256] = { 0 }, sdot[256] = { 0 };
    piece_sums sums = { level, 32, 0 };
    for (size_t i = 0; i < n; i += whole) {
      const size_t samples = n - i < whole ? n - i : whole;
      for (size_t at = 0; at < hw; at += chunk) {
        const segments s = { samples, c * hw, hw - at < chunk ? hw - at : chunk };
        for (size_t j = 0; j < count; j++) {
          const plane p = plane_of(&b, c0 + j);
          const size_t from = (i * c + c0 + j) * hw + at;
          if (relu) piece_of(1, &p, s, x + from, dy + from, sdy + 16 * j, sdot + 16 * j);
          else piece_of(0, &p, s, x + from, dy + from, sdy + 16 * j, sdot + 16 * j);
        }
        v_store(part, v_mul(rows_halve(sdot), v_load_n(stat + c + c0, count, 0.0f)));
        v_store(part + 16, rows_halve(sdy));
        pieces_push(&sums, part);
      }
    }
    const float *total = n && hw ? pieces_sum(&sums) : part;
    v_store_n(dgamma + c0, count, v_add(v_load(total), v_zero()));
    v_store_n(dbeta + c0, count, v_add(v_load(total + 16), v_zero()));
  }
}

void FL_FN(batch_norm_back)(size_t n, size_t c, size_t hw, const float *x, const float *stat, const float *gamma,
                            const float *beta, int relu, const float *dy, const float *dgamma, const float *dbeta, size_t count,
                            float *dx) {
  const batch b = { c, hw, stat, gamma, beta, relu };
  const v16 all = v_set((float)count);
  for (size_t i = 0; i < n * c; i++) {
    const size_t j = i % c;
    const plane p = plane_of(&b, j);
    const v16 shift = v_neg(v_mul(p.a, v_div(v_set(dbeta[j]), all)));
    const v16 slope = v_neg(v_mul(v_mul(p.a, v_set(stat[c + j])), v_div(v_set(dgamma[j]), all)));
    if (relu) plane_back(1, &p, slope, shift, hw, x + i * hw, dy + i * hw, dx + i * hw);
    else plane_back(0, &p, slope, shift, hw, x + i * hw, dy + i * hw, dx + i * hw);
  }
}
