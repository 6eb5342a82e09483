/* conv_pool_back.c - gradients of convolution, ReLU and 2x2 pooling as one layer (layout of `work`: conv.h).
 *
 * Pooling leaves at most a quarter of the positions a gradient, ReLU fewer. So the positions of an output channel that have one
 * are listed, in order, and only their products are formed: for the weights position by position, all taps in lanes; for the
 * input from the last position to the first, which is (ky, kx) ascending for every input. */
#include "kernels/gemm/pieces.h"
#include "kernels/layer/conv.h"
#include "kernels/layer/image.h"

#if FL_VREGS >= 24
static const size_t most_lists[] = { 0, 8, 6, 4, 3, 2 };        /* of a tile of so many vectors */
#else
static const size_t most_lists[] = { 0, 6, 3, 2, 1, 1 };
#endif
#define SPARSE_V 5
#define SPARSE_M 8

typedef struct {
  const conv_entry *list;       /* `windows` apart */
  size_t windows, count;
  const float *strips;
  float *acc;                   /* rows `columns` apart */
  size_t columns;
  int carry, bias;              /* start from acc instead of +0; the last lane is the bias, with ones for taps */
} sparse_args;

TILE_INLINE void sparse_body(const int m, const int nv, const sparse_args *a) {
  v16 acc[SPARSE_M][SPARSE_V];
  TILE_UNROLL
  for (int i = 0; i < m; i++) {
    TILE_UNROLL
    for (int j = 0; j < nv; j++) acc[i][j] = a->carry ? v_load(a->acc + (size_t)i * a->columns + 16 * j) : v_zero();
  }
  const size_t apart = a->windows, count = a->count;
  const m16 is_bias = u_eq(u_iota(), u_set(a->bias ? 15 : 16));
  const v16 one = v_set(1.0f);
  const conv_entry *e = a->list;
  const float *strips = a->strips;
  for (size_t k = 0; k < count; k++, e++) {
    TILE_UNROLL
    for (int i = 0; i < m; i++) {
      const v16 d = v_set(e[(size_t)i * apart].value);
      const float *taps = strips + e[(size_t)i * apart].at;
      TILE_UNROLL
      for (int j = 0; j < nv; j++) {
        const v16 x = v_load(taps + 16 * j);
        acc[i][j] = v_fma(d, j < nv - 1 ? x : v_sel(is_bias, one, x), acc[i][j]);
      }
    }
  }
  TILE_UNROLL
  for (int i = 0; i < m; i++) {
    TILE_UNROLL
    for (int j = 0; j < nv; j++) v_store(a->acc + (size_t)i * a->columns + 16 * j, acc[i][j]);
  }
}

#define SPARSE_CASE(m, nv) case 8 * (m) + (nv): sparse_body(m, nv, a); break;
static void sparse_run(size_t m, size_t nv, const sparse_args *a) {
  switch (8 * m + nv) {
    SPARSE_CASE(1, 1) SPARSE_CASE(2, 1) SPARSE_CASE(3, 1) SPARSE_CASE(4, 1) SPARSE_CASE(5, 1) SPARSE_CASE(6, 1)
    SPARSE_CASE(1, 2) SPARSE_CASE(2, 2) SPARSE_CASE(3, 2) SPARSE_CASE(1, 3) SPARSE_CASE(2, 3) SPARSE_CASE(1, 4) SPARSE_CASE(1, 5)
#if FL_VREGS >= 24
    SPARSE_CASE(7, 1) SPARSE_CASE(8, 1) SPARSE_CASE(4, 2) SPARSE_CASE(5, 2) SPARSE_CASE(6, 2) SPARSE_CASE(3, 3) SPARSE_CASE(4, 3)
    SPARSE_CASE(2, 4) SPARSE_CASE(3, 4) SPARSE_CASE(2, 5)
#endif
    default: break;
  }
}

/* Sixteen floats are written at a time: what is too much is overwritten by what follows. */
static void turn_image(const fl_conv *s, const conv_sparse *l, const float *image, float *turned) {
  const size_t hp = s->h + 2 * s->p, wp = conv_wp(s), plane = hp * wp;
  for (size_t x = 0; x < wp; x += 16) {
    float *to = turned + x * l->side;
    if (s->c == 1) {
      for (size_t y = 0; y < hp; y += 16) v_turn(to + y, l->side, image + y * wp + x, wp, hp - y < 16 ? hp - y : 16);
      continue;
    }
    for (size_t y = 0; y < hp; y++) {
      for (size_t c = 0; c < s->c; c += 16) {
        v_turn(to + y * s->c + c, l->side, image + c * plane + y * wp + x, plane, s->c - c < 16 ? s->c - c : 16);
      }
    }
  }
}

