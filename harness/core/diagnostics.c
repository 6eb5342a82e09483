/* diagnostics.c - what may be measured of a round besides (docs/diagnostics.md): of the clients' changes before they are summed,
 * and of the model that is evaluated. It reads the training and writes only its own memory, the workers' scratch and the columns,
 * so no bit of a run depends on it. Sums are in a fixed order: of elements in chunks, of samples by the fixed tree. */
#include "internal.h"
#include "models/locale.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 4096, STEPS = 20 };
static const double displacement = 0.01, radius = 0.05;
enum { SPREAD, MEAN, UNITS, UNITS_MEAN, SUMS };           /* of spread_of */

struct fl_diagnosis {
  fl_arena memory;
  float *change, *theta;                                  /* of the positions of the draw: m_max x stride floats each */
  size_t stride, theta_floats, theta_stride;
  uint8_t *kept; size_t m;                                /* positions whose client made a step, and how many */
  double *inverse;                                        /* by position: 1/|change|, 0 for none */
  double (*part)[SUMS]; size_t parts;                     /* of a chunk of elements */
  atomic_size_t next;
  const uint32_t *row; uint32_t *own; size_t rows, leaves;/* samples of the objective, their chunks of FL_EVAL_ROWS */
  fl_tree tree;
  double *loss, *accuracy, last_loss;                     /* by leaf, by client; the mean of the last sweep */
  float *at, *u, *plus;                                   /* point of a gradient; direction; its gradient ahead */
};

/* ---- what is asked for ------------------------------------------------------------------------------------------------- */
enum { OF_CHANGES = FL_D_DRIFT | FL_D_UPDATES, OF_CLIENTS = OF_CHANGES | FL_D_PRECONDITIONER | FL_D_CLIENTS,
       OF_GRADIENT = FL_D_GRADIENT | FL_D_SAM_GAP, OF_SAMPLES = OF_GRADIENT | FL_D_SHARPNESS };

int fl_diagnosis_due(const fl_session *s, uint64_t round) {
  const uint64_t every = s->opt.diagnostics_every ? s->opt.diagnostics_every : s->opt.eval_every;
  return s->opt.diagnostics && (round == s->opt.rounds || (every && round % every == 0));
}

static size_t theta_floats(const fl_session *s) {
  const fl_rule *r = s->job.rule;
  return s->opt.diagnostics & FL_D_PRECONDITIONER && r->theta ? r->theta(s->job.h_rule, &s->job) : 0;
}

static size_t log2_up(size_t n) {
  size_t l = 0;
  while ((size_t)1 << l < n) l++;
  return l;
}

/* Bytes of the vectors. */
static size_t vectors(const fl_session *s) {
  const size_t changes = s->opt.diagnostics & OF_CHANGES ? fl_padded(s->d) : 0, points = s->opt.diagnostics & OF_SAMPLES ? 3 : 0;
  return (s->m_max * (changes + fl_padded(theta_floats(s))) + points * fl_padded(s->n)) * sizeof(float);
}

#define REFUSE(...) return snprintf(err, size, __VA_ARGS__), -1
int fl_diagnosis_refuse(const fl_session *s, char *err, size_t size) {
  const fl_options *o = &s->opt;
  const unsigned asked = o->diagnostics;
  if (!asked) return 0;
  if (asked & ~(unsigned)(OF_CLIENTS | OF_SAMPLES)) REFUSE("diagnostics = %#x; allowed: bits of FL_D_*", asked);
  if (o->central && asked & OF_CLIENTS)
    REFUSE("diagnostics: central training has no clients; allowed: gradient, sam_gap, sharpness");
  if (s->problem.samples && asked & (OF_SAMPLES | FL_D_CLIENTS))
    REFUSE("diagnostics: a population that is made when it is drawn has no list of samples; allowed: drift, updates, "
           "preconditioner");
  if (o->diagnostics_every && (!o->eval_every || o->diagnostics_every % o->eval_every))
    REFUSE("diagnostics_every = %zu; allowed: a multiple of eval_every = %zu, or 0 (at every evaluation)", o->diagnostics_every,
           o->eval_every);
  if (!(o->gap_rho >= 0) || !isfinite(o->gap_rho)) REFUSE("gap_rho = %g; allowed: above 0, or 0 (%g)", o->gap_rho, radius);
  if (!(o->sharpness_step >= 0) || !isfinite(o->sharpness_step))
    REFUSE("sharpness_step = %g; allowed: above 0, or 0 (%g)", o->sharpness_step, displacement);
  if (asked & FL_D_PRECONDITIONER && !theta_floats(s))
    REFUSE("diagnostics = preconditioner: rule %s has no second-order state to share; allowed with: adam, adamw, rmsprop, muon, "
           "sophia, soap, shampoo", s->job.rule->name);
  if (asked & FL_D_CLIENTS && !s->problem.objective->evaluate_samples)
    REFUSE("diagnostics = clients: the objective does not classify its samples (evaluate_samples)");
  const double need = 1e-9 * (double)vectors(s), available = 1e-9 * (double)fl_memory_available();
  if (need > available)
    REFUSE("diagnostics: the changes of %zu clients x %zu parameters need %.3f GB, %.3f GB of memory are available; smaller "
           "cohorts, or without drift, updates, preconditioner", s->m_max, s->d, need, available);
  return 0;
}
#undef REFUSE

