/* divide_layers.c - convolutions, pools, norms and attention: by samples, weights' gradients by subtrees of the fixed tree or by
 * output channels. `stat` holds the means (maxima) of all rows and behind them their scales (sums): a part has its own copy. */
#include "kernels/divide_parts.h"
#include <string.h>

#define PRODUCTS 8u     /* for one element of other kernels */
static size_t most_of(const fl_ranges *r) { return (r->n + r->parts - 1) / r->parts; }
static size_t round16(size_t n) { return (n + 15) / 16 * 16; }

/* Two runs of `all` numbers, of which a part has those from `from` on. */
static void copy_back(float *stat, size_t all, size_t from, size_t n, const float *part) {
  memcpy(stat + from, part, n * sizeof *part);
  memcpy(stat + all + from, part + n, n * sizeof *part);
}
static void copy_out(float *part, const float *stat, size_t all, size_t from, size_t n) {
  memcpy(part, stat + from, n * sizeof *part);
  memcpy(part + n, stat + all + from, n * sizeof *part);
}

/* ---- convolutions -------------------------------------------------------------------------------------------------------- */
static size_t taps_of(const fl_conv *s) { return s->c / fl_conv_groups(s) * s->k * fl_conv_kw(s); }
static size_t plane_of(const fl_conv *s) { return fl_conv_oh(s) * fl_conv_ow(s); }
static size_t work_of(const fl_conv *s, size_t n) { return n * s->o * plane_of(s) * taps_of(s) / PRODUCTS; }

typedef struct { fl_ranges r; fl_scratch work; const fl_conv *s; const float *x, *w, *b; float *y; uint8_t *at; } conv_job;
typedef struct { size_t from, n, in, out, windows; float *work; } conv_part;
static conv_part conv_part_of(const conv_job *j, size_t i) {
  const size_t from = fl_ranges_from(&j->r, i), n = fl_ranges_from(&j->r, i + 1) - from;
  const size_t in = from * j->s->c * j->s->h * j->s->w, out = from * j->s->o * plane_of(j->s);
  const size_t windows = from * j->s->o * (fl_conv_oh(j->s) / 2) * (fl_conv_ow(j->s) / 2);
  return (conv_part){ from, n, in, out, windows, fl_scratch_at(&j->work, i) };
}
#define OF_CONV(name, params, values, need, call) \
  static void part_##name(void *arg, size_t i) { \
    const conv_job *j = arg; \
    const conv_part p = conv_part_of(j, i); \
    j->r.k->name call; \
  } \
  void fl_divided_##name params { \
    conv_job j = { .r = fl_ranges_of(n, 1, work_of(s, n)), .s = s, FL_OPEN values }; \
    j.work = fl_ranges_scratch(&j.r, work, need(s, most_of(&j.r))); \
    fl_divided_run(j.r.parts, part_##name, &j); \
  }
#define FORWARD_ARGS (const fl_conv *s, size_t n, const float *x, const float *w, const float *b, float *y, float *work)
#define INPUT_ARGS (const fl_conv *s, size_t n, const float *w, const float *dy, float *dx, float *work)
OF_CONV(conv_forward, FORWARD_ARGS, (.x = x, .w = w, .b = b, .y = y), fl_conv_work,
        (j->s, p.n, j->x + p.in, j->w, j->b, j->y + p.out, p.work))
OF_CONV(winograd_forward, FORWARD_ARGS, (.x = x, .w = w, .b = b, .y = y), fl_conv_work,
        (j->s, p.n, j->x + p.in, j->w, j->b, j->y + p.out, p.work))
OF_CONV(conv_grad_input, INPUT_ARGS, (.x = dy, .w = w, .y = dx), fl_conv_work,
        (j->s, p.n, j->w, j->x + p.out, j->y + p.in, p.work))
OF_CONV(winograd_grad_input, INPUT_ARGS, (.x = dy, .w = w, .y = dx), fl_conv_work,
        (j->s, p.n, j->w, j->x + p.out, j->y + p.in, p.work))
OF_CONV(conv_pool, (const fl_conv *s, size_t n, const float *x, const float *w, const float *b, float *y, uint8_t *at,
        float *work),
        (.x = x, .w = w, .b = b, .y = y, .at = at), fl_conv_pool_work,
        (j->s, p.n, j->x + p.in, j->w, j->b, j->y + p.windows, j->at + p.windows, p.work))

