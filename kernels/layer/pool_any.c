/* pool_any.c - pooling over square windows with any stride and padding; orders in kernels.h. Small planes go sixteen side by side
 * (pool_lanes.h). Else lanes are windows of a row: both ways copy rows into a block on the stack, with what counts for nothing
 * around them, so that no loop over windows has a border. Forward a row is dealt out by phases: with P = min(stride, k), places
 * i*stride + p of the padded row lie at i of phase p, for p < P. One place of all windows of a row is then contiguous, whatever
 * the stride. */
#include "kernels/layer/pool_lanes.h"

enum { ROOM = 8192, SLACK = 32 };       /* floats of a block; vectors may reach so far behind it */

/* Blocks: so many rows and columns at once. need(rows, cols) = (up*rows + more)*deep*(cols + reach) floats fit into `room`. */
typedef struct { size_t rows, cols, width; } block;
static inline block block_of(size_t rows, size_t cols, size_t up, size_t more, size_t deep, size_t reach, size_t room) {
  block b = { rows, cols, 0 };
  if ((up + more) * deep * (cols + reach) > room) {
    b.cols = room / ((up + more) * deep) - reach;
    if (b.cols > 16) b.cols -= b.cols % 16;
  }
  b.width = b.cols + reach;
  b.rows = least(rows, (room / (deep * b.width) - more) / up);
  return b;
}

/* n places of rows of w floats, `stride` apart, the first at column `from`: those that a row has are begin..end-1. */
typedef struct { size_t n, begin, end, stride; ptrdiff_t from; } places_of;
static inline places_of places_in(size_t n, ptrdiff_t from, size_t w, size_t stride) {
  const size_t behind = from < (ptrdiff_t)w ? (size_t)((ptrdiff_t)w - 1 - from) / stride + 1 : 0, end = least(behind, n);
  return (places_of){ n, least(from < 0 ? ((size_t)-from + stride - 1) / stride : 0, end), end, stride, from };
}

/* These of one row; `fill` where it has none. Up to SLACK floats behind them are overwritten. */
FL_INLINE void deal(float *to, const places_of *o, const float *row, float fill) {
  const size_t begin = o->begin, end = o->end, n = o->n, stride = o->stride, m = end - begin;
  for (size_t i = 0; i < begin; i++) to[i] = fill;
  const float *x = row + (o->from + (ptrdiff_t)(begin * stride));
  float *y = to + begin;
  if (stride == 1) {
    for (size_t i = 0; i < m; i += 16) v_store(y + i, v_get(x + i, least(m - i, 16)));
  } else if (stride == 2) {
    for (size_t i = 0; i < m; i += 16) {
      v16 lo, hi;
      load_pair(x + 2 * i, 2 * (m - i) - 1, &lo, &hi);
      v_store(y + i, v_even(lo, hi));
    }
  } else {
    for (size_t i = 0; i < m; i++) y[i] = x[i * stride];
  }
  for (size_t i = end; i < n; i++) to[i] = fill;
}

/* Of 16 windows from column o on how many columns lie in the row. Windows that are not there have one. */
FL_INLINE v16 columns_inside(const fl_pool *s, size_t o) {
  float n[16];
  if (o * s->stride >= s->pad && (o + 15) * s->stride + s->k <= s->w + s->pad) return v_set((float)s->k);
  for (size_t i = 0; i < 16; i++) {
    const span c = o + i < fl_pool_ow(s) ? inside(s, o + i, s->w) : (span){ 0, 1 };
    n[i] = (float)(c.hi - c.lo);
  }
  return v_load(n);
}
FL_INLINE v16 count_of(const fl_pool *s, size_t oy, size_t ox) {
  if (s->count_pad) return v_set((float)(s->k * s->k));
  const span rows = inside(s, oy, s->h);
  return v_mul(v_set((float)(rows.hi - rows.lo)), columns_inside(s, ox));
}

/* ---- forward ------------------------------------------------------------------------------------------------------------- */
typedef struct {
  const fl_pool *s;
  size_t oh, ow, phases, row;           /* floats of a row of the block */
  block b;
  size_t column[FL_POOL_MOST];          /* where the places kx of a window begin in such a row */
  uint32_t first[16];                   /* kx of the first column inside, of the first windows of a row */
} forward;