/* ---- memory ------------------------------------------------------------------------------------------------------------ */
/* All samples of the clients, or so many of them evenly spaced: the same ones in every run on this partition. */
static int choose_rows(fl_session *s, fl_diagnosis *d) {
  const size_t all = s->problem.offset[s->problem.clients], want = s->opt.diagnostics_rows;
  d->row = s->problem.index;
  d->rows = all;
  if (want && want < all) {
    if (!(d->own = calloc(want, sizeof *d->own))) return -1;
    for (size_t i = 0; i < want; i++) d->own[i] = s->problem.index[(size_t)((unsigned __int128)i * all / want)];
    d->row = d->own;
    d->rows = want;
  }
  d->leaves = (d->rows + FL_EVAL_ROWS - 1) / FL_EVAL_ROWS;
  if (!(d->loss = calloc(d->leaves, sizeof *d->loss))) return -1;
  /* A worker that has a leaf's number has its buffer: besides theirs only the nodes of one prefix can wait. */
  return fl_tree_open(&d->tree, d->leaves, s->d, (size_t)s->threads + log2_up(d->leaves) + 2);
}

int fl_diagnosis_open(fl_session *s) {
  const unsigned asked = s->opt.diagnostics;
  if (!asked) return 0;
  fl_diagnosis *d = s->diagnosis = calloc(1, sizeof *d);
  if (!d || fl_arena_open(&d->memory, vectors(s) + 8 * 64)) return -1;
  d->theta_floats = theta_floats(s);
  d->stride = asked & OF_CHANGES ? fl_padded(s->d) : 0;
  d->theta_stride = fl_padded(d->theta_floats);
  d->parts = ((d->theta_floats > s->d ? d->theta_floats : s->d) + CHUNK - 1) / CHUNK;
  d->change = fl_arena_take(&d->memory, s->m_max * d->stride * sizeof(float));
  d->theta = fl_arena_take(&d->memory, s->m_max * d->theta_stride * sizeof(float));
  d->kept = calloc(s->m_max, sizeof *d->kept);
  d->inverse = calloc(s->m_max, sizeof *d->inverse);
  d->part = calloc(d->parts, sizeof *d->part);
  if (!d->kept || !d->inverse || !d->part) return -1;
  if (asked & FL_D_CLIENTS && !(d->accuracy = calloc(s->problem.clients, sizeof *d->accuracy))) return -1;
  if (!(asked & OF_SAMPLES)) return 0;
  d->at = fl_arena_take(&d->memory, fl_padded(s->n) * sizeof(float));
  d->u = fl_arena_take(&d->memory, fl_padded(s->n) * sizeof(float));
  d->plus = fl_arena_take(&d->memory, fl_padded(s->n) * sizeof(float));
  return choose_rows(s, d);
}

void fl_diagnosis_close(fl_session *s) {
  fl_diagnosis *d = s->diagnosis;
  if (!d) return;
  fl_tree_close(&d->tree);
  fl_arena_close(&d->memory);
  void *const blocks[] = { d->kept, d->inverse, d->part, d->own, d->loss, d->accuracy, d };
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
  s->diagnosis = NULL;
}

uint64_t fl_diagnosis_bytes(const fl_session *s) {
  return s->diagnosis ? s->diagnosis->memory.size + s->diagnosis->tree.memory_bytes : 0;
}