/* Weights: by subtrees of samples where there are enough of them, else by blocks of output channels, whose gradients are copied
 * side by side; sums of large weights would cost more than they bring. */
enum { CHANNELS = 32 };
typedef struct {
  fl_ranges r;
  fl_scratch work;
  const fl_conv *s;
  size_t n;
  const float *x, *dy;
  float *dw, *db;
  int winograd;                 /* the kernel winograd_grad_weight */
} weight_job;

static void weights_of(const fl_kernels *k, const weight_job *j, const fl_conv *s, size_t n, const float *x, const float *dy,
                       float *dw, float *db, float *work) {
  if (j->winograd) k->winograd_grad_weight(s, n, x, dy, dw, work);
  else k->conv_grad_weight(s, n, x, dy, dw, db, work);
}

static void weight_channels(void *arg, size_t i) {
  const weight_job *j = arg;
  const size_t o = fl_ranges_from(&j->r, i), channels = fl_ranges_from(&j->r, i + 1) - o, plane = plane_of(j->s);
  float *dy = fl_scratch_at(&j->work, i);
  fl_conv s = *j->s;
  s.o = channels;
  s.winograd = fl_conv_winograd(j->s);          /* fewer channels must not be another algorithm */
  for (size_t b = 0; b < j->n; b++)
    memcpy(dy + b * channels * plane, j->dy + (b * j->s->o + o) * plane, channels * plane * sizeof *dy);
  weights_of(j->r.k, j, &s, j->n, j->x, dy, j->dw + o * taps_of(j->s), j->db ? j->db + o : NULL,
             dy + round16(j->n * channels * plane));
}

static void weight_samples(const fl_subtrees *t, size_t from, size_t n, float *const out[2], float *work) {
  const weight_job *j = t->job;
  const fl_conv *s = j->s;
  weights_of(t->k, j, s, n, j->x + from * s->c * s->h * s->w, j->dy + from * s->o * plane_of(s), out[0], out[1], work);
}

static void weight(weight_job *j, float *work) {
  const fl_conv *s = j->s;
  const size_t piece = fl_sample_piece(plane_of(s)), leaves = (j->n + piece - 1) / piece, cost = work_of(s, j->n);
  const size_t parts = fl_divided_count(s->o / CHANNELS, cost);
  if (parts > 1 && leaves < 3 * parts && fl_conv_groups(s) == 1) {
    j->r = (fl_ranges){ fl_divided_kernels(), s->o, 16, parts };
    fl_conv most = *s;
    most.o = (round16(s->o) / 16 + parts - 1) / parts * 16;
    most.winograd = fl_conv_winograd(s);
    j->work = fl_ranges_scratch(&j->r, NULL, round16(j->n * most.o * plane_of(s)) + fl_conv_work(&most, j->n));
    if (j->r.parts > 1) {
      fl_divided_run(j->r.parts, weight_channels, j);
      return;
    }
  }
  fl_subtrees t = { .n = j->n, .piece = piece, .out = { j->dw, j->db }, .size = { s->o * taps_of(s), s->o },
  .sum = weight_samples,
                    .job = j };
  fl_subtrees_run(&t, cost, fl_conv_work(s, j->n), work);
}

void fl_divided_conv_grad_weight(const fl_conv *s, size_t n, const float *x, const float *dy, float *dw, float *db, float *work) {
  weight_job j = { .s = s, .n = n, .x = x, .dy = dy, .dw = dw, .db = db };
  weight(&j, work);
}
void fl_divided_winograd_grad_weight(const fl_conv *s, size_t n, const float *x, const float *dy, float *dw, float *work) {
  weight_job j = { .s = s, .n = n, .x = x, .dy = dy, .dw = dw, .winograd = 1 };
  weight(&j, work);
}

