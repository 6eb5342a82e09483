/* conv_weight.c - the gradients of a convolution's weights and bias.
 *
 * Few channels: the columns of some output rows are built, all taps of a position side by side, and a one for the bias. Else
 * lanes are taps in the order (ky, kx, c): in an image turned to (y, x, c) the taps of a position's row ky are neighbours, and
 * are packed panel by panel. */
#include "kernels/gemm/pieces.h"
#include "kernels/layer/conv.h"
#include "kernels/layer/hwc.h"
#include "kernels/layer/points.h"

/* The taps of the positions of `rows` output rows from y0, one row of `columns` floats a position, and a one for the bias.
 * Short rows of taps are copied as 8 or 16 floats: what is written too much is overwritten by the next copy. */
static void build_columns(const fl_conv *s, const float *image, size_t y0, size_t rows, float *to) {
  const size_t ow = fl_conv_ow(s), wp = conv_wp(s), plane = conv_plane(s), columns = conv_columns(s), k = s->k;
  for (size_t y = y0; y < y0 + rows; y++) {
    for (size_t x = 0; x < ow; x++, to += columns) {
      float *t = to;
      for (size_t c = 0; c < s->c; c++) {
        const float *from = image + c * plane + y * wp + x;
        if (k <= 8) for (size_t ky = 0; ky < k; ky++, t += k) memcpy(t, from + ky * wp, 8 * sizeof *t);
        else for (size_t ky = 0; ky < k; ky++, t += k) copy_floats(t, from + ky * wp, k);
      }
      *t = 1.0f;
    }
  }
}

/* acc (o x columns) = or += the products of one sample. */
static void sample_gradient(const fl_conv *s, const float *image, const float *dy, float *cols, float *acc, int carry) {
  const size_t oh = fl_conv_oh(s), ow = fl_conv_ow(s), columns = conv_columns(s), chunk = conv_chunk_rows(s);
  for (size_t y = 0; y < oh; y += chunk) {
    const size_t rows = oh - y < chunk ? oh - y : chunk;
    build_columns(s, image, y, rows, cols);
    tile_args t = { .k = rows * ow, .ars = oh * ow, .aks = 1, .ldb = columns, .ldc = columns, .carry = carry || y > 0 };
    for (size_t n0 = 0; n0 < columns; n0 += TILE_N) {
      const int nv = tile_vectors(columns - n0);
      size_t m;
      t.b = cols + n0;
      t.cols = 16 * (size_t)nv;
      for (size_t o = 0; o < s->o; o += m) {
        m = tile_rows(s->o - o);
        t.a = dy + o * oh * ow + y * ow;
        t.c = acc + o * columns + n0;
        tile_run((int)m, nv, &t);
      }
    }
  }
}

static void by_columns(const fl_conv *s, size_t n, const float *x, const float *dy, float *dw, float *db, float *work) {
  const size_t oh = fl_conv_oh(s), ow = fl_conv_ow(s), taps = conv_taps(s), columns = conv_columns(s), size = s->o * columns;
  const size_t piece = fl_sample_piece(oh * ow);
  float *image = work, *cols = image + conv_image(s), *acc = cols + conv_chunk_rows(s) * ow * columns + 32;
  piece_sums sums = { acc + size, size, 0 };
  memset(image, 0, conv_image(s) * sizeof *image);
  memset(acc, 0, size * sizeof *acc);
  for (size_t i0 = 0; i0 < n; i0 += piece) {
    for (size_t i = i0; i < n && i < i0 + piece; i++) {
      pad_planes(image, x + i * s->c * s->h * s->w, s->c, s->h, s->w, s->h + 2 * s->p, conv_wp(s), s->p);
      sample_gradient(s, image, dy + i * s->o * oh * ow, cols, acc, i > i0);
    }
    pieces_push(&sums, acc);
  }
  const float *sum = n ? pieces_sum(&sums) : acc;
  for (size_t o = 0; o < s->o; o++) {
    for (size_t t = 0; t < taps; t++) dw[o * taps + t] = sum[o * columns + t] + 0.0f;
    if (db) db[o] = sum[o * columns + taps] + 0.0f;
  }
}