/* ---- of the clients' changes ------------------------------------------------------------------------------------------- */
void fl_diagnosis_begin(fl_session *s) {
  s->keeps = fl_diagnosis_due(s, s->round + 1);
  if (s->keeps) memset(s->diagnosis->kept, 0, s->m_max);
}

void fl_diagnosis_keep(fl_session *s, fl_worker *w, const fl_local *lo, const float *change) {
  fl_diagnosis *d = s->diagnosis;
  const size_t p = lo->position;
  if (!s->keeps || !lo->steps || p >= s->m) return;       /* at m: the server on samples of its own */
  const double begin = fl_now();
  d->kept[p] = 1;
  if (d->stride) memcpy(d->change + p * d->stride, change, s->d * sizeof *change);
  if (d->theta_floats) s->job.rule->pack(s->job.h_rule, lo, d->theta + p * d->theta_stride);
  w->keeping += fl_now() - begin;
}

/* Elements first..first+n-1 of the kept vectors: sums over them of sum_i (v_i - mean)^2, mean^2, S^2 and S*mean, with
 * S = sum_i v_i/|v_i|. */
static void spread_of(const fl_diagnosis *d, size_t m_all, const float *v, size_t stride, size_t first, size_t n,
                      double out[SUMS]) {
  double mean[CHUNK] = { 0 }, unit[CHUNK] = { 0 }, spread[CHUNK] = { 0 };
  memset(out, 0, SUMS * sizeof *out);
  for (size_t p = 0; p < m_all; p++) {
    const float *x = v + p * stride + first;
    const double inverse = d->inverse[p];
    for (size_t e = 0; d->kept[p] && e < n; e++) {
      mean[e] += (double)x[e];
      unit[e] += inverse * (double)x[e];
    }
  }
  for (size_t e = 0; e < n; e++) mean[e] /= (double)d->m;
  for (size_t p = 0; p < m_all; p++) {
    const float *x = v + p * stride + first;
    for (size_t e = 0; d->kept[p] && e < n; e++) {
      const double off = (double)x[e] - mean[e];
      spread[e] += off * off;
    }
  }
  for (size_t e = 0; e < n; e++) {
    out[SPREAD] += spread[e];
    out[MEAN] += mean[e] * mean[e];
    out[UNITS] += unit[e] * unit[e];
    out[UNITS_MEAN] += unit[e] * mean[e];
  }
}

/* Every thread; the sums on thread 0. */
static void spread(fl_session *s, int id, const float *v, size_t floats, size_t stride, double sum[SUMS]) {
  fl_diagnosis *d = s->diagnosis;
  const size_t chunks = (floats + CHUNK - 1) / CHUNK;
  if (id == 0) atomic_store(&d->next, 0);
  fl_barrier_wait(&s->barrier);
  for (size_t c; (c = atomic_fetch_add(&d->next, 1)) < chunks;)
    spread_of(d, s->m, v, stride, c * CHUNK, floats - c * CHUNK < CHUNK ? floats - c * CHUNK : CHUNK, d->part[c]);
  fl_barrier_wait(&s->barrier);
  memset(sum, 0, SUMS * sizeof *sum);
  for (size_t c = 0; id == 0 && c < chunks; c++)
    for (int i = 0; i < SUMS; i++) sum[i] += d->part[c][i];
}

/* Thread 0, before the others pass a barrier. A zero change has no direction: it counts in the norm, not in the cosines. */
static void norms(fl_session *s) {
  fl_diagnosis *d = s->diagnosis;
  double sum = 0;
  d->m = 0;
  for (size_t p = 0; p < s->m; p++) {
    d->inverse[p] = 0;
    if (!d->kept[p]) continue;
    d->m++;
    if (!d->stride) continue;
    const double norm = sqrt(s->k->sumsq(s->d, d->change + p * d->stride));
    d->inverse[p] = norm > 0 ? 1.0 / norm : 0;
    sum += norm;
  }
  if (d->m && s->opt.diagnostics & FL_D_UPDATES) s->metrics.update_norm_mean = sum / (double)d->m;
}