typedef struct { const fl_conv *s; const float *x, *w, *dy; const uint8_t *at; float *dx; } pool_back;
static void pool_back_samples(const fl_subtrees *t, size_t from, size_t n, float *const out[2], float *work) {
  const pool_back *j = t->job;
  const fl_conv *s = j->s;
  const size_t in = from * s->c * s->h * s->w, windows = from * s->o * (fl_conv_oh(s) / 2) * (fl_conv_ow(s) / 2);
  t->k->conv_pool_back(s, n, j->x + in, j->w, j->dy + windows, j->at + windows, j->dx ? j->dx + in : NULL, out[0], out[1], work);
}
void fl_divided_conv_pool_back(const fl_conv *s, size_t n, const float *x, const float *w, const float *dy, const uint8_t *at,
                             float *dx, float *dw, float *db, float *work) {
  const pool_back j = { s, x, w, dy, at, dx };
  fl_subtrees t = { .n = n, .piece = fl_sample_piece(plane_of(s)), .out = { dw, db }, .size = { s->o * taps_of(s), s->o },
                    .sum = pool_back_samples, .job = &j };
  fl_subtrees_run(&t, work_of(s, n) / 2, fl_conv_pool_work(s, n), work);
}

FL_RANGE(maxpool2, (size_t planes, size_t h, size_t w, const float *x, float *y, uint8_t *at), planes, 1, planes * h * w,
         (size_t h, w; const float *x; float *y; uint8_t *at;), (h, w, x, y, at),
         (n, j->h, j->w, Q(x, j->h * j->w), Q(y, j->h / 2 * (j->w / 2)), Q(at, j->h / 2 * (j->w / 2))))
FL_RANGE(maxpool2_back, (size_t planes, size_t h, size_t w, const float *dy, const uint8_t *at, float *dx), planes, 1,
         planes * h * w, (size_t h, w; const float *dy; const uint8_t *at; float *dx;), (h, w, dy, at, dx),
         (n, j->h, j->w, Q(dy, j->h / 2 * (j->w / 2)), Q(at, j->h / 2 * (j->w / 2)), Q(dx, j->h * j->w)))

static size_t pool_in(const fl_pool *s) { return s->h * s->w; }
static size_t pool_out(const fl_pool *s) { return fl_pool_oh(s) * fl_pool_ow(s); }
FL_RANGE(max_pool, (const fl_pool *s, size_t planes, const float *x, float *y, uint8_t *at), planes, 1, planes * pool_in(s),
         (const fl_pool *s; const float *x; float *y; uint8_t *at;), (s, x, y, at),
         (j->s, n, Q(x, pool_in(j->s)), Q(y, pool_out(j->s)), Q(at, pool_out(j->s))))
FL_RANGE(max_pool_back, (const fl_pool *s, size_t planes, const float *dy, const uint8_t *at, float *dx), planes, 1,
         planes * pool_in(s), (const fl_pool *s; const float *dy; const uint8_t *at; float *dx;), (s, dy, at, dx),
         (j->s, n, Q(dy, pool_out(j->s)), Q(at, pool_out(j->s)), Q(dx, pool_in(j->s))))
FL_RANGE(avg_pool, (const fl_pool *s, size_t planes, const float *x, float *y), planes, 1, planes * pool_in(s),
         (const fl_pool *s; const float *x; float *y;), (s, x, y), (j->s, n, Q(x, pool_in(j->s)), Q(y, pool_out(j->s))))
FL_RANGE(avg_pool_back, (const fl_pool *s, size_t planes, const float *dy, float *dx), planes, 1, planes * pool_in(s),
         (const fl_pool *s; const float *dy; float *dx;), (s, dy, dx),
         (j->s, n, Q(dy, pool_out(j->s)), Q(dx, pool_in(j->s))))

/* ---- norms --------------------------------------------------------------------------------------------------------------- */
FL_RANGE(batch_norm, (size_t samples, size_t c, size_t hw, const float *x, const float *stat, const float *gamma,
         const float *beta,
                      int relu, float *y), samples, 1, samples * c * hw,
         (size_t c, hw; const float *x, *stat, *gamma, *beta; int relu; float *y;), (c, hw, x, stat, gamma, beta, relu, y),
         (n, j->c, j->hw, Q(x, j->c * j->hw), j->stat, j->gamma, j->beta, j->relu, Q(y, j->c * j->hw)))