/* ---- any shape ------------------------------------------------------------------------------------------------------------ */
typedef struct {
  const fl_conv *s;
  weight_sizes l;
  size_t c, o, oh, ow, positions, step; /* channels of a group */
  const float *dy;              /* of the piece's first sample, this group */
  size_t samples;               /* of the piece */
  float *image, *pack, *acc, *dw;
  uint32_t *off;
  sum_tree tree;
} weights;

typedef struct { size_t lane, from; } tap_run;  /* up to sixteen lanes of a panel: where their first is, of a position's taps */

static size_t tap_runs(const weights *d, size_t l0, size_t lanes, tap_run *run) {
  const size_t row = d->l.kw * d->c;
  size_t n = 0;
  for (size_t l = 0; l < lanes; n++) {
    const size_t ky = (l0 + l) / row, at = (l0 + l) % row;
    size_t count = row - at < 16 ? row - at : 16;
    if (count > lanes - l) count = lanes - l;
    run[n] = (tap_run){ l, ky * d->l.wp * d->c + at };
    l += count;
  }
  return n;
}

/* acc (o x TILE_N) = or += the products of output rows y0..y1 of samples i0..i1. */
static void weight_block(const weights *d, const tap_run *run, size_t runs, int nv, size_t i0, size_t i1, size_t y0, size_t y1,
                         int carry) {
  const size_t k = (y1 - y0) * d->ow, c = d->c * d->step;
  float *to = d->pack;
  for (size_t i = i0; i < i1; i++) {
    for (size_t y = y0; y < y1; y++) {
      const float *from = d->image + i * d->l.sample + y * d->step * d->l.wp * d->c;
      for (size_t x = 0; x < d->ow; x++, from += c, to += TILE_N) {
        for (size_t r = 0; r < runs; r++) v_store(to + run[r].lane, v_load(from + run[r].from));
      }
    }
  }
  tile_args t = { .k = k, .ars = d->positions, .aks = 1, .b = d->pack, .ldb = TILE_N, .off = d->off, .groups = i1 - i0,
                  .agroup = d->s->o * d->positions, .bgroup = k * TILE_N, .ldc = TILE_N, .cols = 16 * (size_t)nv,
                  .carry = carry };
  size_t rows;
  for (size_t o = 0; o < d->o; o += rows) {
    rows = i1 - i0 > 1 ? tile_rows(d->o - o) : tile_even(d->o - o, tile_most(nv));
    t.a = d->dy + (i0 * d->s->o + o) * d->positions + y0 * d->ow;
    t.c = d->acc + o * TILE_N;
    if (i1 - i0 > 1) tile_run_shifted((int)rows, nv, &t);
    else tile_run((int)rows, nv, &t);
  }
}

/* The panel's sum of this piece into the tree; of the last piece into dw. `panel`: where the panel is in a level. */
static void weight_store(const weights *d, size_t l0, size_t lanes, size_t panel) {
  const uint64_t adds = tree_adds(&d->tree);
  float *level = d->tree.level + tree_level(&d->tree) * d->tree.floats + panel;
  const size_t kk = d->s->k * d->l.kw;
  for (size_t i = 0; i < d->o * TILE_N; i += 16) {
    const v16 x = tree_sum(&d->tree, adds, panel + i, v_load(d->acc + i));
    if (d->tree.end) v_store(d->acc + i, v_add(x, v_zero()));
    else v_store(level + i, x);
  }
  for (size_t l = 0; d->tree.end && l < lanes; l++) {
    const size_t tap = (l0 + l) / d->c, c = (l0 + l) % d->c;
    for (size_t o = 0; o < d->o; o++) d->dw[(o * d->c + c) * kk + tap] = d->acc[o * TILE_N + l];
  }
}