static void of_changes(fl_session *s, int id) {
  fl_diagnosis *d = s->diagnosis;
  fl_metrics *m = &s->metrics;
  double sum[SUMS], directed = 0;
  if (id == 0) norms(s);
  if (d->stride) {
    spread(s, id, d->change, s->d, d->stride, sum);
    for (size_t p = 0; id == 0 && p < s->m; p++) directed += d->inverse[p] > 0;
    if (id == 0 && d->m && s->opt.diagnostics & FL_D_DRIFT) m->client_drift = sum[SPREAD] / (double)d->m;
    if (id == 0 && s->opt.diagnostics & FL_D_UPDATES) {
      if (directed > 1) m->update_cosine_pairs = (sum[UNITS] - directed) / (directed * (directed - 1));
      if (directed > 0 && sum[MEAN] > 0) m->update_cosine_mean = sum[UNITS_MEAN] / (directed * sqrt(sum[MEAN]));
    }
  }
  if (!d->theta_floats) return;
  spread(s, id, d->theta, d->theta_floats, d->theta_stride, sum);
  if (id == 0 && d->m) m->preconditioner_drift = sum[SPREAD] / (double)d->m;
}

/* ---- of the global objective ------------------------------------------------------------------------------------------- */
/* Every thread: mean loss and gradient over the rows at the point that thread 0 has set; they are thread 0's, the gradient in the
 * tree's root until released. */
static void sweep(fl_session *s, fl_worker *w, int id) {
  const fl_objective *o = s->problem.objective;
  fl_diagnosis *d = s->diagnosis;
  if (id == 0) fl_tree_begin(&d->tree, d->leaves), atomic_store(&d->next, 0);
  fl_barrier_wait(&s->barrier);
  for (;;) {
    float *leaf = fl_tree_leaf(&d->tree);
    const size_t c = atomic_fetch_add(&d->next, 1), first = c * FL_EVAL_ROWS;
    if (c >= d->leaves) {
      fl_tree_return(&d->tree, leaf);
      break;
    }
    const size_t count = d->rows - first < FL_EVAL_ROWS ? d->rows - first : FL_EVAL_ROWS;
    d->loss[c] = (double)count * o->loss_grad(o->self, s->k, d->at, d->row + first, count, leaf, w->objective);
    fl_fpenv_enter();
    s->k->scale(s->d, leaf, (float)((double)count / (double)d->rows), leaf);
    fl_tree_push(&d->tree, s->k, c, leaf);
  }
  fl_barrier_wait(&s->barrier);
  if (id == 0) d->last_loss = 0;
  for (size_t c = 0; id == 0 && c < d->leaves; c++) d->last_loss += d->loss[c];
  if (id == 0) d->last_loss /= (double)d->rows;
}

/* Thread 0: the point a*v away from the model. */
static void look_at(fl_session *s, float a, const float *v) {
  memcpy(s->diagnosis->at, s->point, s->n * sizeof *s->point);
  if (v) s->k->axpy(s->d, s->diagnosis->at, a, v);
}

static void of_gradient(fl_session *s, fl_worker *w, int id) {
  fl_diagnosis *d = s->diagnosis;
  fl_metrics *m = &s->metrics;
  const double rho = s->opt.gap_rho > 0 ? s->opt.gap_rho : radius;
  double norm = 0, loss = 0;
  if (id == 0) look_at(s, 0, NULL);
  sweep(s, w, id);
  if (id == 0) {
    norm = sqrt(s->k->sumsq(s->d, d->tree.root));
    loss = d->last_loss;
    if (s->opt.diagnostics & FL_D_GRADIENT) m->global_loss = loss, m->gradient_norm = norm;
    look_at(s, norm > 0 ? (float)(rho / norm) : 0, d->tree.root);
    fl_tree_release(&d->tree);
  }
  if (!(s->opt.diagnostics & FL_D_SAM_GAP)) return;
  sweep(s, w, id);
  if (id == 0) {
    m->sam_gap = d->last_loss - loss;
    fl_tree_release(&d->tree);
  }
}

/* Thread 0: v/|v| into u; a direction of no length stays what it was. */
static void turn(fl_session *s, const float *v) {
  const double norm = sqrt(s->k->sumsq(s->d, v));
  if (norm > 0 && isfinite(norm)) s->k->scale(s->d, s->diagnosis->u, (float)(1.0 / norm), v);
}

/* Power iteration: u <- H u / |H u|, H u by the central difference of two gradients, as Sophia-H forms it. The value is u'H u of
 * the last direction. */