FL_RANGE(batch_norm_back, (size_t samples, size_t c, size_t hw, const float *x, const float *stat, const float *gamma,
                           const float *beta, int relu, const float *dy, const float *dgamma, const float *dbeta, size_t count,
                           float *dx), samples, 1, samples * c * hw,
         (size_t c, hw; const float *x, *stat, *gamma, *beta; int relu; const float *dy, *dgamma,
         *dbeta; size_t count; float *dx;),
         (c, hw, x, stat, gamma, beta, relu, dy, dgamma, dbeta, count, dx),
         (n, j->c, j->hw, Q(x, j->c * j->hw), j->stat, j->gamma, j->beta, j->relu, Q(dy, j->c * j->hw), j->dgamma, j->dbeta,
          j->count, Q(dx, j->c * j->hw)))

typedef struct {
  fl_ranges r;
  fl_scratch stats;
  size_t wide;
  const fl_group_norm *s;
  const float *x, *gamma, *beta;
  float eps, *y, *stat;
} norm_job;
static void layer_part(void *arg, size_t i) {
  const norm_job *j = arg;
  const size_t from = fl_ranges_from(&j->r, i), n = fl_ranges_from(&j->r, i + 1) - from, at = from * j->wide;
  float *stat = fl_scratch_at(&j->stats, i);
  j->r.k->layer_norm(n, j->wide, j->x + at, j->gamma, j->beta, j->eps, j->y + at, stat);
  if (j->stats.memory) copy_back(j->stat, j->r.n, from, n, stat);
}
void fl_divided_layer_norm(size_t rows, size_t n, const float *x, const float *gamma, const float *beta, float eps, float *y,
                         float *stat) {
  norm_job j = { .r = fl_ranges_of(rows, 16, 2 * rows * n), .wide = n, .x = x, .gamma = gamma, .beta = beta, .eps = eps, .y = y,
                 .stat = stat };
  j.stats = fl_ranges_scratch(&j.r, stat, 2 * (most_of(&j.r) + 16));
  fl_divided_run(j.r.parts, layer_part, &j);
}
static void group_part(void *arg, size_t i) {
  const norm_job *j = arg;
  const fl_group_norm *s = j->s;
  const size_t from = fl_ranges_from(&j->r, i), n = fl_ranges_from(&j->r, i + 1) - from, at = from * s->c * s->hw;
  float *stat = fl_scratch_at(&j->stats, i);
  j->r.k->group_norm(s, n, j->x + at, j->gamma, j->beta, j->y + at, stat);
  if (j->stats.memory) copy_back(j->stat, j->r.n * s->groups, from * s->groups, n * s->groups, stat);
}
void fl_divided_group_norm(const fl_group_norm *s, size_t n, const float *x, const float *gamma, const float *beta, float *y,
                         float *stat) {
  norm_job j = { .r = fl_ranges_of(n, 1, 2 * n * s->c * s->hw), .s = s, .x = x, .gamma = gamma, .beta = beta, .y = y,
                 .stat = stat };
  j.stats = fl_ranges_scratch(&j.r, stat, 2 * most_of(&j.r) * s->groups);
  fl_divided_run(j.r.parts, group_part, &j);
}

