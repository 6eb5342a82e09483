/* winograd_weight.c - the weight gradient of a 3x3 convolution by winograd.h.
 *
 * Of each piece of samples (docs/reproducibility.md, 3) the tiles of x and of dy are transformed; 36 products with tiles as k, in
 * order, of some channels at a time; these are transformed to weights, and pieces are added by the fixed tree. */
#include "kernels/layer/winograd.h"

WINO_TILE(wino_input, 6, 6)
WINO_TILE(wino_gradient, 4, 6)
WINO_TILE(wino_weight, 6, 3)

#define STORE_36(place, step, to) \
  TILE_UNROLL \
  for (size_t i_ = 0; i_ < 36; i_++) v_store((place) + i_ * (step), to[i_ / 6][i_ % 6])

/* One sample, its tiles from t on. Both stages are zero where no place is. */
static void sample_tiles(const fl_conv *s, const wino_sizes *l, const float *x, const float *dy, float *stage, float *turned,
                         float *v, float *m, size_t t) {
  const size_t plane = s->h * s->w, row = l->wp * s->c, wide = 4 * l->tw * s->o;
  turn_planes(x, s->c, plane, s->h, s->w, stage, 1, 1, l->wp, s->c);
  turn_planes(dy, s->o, plane, s->h, s->w, turned, 0, 0, 4 * l->tw, s->o);
  for (size_t q = 0; q < l->th * l->tw; q++, t++) {
    const size_t y0 = 4 * (q / l->tw), x0 = 4 * (q % l->tw);
    v16 to[6][6];
    for (size_t c = 0; c < s->c; c += 16) {
      wino_input_tile(stage + y0 * row + x0 * s->c + c, row, s->c, to);
      STORE_36(v + t * (s->c + WINO_GAP) + c, l->in_step, to);
    }
    for (size_t o = 0; o < s->o; o += 16) {
      wino_gradient_tile(turned + y0 * wide + x0 * s->o + o, wide, s->o, to);
      STORE_36(m + t * (s->o + WINO_GAP) + o, l->out_step, to);
    }
  }
}

/* Rows o.. and columns c.. of all 36 products over `tiles` tiles. */
static void products(const fl_conv *s, const wino_sizes *l, size_t tiles, const float *v, const float *m, size_t o, size_t rows,
                     size_t c, size_t cols, float *acc) {
  const int nv = tile_vectors(cols);
  tile_args t = { .k = tiles, .ars = 1, .aks = s->o + WINO_GAP, .ldb = s->c + WINO_GAP, .ldc = TILE_N, .cols = cols };
  for (size_t p = 0; p < 36; p++) {
    size_t count;
    t.b = v + p * l->in_step + c;
    for (size_t i = 0; i < rows; i += count) {
      count = tile_even(rows - i, tile_most(nv));
      t.a = m + p * l->out_step + o + i;
      t.c = acc + p * (WINO_ROWS * TILE_N + WINO_GAP) + i * TILE_N;
      tile_run((int)count, nv, &t);
    }
  }
}

/* Those to weights, into the tree; of the last piece to dw. */
static void weights(const fl_conv *s, const sum_tree *tree, const float *acc, size_t o, size_t rows, size_t c0, size_t cols,
                    float *dw) {
  const uint64_t adds = tree_adds(tree);
  const size_t step = WINO_ROWS * TILE_N + WINO_GAP;
  float *level = tree->level + tree_level(tree) * tree->floats;
  for (size_t i = 0; i < rows; i++) {
    for (size_t c = 0; c < cols; c += 16) {
      const size_t at = (o + i) * 9 * s->c + c0 + c;
      float square[16 * 16], turned[16 * 16];
      v16 g[3][3];
      wino_weight_tile(acc + i * TILE_N + c, 6 * step, step, g);
      for (size_t tap = 0; tap < 9; tap++) {
        const v16 sum = tree_sum(tree, adds, at + tap * s->c, g[tap / 3][tap % 3]);
        if (tree->end) v_store(square + 16 * tap, v_add(sum, v_zero()));
        else v_store(level + at + tap * s->c, sum);
      }
      if (!tree->end) continue;
      v_turn(turned, 16, square, 16, 9);
      for (size_t j = 0; j < 16; j++) v_store_n(dw + ((o + i) * s->c + c0 + c + j) * 9, 9, v_load(turned + 16 * j));
    }
  }
}

void FL_FN(winograd_grad_weight)(const fl_conv *s, size_t n, const float *x, const float *dy, float *dw, float *work) {
  const wino_sizes l = wino_weight_sizes_of(s, n);
  const size_t piece = fl_sample_piece(s->h * s->w), plane = s->h * s->w;
  float *stage = work, *turned = stage + l.stage, *v = turned + l.turned, *m = v + l.v, *acc = m + l.m;
  sum_tree tree = { .level = acc + l.acc, .floats = l.level };
  memset(stage, 0, (l.stage + l.turned) * sizeof *stage);
  for (size_t i = 0; i < n; i += piece, tree.have++) {
    const size_t samples = n - i < piece ? n - i : piece, tiles = samples * l.th * l.tw;
    tree.end = i + samples == n;
    for (size_t j = 0; j < samples; j++)
      sample_tiles(s, &l, x + (i + j) * s->c * plane, dy + (i + j) * s->o * plane, stage, turned, v, m, j * l.th * l.tw);
    for (size_t c = 0; c < s->c; c += TILE_N) {
      const size_t cols = s->c - c < TILE_N ? s->c - c : TILE_N;
      for (size_t o = 0; o < s->o; o += WINO_ROWS) {
        const size_t rows = s->o - o < WINO_ROWS ? s->o - o : WINO_ROWS;
        products(s, &l, tiles, v, m, o, rows, c, cols, acc);
        weights(s, &tree, acc, o, rows, c, cols, dw);
      }
    }
  }
  if (n == 0) memset(dw, 0, l.level * sizeof *dw);
}
