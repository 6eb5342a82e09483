/* norm_group.c - group normalisation, forward and backward. A group is contiguous, so its statistics are those of a row. */
#include "kernels/gemm/pieces.h"
#include "kernels/layer/norm_plane.h"

void FL_FN(group_norm)(const fl_group_norm *s, size_t n, const float *x, const float *gamma, const float *beta, float *y,
                       float *stat) {
  const size_t channels = s->c / s->groups, size = channels * s->hw, rows = n * s->groups;
  float *mean = stat, *scale = stat + rows;
  size_t count;
  for (size_t r0 = 0; r0 < rows; r0 += count) {
    count = rows_together(rows - r0, size);
    norm_rows(count, size, x + r0 * size, s->eps, mean + r0, scale + r0);
    for (size_t r = r0; r < r0 + count; r++) {
      for (size_t j = 0; j < channels; j++) {
        const size_t c = r % s->groups * channels + j, at = r * size + j * s->hw;
        const plane p = { v_set(mean[r]), v_mul(v_set(gamma[c]), v_set(scale[r])), v_set(beta[c]), s->relu };
        if (s->relu) plane_forward(1, &p, s->hw, x + at, y + at);
        else plane_forward(0, &p, s->hw, x + at, y + at);
      }
    }
  }
}

typedef struct {
  const fl_group_norm *s;
  const float *x, *gamma, *beta, *dy;           /* x, dy: of the group */
  float mean, scale, *dx, *dgamma, *dbeta;      /* of the group's channels, summed over the samples of a piece */
} group;

static plane plane_of(const group *g, size_t j) {
  return (plane){ v_set(g->mean), v_mul(v_set(g->gamma[j]), v_set(g->scale)), v_set(g->beta[j]), g->s->relu };
}

/* lanes: sixteen channels' sums of dy and of dy*(x - mean)*scale. */
FL_INLINE void channel_sums(const int relu, const group *g, size_t j0, size_t count, float to_dy[16], float to_dot[16]) {
  const size_t hw = g->s->hw, wide = count <= 16 ? count : 16;
  float sdy[256] = { 0 }, sdot[256] = { 0 }, dlevel[PIECES_LEVELS * 16], plevel[PIECES_LEVELS * 16];
  piece_sums ds = { dlevel, 16, 0 }, ps = { plevel, 16, 0 };
  for (size_t at = 0; at < hw; at += FL_CHUNK) {
    for (size_t j = 0; j < wide; j++) {
      const plane p = plane_of(g, j0 + j);
      plane_sums sums = { { v_zero(), v_zero(), v_zero(), v_zero() }, { v_zero(), v_zero(), v_zero(), v_zero() } };
      const size_t from = (j0 + j) * hw + at;
      plane_add(relu, &p, &sums, hw - at < FL_CHUNK ? hw - at : FL_CHUNK, g->x + from, g->dy + from);
      v_store(sdy + 16 * j, row_fold(sums.dy));
      v_store(sdot + 16 * j, row_fold(sums.dot));
    }
    v_store(to_dy, rows_halve(sdy));
    v_store(to_dot, v_mul(rows_halve(sdot), v_set(g->scale)));
    if (hw > FL_CHUNK) {
      pieces_push(&ds, to_dy);
      pieces_push(&ps, to_dot);
    }
  }
  if (hw > FL_CHUNK) {
    v_store(to_dy, v_load(pieces_sum(&ds)));
    v_store(to_dot, v_load(pieces_sum(&ps)));
  }
}

static void group_back(const group *g) {
  const size_t channels = g->s->c / g->s->groups, hw = g->s->hw;
  const float n = (float)(channels * hw);
  float by_beta = 0, by_gamma = 0;
  for (size_t j0 = 0; j0 < channels; j0 += 16) {
    const size_t count = channels - j0 < 16 ? channels - j0 : 16;
    float sdy[16], sdot[16];
    if (g->s->relu) channel_sums(1, g, j0, count, sdy, sdot);
    else channel_sums(0, g, j0, count, sdy, sdot);
    for (size_t j = 0; j < count; j++) {
      by_beta = fmaf(g->gamma[j0 + j], sdy[j], by_beta);
      by_gamma = fmaf(g->gamma[j0 + j], sdot[j], by_gamma);
      g->dbeta[j0 + j] += sdy[j];
      g->dgamma[j0 + j] += sdot[j];
    }
  }
  const v16 shift = v_set(-(g->scale * (by_beta / n))), slope = v_set(-((g->scale * g->scale) * (by_gamma / n)));
  for (size_t j = 0; j < channels; j++) {
    const plane p = plane_of(g, j);
    if (g->s->relu) plane_back(1, &p, slope, shift, hw, g->x + j * hw, g->dy + j * hw, g->dx + j * hw);
    else plane_back(0, &p, slope, shift, hw, g->x + j * hw, g->dy + j * hw, g->dx + j * hw);
  }
}

void FL_FN(group_norm_back)(const fl_group_norm *s, size_t n, const float *x, const float *gamma, const float *beta,
                            const float *stat, const float *dy, float *dx, float *dgamma, float *dbeta, size_t piece,
                            float *work) {
  const size_t wide = (s->c + 15) / 16 * 16, floats = 2 * wide, channels = s->c / s->groups, size = channels * s->hw;
  piece_sums sums = { work + floats, floats, 0 };
  float *part = work;
  memset(part, 0, floats * sizeof *part);
  for (size_t i = 0; i < n; i++) {
    if (i % piece == 0) memset(part, 0, floats * sizeof *part);
    for (size_t k = 0; k < s->groups; k++) {
      const size_t row = i * s->groups + k, at = row * size, c = k * channels;
      const group g = { s, x + at, gamma + c, beta + c, dy + at, stat[row], stat[n * s->groups + row], dx + at, part + c,
                        part + wide + c };
      group_back(&g);
    }
    if (i % piece == piece - 1 || i == n - 1) pieces_push(&sums, part);
  }
  const float *total = n ? pieces_sum(&sums) : part;
  FL_EACH(s->c, {
    v_put(dgamma + i, lanes, v_add(v_load(total + i), v_zero()));
    v_put(dbeta + i, lanes, v_add(v_load(total + wide + i), v_zero()));
  });
}