typedef struct { const fl_group_norm *s; size_t wide, piece; const float *x, *gamma, *beta, *stat, *dy; float *dx; } norm_back;
static void layer_back(const fl_subtrees *t, size_t from, size_t rows, float *const out[2], float *work) {
  const norm_back *j = t->job;
  const size_t at = from * j->wide;
  const int whole = rows == t->n;
  if (!whole) copy_out(work, j->stat, t->n, from, rows);
  t->k->layer_norm_back(rows, j->wide, j->x + at, j->gamma, whole ? j->stat : work, j->dy + at, j->dx + at, out[0], out[1],
  j->piece,
                        whole ? work : work + round16(2 * rows));
}
void fl_divided_layer_norm_back(size_t rows, size_t n, const float *x, const float *gamma, const float *stat, const float *dy,
                              float *dx, float *dgamma, float *dbeta, size_t piece, float *work) {
  const norm_back j = { .wide = n, .piece = piece, .x = x, .gamma = gamma, .stat = stat, .dy = dy, .dx = dx };
  fl_subtrees t = { .n = rows, .piece = piece, .out = { dgamma, dbeta }, .size = { n, n }, .sum = layer_back, .job = &j };
  fl_subtrees_run(&t, 2 * rows * n, round16(2 * rows) + fl_norm_work(n, rows, piece), work);
}
static void group_back(const fl_subtrees *t, size_t from, size_t n, float *const out[2], float *work) {
  const norm_back *j = t->job;
  const fl_group_norm *s = j->s;
  const size_t at = from * s->c * s->hw;
  const int whole = n == t->n;
  if (!whole) copy_out(work, j->stat, t->n * s->groups, from * s->groups, n * s->groups);
  t->k->group_norm_back(s, n, j->x + at, j->gamma, j->beta, whole ? j->stat : work, j->dy + at, j->dx + at, out[0], out[1],
  j->piece,
                        whole ? work : work + round16(2 * n * s->groups));
}
void fl_divided_group_norm_back(const fl_group_norm *s, size_t n, const float *x, const float *gamma, const float *beta,
                              const float *stat, const float *dy, float *dx, float *dgamma, float *dbeta, size_t piece,
                              float *work) {
  const norm_back j = { .s = s, .piece = piece, .x = x, .gamma = gamma, .beta = beta, .stat = stat, .dy = dy, .dx = dx };
  fl_subtrees t = { .n = n, .piece = piece, .out = { dgamma, dbeta }, .size = { s->c, s->c }, .sum = group_back, .job = &j };
  fl_subtrees_run(&t, 2 * n * s->c * s->hw, round16(2 * n * s->groups) + fl_norm_work(s->c, n, piece), work);
}

/* ---- attention: samples -------------------------------------------------------------------------------------------------- */
typedef struct {
  fl_ranges r;
  fl_scratch work;
  const fl_attention *s;
  const float *q, *k, *v, *y, *dy;
  float *to, *stat, *dq, *dk, *dv;
} attention_job;
static size_t stats_of(const fl_attention *s, size_t n) { return n * s->heads * s->length; }

static void attention_part(void *arg, size_t i) {
  const attention_job *j = arg;
  fl_attention own = *j->s;
  const fl_attention *s = &own;
  const size_t from = fl_ranges_from(&j->r, i), n = fl_ranges_from(&j->r, i + 1) - from, all = stats_of(s, j->r.n);
  const size_t at = from * s->length * s->ld, out = from * s->length * s->ldo, stats = stats_of(s, n);
  const int whole = !j->work.memory;
  own.first += from * fl_attention_drawn(s);
  float *work = fl_scratch_at(&j->work, i), *stat = whole ? j->stat : work;
  if (!whole) work += round16(2 * stats);
  if (!whole && j->dy) copy_out(stat, j->stat, all, stats_of(s, from), stats);
  if (j->dy) j->r.k->attention_back(s, n, j->q + at, j->k + at, j->v + at, j->y + out, stat, j->dy + out, j->dq + at, j->dk + at,
                                    j->dv + at, work);
  else j->r.k->attention(s, n, j->q + at, j->k + at, j->v + at, j->to + out, stat, work);
  if (!whole && !j->dy) copy_back(j->stat, all, stats_of(s, from), stats, stat);
}
static void attend(attention_job *j, size_t n, float *work) {
  const fl_attention *s = j->s;
  j->r = fl_ranges_of(n, 1, stats_of(s, n) * s->length * s->dim / 4);
  j->work = fl_ranges_scratch(&j->r, work, round16(2 * stats_of(s, most_of(&j->r))) + fl_attention_work(s));
  fl_divided_run(j->r.parts, attention_part, j);
}
void fl_divided_attention(const fl_attention *s, size_t n, const float *q, const float *k, const float *v, float *y, float *stat,
                        float *work) {
  attend(&(attention_job){ .s = s, .q = q, .k = k, .v = v, .to = y, .stat = stat }, n, work);
}
/* stat is read alone there, as its type says. */
void fl_divided_attention_back(const fl_attention *s, size_t n, const float *q, const float *k, const float *v, const float *y,
                             const float *stat, const float *dy, float *dq, float *dk, float *dv, float *work) {
  attend(&(attention_job){ .s = s, .q = q, .k = k, .v = v, .y = y, .stat = (float *)(uintptr_t)stat, .dy = dy, .dq = dq, .dk = dk,
                           .dv = dv }, n, work);
}