/* Likewise in eights or sixteens. */
static void build_strips(const fl_conv *s, const conv_sparse *l, const float *turned, float *strips) {
  const size_t wp = conv_wp(s), count = fl_conv_oh(s) / 2 * 2 / l->rows, run = s->c * (s->k + l->rows - 1), skip = l->rows * s->c;
  for (size_t g = 0; g < count; g++, strips += l->strip, turned += skip) {
    for (size_t x = 0; x < wp; x++) {
      const float *from = turned + x * l->side;
      float *to = strips + x * l->step;
      if (run <= 8) memcpy(to, from, 8 * sizeof *to);
      else for (size_t i = 0; i < run; i += 16) v_store(to + i, v_load(from + i));
    }
  }
}

static float gradient_of(float dy, unsigned code) {
  uint32_t bits;
  memcpy(&bits, &dy, sizeof bits);
  bits |= (code >> 3 & 1) * 0x7fc00000u;
  memcpy(&dy, &bits, sizeof bits);
  return dy;
}

static uint64_t eight_bytes(const uint8_t *p) {
  uint64_t w = 0;
  for (unsigned i = 0; i < 8; i++) w |= (uint64_t)p[i] << 8 * i;
  return w;
}

/* Bit i of `top`, of `low`: the gradient of window i goes to its upper, its lower row. Eight codes at a time. */
static void window_rows(size_t n, const uint8_t *at, uint8_t *top, uint8_t *low) {
  const uint64_t ones = 0x0101010101010101u, gather = 0x0102040810204080u;
  for (size_t i = 0; i < n; i += 8) {
    uint64_t codes = 4 * ones;
    if (n - i >= 8) codes = eight_bytes(at + i);
    else for (unsigned j = 0; j < n - i; j++) codes ^= (uint64_t)(at[i + j] ^ 4) << 8 * j;
    const uint64_t alive = ~(codes >> 2) & ones, lower = codes >> 1 & alive;
    top[i / 8] = (uint8_t)((alive ^ lower) * gather >> 56);
    low[i / 8] = (uint8_t)(lower * gather >> 56);
  }
}

/* `n` <= 32 bits from bit i on. */
static uint64_t bits_from(const uint8_t *bits, size_t i, size_t n) {
  return eight_bytes(bits + i / 8) >> i % 8 & (((uint64_t)1 << n) - 1);
}

/* The positions of one output channel that have a gradient, in order. Rows of few windows share a word: in it each has the bits
 * of its upper row, then those of its lower one, 2^field bits each. */
typedef struct {
  size_t rows, ow;              /* of windows */
  unsigned field;
  uint8_t *top, *low;
  const uint32_t *at;           /* of each place of each window its taps in the strips */
} lister;

static size_t list_word(const lister *l, uint64_t word, size_t window, const float *dy, const uint8_t *at, conv_entry *list) {
  conv_entry *to = list;
  for (; word; word &= word - 1, to++) {
    const unsigned bit = (unsigned)__builtin_ctzll(word);
    const size_t w = window + (bit >> (l->field + 1)) * l->ow + (bit & ((1u << l->field) - 1));
    const unsigned code = at[w];
    const size_t place = 4 * w + (code & 3);
    *to = (conv_entry){ l->at[place], gradient_of(dy[w], code), (uint32_t)place };
  }
  return (size_t)(to - list);
}

static size_t list_positions(const lister *l, const float *dy, const uint8_t *at, conv_entry *list) {
  const size_t ow = l->ow, together = 32u >> l->field;
  size_t n = 0;
  window_rows(l->rows * ow, at, l->top, l->low);
  if (ow <= 32) {
    for (size_t r = 0; r < l->rows; r += together) {
      uint64_t word = 0;
      for (size_t i = 0; i < together && r + i < l->rows; i++) {
        const uint64_t both = bits_from(l->top, (r + i) * ow, ow) | bits_from(l->low, (r + i) * ow, ow) << (1u << l->field);
        word |= both << (i << (l->field + 1));
      }
      n += list_word(l, word, r * ow, dy, at, list + n);
    }
    return n;
  }
  for (size_t r = 0; r < 2 * l->rows; r++) {
    for (size_t j = 0; j < ow; j += 32) {
      const size_t w = r / 2 * ow + j;
      n += list_word(l, bits_from(r % 2 ? l->low : l->top, w, ow - j < 32 ? ow - j : 32), w, dy, at, list + n);
    }
  }
  return n;
}