/* Taps from l0 on in lanes; output rows y0..y1 have products with them. */
static void weight_panel(const weights *d, size_t l0, size_t lanes, size_t y0, size_t y1, size_t panel) {
  tap_run run[TILE_N];
  const size_t runs = tap_runs(d, l0, lanes, run), k = (y1 - y0) * d->ow;
  const int nv = tile_vectors(lanes);
  int carry = 0;
  if (k && k <= WEIGHT_ROWS / 2) {
    const size_t together = WEIGHT_ROWS / k;
    for (size_t i = 0; i < d->samples; i += together, carry = 1) {
      const size_t end = d->samples - i < together ? d->samples : i + together;
      weight_block(d, run, runs, nv, i, end, y0, y1, carry);
    }
  } else if (k) {
    const size_t most = WEIGHT_ROWS / d->ow, rows = most ? most : 1;
    for (size_t i = 0; i < d->samples; i++) {
      for (size_t y = y0; y < y1; y += rows, carry = 1)
        weight_block(d, run, runs, nv, i, i + 1, y, y1 - y < rows ? y1 : y + rows, carry);
    }
  }
  for (size_t i = 0; !carry && i < d->o * TILE_N; i += 16) v_store(d->acc + i, v_zero());
  weight_store(d, l0, lanes, panel);
}

/* One piece: the rows of the kernel apart where they are wide, so that output rows without products are left out. */
static void weight_piece(const weights *d) {
  const size_t row = d->l.kw * d->c, all = d->s->k * row;
  size_t panel = 0;
  if (row < WEIGHT_APART) {
    for (size_t l = 0; l < all; l += TILE_N, panel += d->o * TILE_N)
      weight_panel(d, l, all - l < TILE_N ? all - l : TILE_N, 0, d->oh, panel);
    return;
  }
  for (size_t ky = 0; ky < d->s->k; ky++) {
    size_t y0 = 0, y1 = d->oh;
    while (y0 < y1 && y0 * d->step + ky < d->s->p) y0++;
    while (y1 > y0 && (y1 - 1) * d->step + ky >= d->s->p + d->s->h) y1--;
    for (size_t l = 0; l < row; l += TILE_N, panel += d->o * TILE_N)
      weight_panel(d, ky * row + l, row - l < TILE_N ? row - l : TILE_N, y0, y1, panel);
  }
}

static void by_panels(const fl_conv *s, size_t n, const float *x, const float *dy, float *dw, float *work) {
  weights d = { .s = s, .l = weight_sizes_of(s, n), .oh = fl_conv_oh(s), .ow = fl_conv_ow(s), .step = fl_conv_stride(s) };
  const size_t groups = fl_conv_groups(s), piece = d.l.piece, plane = s->h * s->w;
  d.c = s->c / groups, d.o = s->o / groups;
  d.positions = d.oh * d.ow;
  d.image = work;
  d.pack = d.image + d.l.image;
  d.acc = d.pack + d.l.pack;
  d.off = (uint32_t *)(void *)(d.acc + d.l.acc);
  d.tree.level = d.acc + d.l.acc + d.l.off;
  d.tree.floats = d.l.level;
  for (size_t i = 0; i < d.l.off; i++) d.off[i] = (uint32_t)(i * TILE_N);
  memset(d.image, 0, d.l.image * sizeof *d.image);
  for (size_t g = 0; g < groups; g++) {
    d.tree.have = 0;
    d.dw = dw + g * d.o * d.c * s->k * d.l.kw;
    for (size_t i = 0; i < n; i += piece, d.tree.have++) {
      d.samples = n - i < piece ? n - i : piece;
      d.tree.end = i + d.samples == n;
      d.dy = dy + (i * s->o + g * d.o) * d.positions;
      for (size_t j = 0; j < d.samples; j++)
        turn_planes(x + ((i + j) * s->c + g * d.c) * plane, d.c, plane, s->h, s->w, d.image + j * d.l.sample, s->p,
                    fl_conv_pw(s), d.l.wp, d.c);
      weight_piece(&d);
    }
  }
  if (n == 0) memset(dw, 0, s->o * d.c * s->k * d.l.kw * sizeof *dw);
}