static forward forward_of(const fl_pool *s) {
  forward f = { .s = s, .oh = fl_pool_oh(s), .ow = fl_pool_ow(s), .phases = least(s->stride, s->k) };
  const size_t reach = (s->k - 1) / f.phases;
  f.b = block_of(f.oh, f.ow, f.phases, s->k - f.phases, f.phases, reach, ROOM);
  f.row = f.phases * f.b.width;
  for (size_t i = 0; i < s->k; i++) f.column[i] = i % f.phases * f.b.width + i / f.phases;
  for (size_t i = 0; i < 16; i++) f.first[i] = (uint32_t)inside(s, i, s->w).lo;
  return f;
}

/* What the windows from (oy, ox) on read of a plane. */
FL_INLINE void fill_block(const forward *f, const float *plane, size_t oy, size_t rows, size_t ox, size_t cols, float fill,
                          float *to) {
  const fl_pool *s = f->s;
  const size_t all = (rows - 1) * f->phases + s->k, n = cols + f->b.width - f->b.cols;
  places_of of[FL_POOL_MOST];
  for (size_t p = 0; p < f->phases; p++)
    of[p] = places_in(n, (ptrdiff_t)(ox * s->stride + p) - (ptrdiff_t)s->pad, s->w, s->stride);
  size_t y = oy * s->stride, phase = 0;                         /* of the padded plane */
  for (size_t t = 0; t < all; t++) {
    if (y >= s->pad && y < s->h + s->pad) {                     /* others are left out by `inside` */
      const float *row = plane + (y - s->pad) * s->w;
      for (size_t p = 0; p < f->phases; p++) deal(to + t * f->row + p * f->b.width, &of[p], row, fill);
    }
    y++;
    if (++phase == f->phases) phase = 0, y += s->stride - f->phases;
  }
}

/* Sixteen windows from column ox on, whose first places lie at x. The first place inside is the maximum where all are -inf. */
FL_INLINE best16 largest(const forward *f, span rows, size_t ox, const float *x) {
  const uint32_t k = (uint32_t)f->s->k;
  const u16 above = u_set((uint32_t)rows.lo * k);
  best16 b = { v_set(-INFINITY), ox ? above : u_add(above, u_load(f->first)) };
  for (uint32_t i = (uint32_t)rows.lo; i < rows.hi; i++)
    for (uint32_t j = 0; j < k; j++) b = better(b, v_load(x + i * f->row + f->column[j]), i * k + j);
  return b;
}
FL_INLINE v16 total(const forward *f, span rows, const float *x) {
  v16 sum = v_zero();
  for (size_t i = rows.lo; i < rows.hi; i++)
    for (size_t j = 0; j < f->s->k; j++) sum = v_add(sum, v_load(x + i * f->row + f->column[j]));
  return sum;
}

/* at NULL: the mean. */
FL_INLINE void pool(const fl_pool *s, size_t planes, const float *x, float *y, uint8_t *at) {
  const forward f = forward_of(s);
  const size_t windows = f.oh * f.ow, all = planes * windows;
  float room[ROOM + SLACK];
  for (size_t c = 0; c < planes; c++) {
    for (size_t oy = 0; oy < f.oh; oy += f.b.rows) {
      for (size_t ox = 0; ox < f.ow; ox += f.b.cols) {
        const size_t rows = least(f.oh - oy, f.b.rows), cols = least(f.ow - ox, f.b.cols);
        fill_block(&f, x + c * s->h * s->w, oy, rows, ox, cols, at ? -INFINITY : 0.0f, room);
        for (size_t r = 0; r < rows; r++) {
          const span in = inside(s, oy + r, s->h);
          for (size_t j = 0; j < cols; j += 16) {
            const float *from = room + r * f.phases * f.row + j;
            const size_t lanes = least(cols - j, 16), to = c * windows + (oy + r) * f.ow + ox + j;
            if (!at) {
              v_put(y + to, lanes, v_div(total(&f, in, from), count_of(s, oy + r, ox + j)));
              continue;
            }
            const best16 b = largest(&f, in, ox + j, from);
            v_put(y + to, lanes, b.value);
            /* Sixteen at once where there is room and the next row, which comes later, overwrites what is too much. */
            put_places(at + to, f.b.cols == f.ow && to + 16 <= all ? 16 : lanes, b.at);
          }
        }
      }
    }
  }
}