TILE_INLINE void scatter_rows(const int nv, const conv_sparse *l, size_t k, v16 d, const float *table, float *sum) {
  for (size_t ky = 0; ky < k; ky++, table += l->wide, sum += l->row) {
    TILE_UNROLL
    for (int j = 0; j < nv; j++) v_store(sum + 16 * j, v_fma(d, v_load(table + 16 * j), v_load(sum + 16 * j)));
  }
}

#define SCATTER_V 6             /* vectors of a kernel's row at once */
#define SCATTER_CASE(nv) case nv: scatter_rows(nv, l, s->k, d, t + 16 * j, sum + 16 * j); break;
/* The listed positions of one output channel, from the last, onto the sums of the input. */
static void scatter(const fl_conv *s, const conv_sparse *l, const conv_entry *list, size_t count, const conv_target *target,
                    const float *table, float *sums) {
  const size_t vectors = l->wide / 16, most = tile_even(vectors, SCATTER_V);
  while (count--) {
    const conv_target to = target[list[count].place];
    const v16 d = v_set(list[count].value);
    const float *t = table + to.kernel;
    float *sum = sums + to.sum;
    if (vectors == 3) { scatter_rows(3, l, s->k, d, t, sum); continue; }    /* few channels: nothing to choose */
    for (size_t j = 0; j < vectors; j += most) {
      switch (vectors - j < most ? vectors - j : most) {
        SCATTER_CASE(1) SCATTER_CASE(2) SCATTER_CASE(3) SCATTER_CASE(4) SCATTER_CASE(5) SCATTER_CASE(6)
        default: break;
      }
    }
  }
}

/* (o, place, ky, kx and c, from the place on; +0 around). */
static void build_table(const fl_conv *s, const conv_sparse *l, const float *w, float *table) {
  memset(table, 0, l->table * sizeof *table);
  for (size_t o = 0; o < s->o; o++) {
    for (size_t at = 0; at < l->starts; at++) {
      for (size_t ky = 0; ky < s->k; ky++, table += l->wide) {
        for (size_t kx = 0; kx < s->k; kx++) {
          for (size_t c = 0; c < s->c; c++) {
            table[(at + kx) * l->channels + c] = w[((o * s->c + c) * s->k + ky) * s->k + kx];
          }
        }
      }
    }
  }
}

/* (y, x, c) without the padding to (c, y, x). */
static void store_input(const fl_conv *s, const conv_sparse *l, const float *sums, float *dx) {
  float square[16 * 16];
  for (size_t y = 0; y < s->h; y++) {
    const float *row = sums + (y + s->p) * l->row + s->p * l->channels;
    for (size_t x = 0; x < s->w; x += 16) {
      const size_t lanes = s->w - x < 16 ? s->w - x : 16;
      for (size_t c = 0; c < s->c; c += 16) {
        v_turn(square, 16, row + x * l->channels + c, l->channels, lanes);
        for (size_t i = 0; i < 16 && c + i < s->c; i++) {
          v_store_n(dx + ((c + i) * s->h + y) * s->w + x, lanes, v_add(v_load(square + 16 * i), v_zero()));
        }
      }
    }
  }
}

/* Where the taps and the sums of every place are. */
static void find_places(const fl_conv *s, const conv_sparse *l, uint32_t *at, conv_target *target) {
  const size_t ow = fl_conv_ow(s) / 2, rows = fl_conv_oh(s) / 2 * 2;
  for (size_t y = 0; y < rows; y++) {
    const size_t strip = y / l->rows * l->strip + y % l->rows * s->c, first = 4 * (y / 2 * ow) + 2 * (y % 2);
    for (size_t x = 0; x < 2 * ow; x++) {
      const size_t place = first + 4 * (x / 2) + x % 2;
      at[place] = (uint32_t)(strip + x * l->step);
      target[place].sum = (uint32_t)(y * l->row + x * l->channels / 16 * 16);
      target[place].kernel = (uint32_t)((x & (l->starts - 1)) * s->k * l->wide);
    }
  }
}

typedef struct {
  float *image, *turned, *strips, *table, *sums, *acc;
  conv_entry *list;
  conv_target *target;
  lister lister;
} scratch;