static void of_hessian(fl_session *s, fl_worker *w, int id) {
  fl_diagnosis *d = s->diagnosis;
  const size_t steps = s->opt.sharpness_steps ? s->opt.sharpness_steps : STEPS;
  const double h = s->opt.sharpness_step > 0 ? s->opt.sharpness_step : displacement;
  if (id == 0) {
    const fl_key key = { s->opt.seed, FL_PURPOSE_PROBE, (uint32_t)s->round, UINT32_MAX, 0 };   /* no client has this number */
    s->k->gaussian(s->d, d->plus, 0, &key);
    turn(s, d->plus);
  }
  for (size_t i = 0; i < 2 * steps; i++) {
    const int behind = i % 2 != 0;
    if (id == 0) look_at(s, (float)(behind ? -h : h), d->u);
    sweep(s, w, id);
    if (id != 0) continue;
    if (!behind) {
      memcpy(d->plus, d->tree.root, s->d * sizeof *d->plus);
    } else {
      s->k->sub(s->d, d->plus, d->plus, d->tree.root);
      s->k->scale(s->d, d->plus, (float)(0.5 / h), d->plus);
      s->metrics.sharpness = s->k->dot(s->d, d->u, d->plus);
      turn(s, d->plus);
    }
    fl_tree_release(&d->tree);
  }
}

/* ---- of the clients' samples ------------------------------------------------------------------------------------------- */
static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The model's accuracy on the samples of each client that has some: mean, mean of the worst tenth, standard deviation. */
static void combine_clients(fl_session *s) {
  fl_diagnosis *d = s->diagnosis;
  double sum = 0, square = 0, worst = 0;
  size_t n = 0;
  for (size_t i = 0; i < s->problem.clients; i++)
    if (fl_client_samples(s, (uint32_t)i)) d->accuracy[n++] = d->accuracy[i];
  qsort(d->accuracy, n, sizeof *d->accuracy, by_value);
  const size_t tenth = (n + 9) / 10;
  for (size_t i = 0; i < n; i++) {
    sum += d->accuracy[i];
    if (i + 1 == tenth) worst = sum / (double)tenth;
  }
  const double mean = sum / (double)n;
  for (size_t i = 0; i < n; i++) square += (d->accuracy[i] - mean) * (d->accuracy[i] - mean);
  s->metrics.client_accuracy_mean = mean;
  s->metrics.client_accuracy_worst = worst;
  s->metrics.client_accuracy_std = sqrt(square / (double)n);
}

static void of_clients(fl_session *s, fl_worker *w, int id) {
  const fl_objective *o = s->problem.objective;
  fl_diagnosis *d = s->diagnosis;
  if (id == 0) atomic_store(&d->next, 0);
  fl_barrier_wait(&s->barrier);
  for (size_t i; (i = atomic_fetch_add(&d->next, 1)) < s->problem.clients;) {
    const uint32_t *row = s->problem.index + s->problem.offset[i];
    const size_t n = fl_client_samples(s, (uint32_t)i);
    uint64_t correct = 0;
    for (size_t first = 0; first < n; first += FL_EVAL_ROWS) {
      fl_eval e = { 0 };
      o->evaluate_samples(o->self, s->k, s->point, row + first, n - first < FL_EVAL_ROWS ? n - first : FL_EVAL_ROWS, &e,
                          w->objective);
      fl_fpenv_enter();
      correct += e.correct;
    }
    d->accuracy[i] = n ? (double)correct / (double)n : 0;
  }
  fl_barrier_wait(&s->barrier);
  if (id == 0) combine_clients(s);
}

/* ---- the round ----------------------------------------------------------------------------------------------------------- */
void fl_diagnosis_clear(fl_metrics *m) {
  double *const column[] = { &m->client_drift, &m->update_norm_mean, &m->update_cosine_pairs, &m->update_cosine_mean,
                             &m->preconditioner_drift, &m->global_loss, &m->gradient_norm, &m->sam_gap, &m->sharpness,
                             &m->client_accuracy_mean, &m->client_accuracy_worst, &m->client_accuracy_std };
  for (size_t i = 0; i < sizeof column / sizeof *column; i++) *column[i] = (double)NAN;
}

void fl_diagnose(fl_session *s, fl_worker *w, int id) {
  const unsigned asked = s->opt.diagnostics;
  if (asked & (OF_CHANGES | FL_D_PRECONDITIONER)) of_changes(s, id);
  if (asked & OF_GRADIENT) of_gradient(s, w, id);
  if (asked & FL_D_SHARPNESS) of_hessian(s, w, id);
  if (asked & FL_D_CLIENTS) of_clients(s, w, id);
}