FL_INLINE void pool_all(const fl_pool *s, size_t planes, const float *x, float *y, uint8_t *at) {
  const size_t beside = lanes_planes(s, planes, at != NULL, 0), in = s->h * s->w, windows = fl_pool_oh(s) * fl_pool_ow(s);
  for (size_t c = 0; c < beside; c += 16)
    pool_lanes(s, least(beside - c, 16), x + c * in, y + c * windows, at ? at + c * windows : NULL);
  pool(s, planes - beside, x + beside * in, y + beside * windows, at ? at + beside * windows : NULL);
}

void FL_FN(max_pool)(const fl_pool *s, size_t planes, const float *x, float *y, uint8_t *at) { pool_all(s, planes, x, y, at); }
void FL_FN(avg_pool)(const fl_pool *s, size_t planes, const float *x, float *y) { pool_all(s, planes, x, y, NULL); }

/* ---- back: each place of dx sums over the windows that cover it ------------------------------------------------------------ */
/* Column i*stride + p is covered by windows i + (p + pad)/stride - m with kx = (p + pad) % stride + m*stride < k; rows likewise.
 * The block has, for i from `at` on, dy (or its share) of windows i + pad/stride - reach .. . */
typedef struct {
  const fl_pool *s;
  size_t oh, ow, reach, rest;           /* k - 1 = reach*stride + rest: reach is the largest m */
  size_t start, more;                   /* kx of phase 0 at m = 0; 1 when a later phase reaches one window further */
  block b;
} backward;

static backward backward_of(const fl_pool *s, size_t room) {
  backward d = { .s = s, .oh = fl_pool_oh(s), .ow = fl_pool_ow(s), .reach = (s->k - 1) / s->stride,
                 .rest = (s->k - 1) % s->stride, .start = s->pad % s->stride };
  d.more = d.start > 0;
  const size_t halo = d.reach + d.more, groups = (s->h + s->stride - 1) / s->stride;
  d.b = block_of(groups, (s->w + s->stride - 1) / s->stride, 1, halo, 1, halo, room);
  return d;
}

/* The windows that cover a row of dx, or a column of a phase: from..to-1, `place` the ky (kx) of the last of them. */
typedef struct { size_t from, to, place; } cover;
static inline cover rows_over(const backward *d, size_t y) {
  const fl_pool *s = d->s;
  const size_t top = (y + s->pad) / s->stride, first = (y + s->pad) % s->stride;
  if (first >= s->k) return (cover){ 0, 0, 0 };
  const size_t m = (s->k - 1 - first) / s->stride, to = least(top + 1, d->oh);
  const size_t from = top > m ? top - m : 0;
  return (cover){ least(from, to), to, first + (top + 1 - to) * s->stride };
}

typedef struct { size_t oy, rows; } kept;       /* rows of windows that the block has */

/* dy (places not NULL: and where its maxima were) of the windows that cover rows y0..y1-1 and columns from i*stride on. */
FL_INLINE kept fill_windows(const backward *d, const float *dy, const uint8_t *at, size_t y0, size_t y1, size_t i, size_t n,
                            float *to, uint32_t *places) {
  const fl_pool *s = d->s;
  const size_t halo = d->reach + d->more, last = (y1 - 1 + s->pad) / s->stride, top = (y0 + s->pad) / s->stride;
  const size_t end = least(last + 1, d->oh), oy = least(top > d->reach ? top - d->reach : 0, end);
  const ptrdiff_t from = (ptrdiff_t)(i + s->pad / s->stride) - (ptrdiff_t)d->reach;
  const size_t begin = from < 0 ? (size_t)-from : 0, ahead = from > 0 ? (size_t)from : 0;
  const places_of o = places_in(n + halo, from, d->ow, 1);
  for (size_t r = oy; r < end; r++) {
    float *row = to + (r - oy) * d->b.width;
    deal(row, &o, dy + r * d->ow, 0.0f);
    if (places) {
      uint32_t *place = places + (r - oy) * d->b.width + begin;
      for (size_t j = 0; j < o.end - o.begin; j++) place[j] = at[r * d->ow + ahead + j];
    } else {
      for (size_t j = begin; j < n + halo; j += 16) /* beyond the last window: 0 through 1 */
        v_store(row + j, v_div(v_load(row + j), count_of(s, r, ahead + (j - begin))));
    }
  }
  return (kept){ oy, end - oy };
}