static scratch lay_out(const fl_conv *s, const conv_sparse *l, float *work) {
  scratch b = { .image = work };
  const size_t windows = conv_windows(s), ow = fl_conv_ow(s) / 2;
  b.turned = b.image + conv_round16(conv_image(s));
  b.strips = b.turned + l->turned;
  b.table = b.strips + l->strips + l->columns;
  b.sums = b.table + l->table;
  b.list = (conv_entry *)(void *)(b.sums + l->sums);
  b.target = (conv_target *)(void *)(b.list + CONV_LISTS * windows);
  uint32_t *at = (uint32_t *)(void *)(b.target + 4 * windows);
  uint8_t *top = (uint8_t *)(at + 4 * windows), *low = top + conv_bits(s) / 2;
  b.acc = (float *)(void *)(top + conv_bits(s));
  b.lister = (lister){ fl_conv_oh(s) / 2, ow, ow <= 8 ? 3 : ow <= 16 ? 4 : 5, top, low, at };
  find_places(s, l, at, b.target);
  return b;
}

/* One sample: dy and at are its own; `input`: sums for the input are wanted. */
static void sample_back(const fl_conv *s, const conv_sparse *l, const scratch *b, const float *dy, const uint8_t *at,
                        int carry, int input) {
  const size_t windows = conv_windows(s), vectors = l->columns / 16;
  const size_t panel = tile_even(vectors, SPARSE_V), most = most_lists[panel];
  size_t m;
  for (size_t o = 0; o < s->o; o += m) {
    size_t count[CONV_LISTS], longest = 0;
    m = tile_even(s->o - o, most);
    for (size_t i = 0; i < m; i++) {
      conv_entry *list = b->list + i * windows;
      count[i] = list_positions(&b->lister, dy + (o + i) * windows, at + (o + i) * windows, list);
      if (count[i] > longest) longest = count[i];
      if (input) scatter(s, l, list, count[i], b->target, b->table + (o + i) * l->starts * s->k * l->wide, b->sums);
    }
    for (size_t i = 0; i < m; i++) {    /* lists of one length: +0 times the patch of zeros */
      for (size_t j = count[i]; j < longest; j++) b->list[i * windows + j] = (conv_entry){ (uint32_t)l->strips, 0.0f, 0 };
    }
    for (size_t v = 0, nv; v < vectors; v += nv) {
      nv = vectors - v < panel ? vectors - v : panel;
      float *acc = b->acc + o * l->columns + 16 * v;
      const int bias = v + nv == vectors;
      sparse_run(m, nv, &(sparse_args){ b->list, windows, longest, b->strips + 16 * v, acc, l->columns, carry, bias });
    }
  }
}

static void store_weights(const fl_conv *s, const conv_sparse *l, const float *sum, float *dw, float *db) {
  for (size_t o = 0; o < s->o; o++, sum += l->columns) {
    for (size_t c = 0; c < s->c; c++) {
      for (size_t ky = 0; ky < s->k; ky++) {
        for (size_t kx = 0; kx < s->k; kx++) *dw++ = sum[kx * l->step + ky * s->c + c] + 0.0f;
      }
    }
    db[o] = sum[l->columns - 1] + 0.0f;
  }
}

void FL_FN(conv_pool_back)(const fl_conv *s, size_t n, const float *x, const float *w, const float *dy, const uint8_t *at,
                           float *dx, float *dw, float *db, float *work) {
  const conv_sparse l = conv_sparse_of(s);
  const size_t size = s->o * l.columns, windows = s->o * conv_windows(s), in = s->c * s->h * s->w;
  const size_t piece = fl_sample_piece(fl_conv_oh(s) * fl_conv_ow(s));
  const scratch b = lay_out(s, &l, work);
  piece_sums total = { b.acc + size, size, 0 };
  memset(b.image, 0, conv_image(s) * sizeof *b.image);
  memset(b.turned, 0, l.turned * sizeof *b.turned);
  memset(b.strips, 0, (l.strips + l.columns) * sizeof *b.strips);
  memset(b.acc, 0, size * sizeof *b.acc);
  if (dx) build_table(s, &l, w, b.table);
  for (size_t i0 = 0; i0 < n; i0 += piece) {
    for (size_t i = i0; i < n && i < i0 + piece; i++) {
      pad_planes(b.image, x + i * in, s->c, s->h, s->w, s->h + 2 * s->p, conv_wp(s), s->p);
      turn_image(s, &l, b.image, b.turned);
      build_strips(s, &l, b.turned, b.strips);
      if (dx) memset(b.sums, 0, l.sums * sizeof *b.sums);
      sample_back(s, &l, &b, dy + i * windows, at + i * windows, i > i0, dx != NULL);
      if (dx) store_input(s, &l, b.sums, dx + i * in);
    }
    pieces_push(&total, b.acc);
  }
  store_weights(s, &l, n ? pieces_sum(&total) : b.acc, dw, db);
}