/* ---- points: 1x1 without padding ------------------------------------------------------------------------------------------ */
/* Rows y0.. of one sample's channels c0.. (up to sixteen), turned: position by position, TILE_N floats apart. */
static void turn_points(const weights *d, const points_sizes *l, const float *x, size_t c0, size_t y0, size_t rows, float *to) {
  const fl_conv *s = d->s;
  const size_t wide = d->c - c0 < 16 ? d->c - c0 : 16, k = rows * d->ow, plane = s->h * s->w;
  const float *from = x + c0 * plane + y0 * d->step * s->w;
  float *line = d->image;
  for (size_t c = 0; c < wide && d->step > 1; c++) {
    for (size_t y = 0; y < rows; y++) {
      const float *row = from + c * plane + y * d->step * s->w;
      for (size_t j = 0; j < d->ow; j += 16)
        points_get(line + c * l->line + y * d->ow + j, row + j * d->step, d->ow - j < 16 ? d->ow - j : 16, d->step);
    }
  }
  for (size_t j = 0; j < k; j += 16) {
    const size_t lanes = k - j < 16 ? k - j : 16;
    if (d->step > 1) turn_part(wide, lanes, line + j, l->line, to + j * TILE_N, TILE_N, 16);
    else turn_part(wide, lanes, from + j, plane, to + j * TILE_N, TILE_N, 16);
  }
}

/* Rows from..to of those that the next panel is made of, which lie apart in as many lines that nobody guesses, are fetched.
 * Inlined by force: as a function of its own gcc takes it for one without effect. */
TILE_INLINE void points_ahead(const weights *d, const float *x, size_t rows, size_t from, size_t to) {
  const size_t plane = d->s->h * d->s->w, sample = TILE_N * rows;
  for (size_t r = from; r < to; r++) {
    const float *row = x + (r / sample * d->s->c + TILE_N + r % sample / rows) * plane + r % rows * d->step * d->s->w;
    for (size_t i = 0; i < d->s->w; i += 16) __builtin_prefetch(row + i);
  }
}

/* The products of rows y0.. of some samples (x, dy) with channels c0.. onto the panel's sums. */
static void points_panel(const weights *d, const points_sizes *l, const float *x, const float *dy, size_t samples, size_t c0,
                         size_t y0, size_t rows, int carry) {
  const size_t k = rows * d->ow, wide = d->c - c0 < TILE_N ? d->c - c0 : TILE_N, all = samples * TILE_N * rows;
  const int nv = tile_vectors(wide);
  tile_args t = { .k = k, .ars = d->positions, .aks = 1, .b = d->pack, .ldb = TILE_N, .off = d->off, .groups = samples,
                  .agroup = d->s->o * d->positions, .bgroup = k * TILE_N, .ldc = TILE_N, .cols = 16 * (size_t)nv,
                  .carry = carry };
  for (size_t i = 0; i < samples; i++) {
    for (size_t c = 0; c < wide; c += 16)
      turn_points(d, l, x + i * d->s->c * d->s->h * d->s->w, c0 + c, y0, rows, d->pack + i * k * TILE_N + c);
  }
  size_t m;
  for (size_t o = 0; o < d->o; o += m) {
    m = samples > 1 ? tile_rows(d->o - o) : tile_even(d->o - o, tile_most(nv));
    t.a = dy + o * d->positions + y0 * d->ow;
    t.c = d->acc + (c0 / TILE_N * d->o + o) * TILE_N;
    if (d->step > 1 && d->step * d->s->w > 16)
      points_ahead(d, x + c0 * d->s->h * d->s->w, rows, all * o / d->o, all * (o + m) / d->o);
    if (samples > 1) tile_run_shifted((int)m, nv, &t);
    else tile_run((int)m, nv, &t);
  }
}