/* Sixteen places of dx of phase p, whose windows lie from x (and their maxima from `places`) on. */
FL_INLINE v16 gathered(const backward *d, cover rows, size_t skip, size_t p, const float *x, const uint32_t *places) {
  const fl_pool *s = d->s;
  const size_t wraps = p + d->start >= s->stride, first = p + d->start - (wraps ? s->stride : 0);
  const size_t count = d->reach + 1 - (first > d->rest);        /* windows beside each other with kx = first + m*stride < k */
  v16 sum = v_zero();
  for (size_t oy = rows.from; oy < rows.to; oy++) {
    const size_t ky = rows.place + (rows.to - 1 - oy) * s->stride, row = (oy - skip) * d->b.width + wraps + d->reach;
    for (size_t m = count; m-- > 0;) {
      const v16 dy = v_load(x + row - m);
      if (!places) sum = v_add(sum, dy);
      else sum = v_add(sum, v_keep(u_eq(u_load(places + row - m), u_set((uint32_t)(ky * s->k + first + m * s->stride))), dy));
    }
  }
  return sum;
}

/* Columns i*stride .. of a row of dx: `lanes` of each phase. */
FL_INLINE void put_row(const backward *d, cover rows, size_t skip, size_t i, size_t lanes, const float *x, const uint32_t *places,
                       float *row) {
  const size_t stride = d->s->stride, w = d->s->w;
  if (stride == 1) {
    v_put(row + i, lanes, gathered(d, rows, skip, 0, x, places));
  } else if (stride == 2) {
    const v16 a = gathered(d, rows, skip, 0, x, places), b = gathered(d, rows, skip, 1, x, places);
    const size_t n = least(2 * lanes, w - 2 * i);
    put_pair(row + 2 * i, n, row + 2 * i + n, v_zip_lo(a, b), v_zip_hi(a, b));
  } else {
    for (size_t p = 0; p < stride; p++) {
      float of[16];
      v_store(of, gathered(d, rows, skip, p, x, places));
      for (size_t j = 0; j < lanes && (i + j) * stride + p < w; j++) row[(i + j) * stride + p] = of[j];
    }
  }
}

/* at NULL: of the mean. */
FL_INLINE void pool_back(const fl_pool *s, size_t planes, const float *dy, const uint8_t *at, float *dx) {
  enum { HALF = ROOM / 2 };
  const backward d = backward_of(s, at ? HALF : ROOM);
  const size_t windows = d.oh * d.ow, columns = (s->w + s->stride - 1) / s->stride, rows = d.b.rows * s->stride;
  float room[ROOM + SLACK];
  uint32_t places[HALF + SLACK];
  for (size_t c = 0; c < planes; c++) {
    for (size_t y0 = 0; y0 < s->h; y0 += rows) {
      const size_t y1 = least(s->h, y0 + rows);
      for (size_t i = 0; i < columns; i += d.b.cols) {
        const size_t n = least(columns - i, d.b.cols);
        const kept k = fill_windows(&d, dy + c * windows, at ? at + c * windows : NULL, y0, y1, i, n, room, at ? places : NULL);
        for (size_t y = y0; y < y1; y++) {
          const cover over = rows_over(&d, y);
          for (size_t j = 0; j < n; j += 16)
            put_row(&d, over, k.oy, i + j, least(n - j, 16), room + j, at ? places + j : NULL, dx + (c * s->h + y) * s->w);
        }
      }
    }
  }
}

FL_INLINE void pool_all_back(const fl_pool *s, size_t planes, const float *dy, const uint8_t *at, float *dx) {
  const size_t beside = lanes_planes(s, planes, at != NULL, 1), in = s->h * s->w, windows = fl_pool_oh(s) * fl_pool_ow(s);
  for (size_t c = 0; c < beside; c += 16)
    pool_lanes_back(s, least(beside - c, 16), dy + c * windows, at ? at + c * windows : NULL, dx + c * in);
  pool_back(s, planes - beside, dy + beside * windows, at ? at + beside * windows : NULL, dx + beside * in);
}

void FL_FN(max_pool_back)(const fl_pool *s, size_t planes, const float *dy, const uint8_t *at, float *dx) {
  pool_all_back(s, planes, dy, at, dx);
}
void FL_FN(avg_pool_back)(const fl_pool *s, size_t planes, const float *dy, float *dx) { pool_all_back(s, planes, dy, NULL, dx); }