/* All channels of some samples onto the piece's sums. */
static void points_block(const weights *d, const points_sizes *l, const float *x, const float *dy, size_t samples, int carry) {
  for (size_t y = 0; y < d->oh; y += l->rows) {
    for (size_t c = 0; c < d->c; c += TILE_N)
      points_panel(d, l, x, dy, samples, c, y, d->oh - y < l->rows ? d->oh - y : l->rows, carry || y);
  }
}

static void by_points(const fl_conv *s, size_t n, const float *x, const float *dy, float *dw, float *work) {
  const points_sizes l = points_sizes_of(s, n);
  const size_t groups = fl_conv_groups(s), in = s->h * s->w;
  weights d = { .s = s, .l = { .kw = 1 }, .c = s->c / groups, .o = s->o / groups, .oh = fl_conv_oh(s), .ow = fl_conv_ow(s),
                .step = fl_conv_stride(s), .image = work, .pack = work + 16 * l.line };
  float *acc = d.pack + l.pack;
  d.positions = d.oh * d.ow;
  d.off = (uint32_t *)(void *)(acc + l.level);
  d.tree.level = acc + l.level + l.off;
  d.tree.floats = l.level;
  for (size_t i = 0; i < l.off; i++) d.off[i] = (uint32_t)(i * TILE_N);
  for (size_t g = 0; g < groups; g++) {
    d.tree.have = 0;
    d.dw = dw + g * d.o * d.c;
    for (size_t i = 0; i < n; i += l.piece, d.tree.have++) {
      d.samples = n - i < l.piece ? n - i : l.piece;
      d.tree.end = i + d.samples == n;
      d.dy = dy + (i * s->o + g * d.o) * d.positions;
      d.acc = acc;
      for (size_t j = 0; j < d.samples; j += l.samples)
        points_block(&d, &l, x + ((i + j) * s->c + g * d.c) * in, d.dy + j * s->o * d.positions,
                     d.samples - j < l.samples ? d.samples - j : l.samples, j > 0);
      for (size_t c = 0; c < d.c; c += TILE_N, d.acc += d.o * TILE_N)
        weight_store(&d, c, d.c - c < TILE_N ? d.c - c : TILE_N, (size_t)(d.acc - acc));
    }
  }
  if (n == 0) memset(dw, 0, s->o * d.c * sizeof *dw);
}

/* db[o] = the sum of dy, sample by sample, in pieces. */
static void bias_gradient(const fl_conv *s, size_t n, const float *dy, float *db) {
  const size_t positions = fl_conv_oh(s) * fl_conv_ow(s), piece = fl_sample_piece(positions);
  float square[16 * 16], level[PIECES_LEVELS * 16], part[16];
  for (size_t o = 0; o < s->o; o += 16) {
    const size_t rows = s->o - o < 16 ? s->o - o : 16;
    piece_sums sums = { level, 16, 0 };
    v16 acc = v_zero();
    for (size_t i = 0; i < n; i++) {
      for (size_t j = 0; j < positions; j += 16) {
        const size_t lanes = positions - j < 16 ? positions - j : 16;
        turn_part(rows, lanes, dy + (i * s->o + o) * positions + j, positions, square, 16, 16);
        for (size_t l = 0; l < lanes; l++) acc = v_add(v_load(square + 16 * l), acc);
      }
      if ((i + 1) % piece && i + 1 < n) continue;
      v_store(part, acc);
      pieces_push(&sums, part);
      acc = v_zero();
    }
    v_store_n(db + o, rows, v_add(n ? v_load(pieces_sum(&sums)) : v_zero(), v_zero()));
  }
}

void FL_FN(conv_grad_weight)(const fl_conv *s, size_t n, const float *x, const float *dy, float *dw, float *db, float *work) {
  const int winograd = fl_conv_winograd(s);
  if (!winograd && conv_few(s)) {
    by_columns(s, n, x, dy, dw, db, work);
    return;
  }
  if (winograd) FL_FN(winograd_grad_weight)(s, n, x, dy, dw, work);
  else if (conv_points(s)) by_points(s, n, x, dy, dw, work);
  else by_panels(s, n, x, dy, dw, work);
  if (db) bias_gradient(s, n, dy, db);
}
