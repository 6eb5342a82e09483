/* shampoo.c - Shampoo: a Kronecker preconditioner (deep-first-order 17, federated-adaptive 19; Gupta, Koren, Singer 2018, arXiv
 * 1802.09568), with grafting (Agarwal et al. 2020, arXiv 2002.11803). G the mixed gradient, w axes of a tensor, S its factors:
 *
 *   paper   S <- S + (unfolded G)(unfolded G)^T from 0;     D = G times (S + eps*I)^(-1/(2w)) on every axis
 *           vectors: a <- a + g^2 from eps;  D = g/sqrt(a)
 *           shampoo_decay < 1: averages, S <- shampoo_decay*S + (1 - shampoo_decay)*(unfolded G)(...)^T, and a likewise: with a
 *           theta that lives on from round to round the sums would grow for ever (federated-adaptive 20)
 *   ema     S <- beta2*S + (1 - beta2)*(unfolded G)(...)^T from 0;   m, v as Adam's;   mh = m/c1, c1 = 1 - beta1^k, c2 likewise
 *           D = mh times (S/c2 + eps*I)^(-1/(2w)) on every axis;    vectors: D = D_graft, Adam's when graft = none
 *   code    the third-party optimizer of a released federated baseline: exponent -1/w, vectors with the full matrix (w = 1), and
 *           each axis's factor sees the gradient already multiplied by those before it
 *
 *   graft   D <- D*|D_graft|/|D| for each tensor:  sgd: G;  adagrad: G/(sqrt(sum G*G) + graft_eps);  adam: mh/(sqrt(v/c2) +
 *   graft_eps) y <- (1 - lr*weight_decay)*y - lr*D
 *
 * The paper begins S at eps*I: the same sum, but in fp32 the eps of a large S would be lost and a root become infinite.
 * Roots are taken by symmetric eigendecomposition when (k-1) mod precond_every = 0, negative eigenvalues counted as 0; statistics
 * every step. In fp32 eps below 1e-6 lets rounding noise through (ema's published 1e-12 is for wider arithmetic).
 * theta (FedPAC; our extension, inferred): S, and the accumulators a of the vectors (ema: their v; both
 * then carry over the rounds and are corrected by the global step t). Products 4*(a + b) FLOPs a
 * parameter and step. */
#include "kronecker.h"
#include "rule.h"

enum { H_VARIANT, H_EPS, H_BETA1, H_BETA2, H_GRAFT, H_GRAFT_EPS, H_EVERY, H_WEIGHT_DECAY, H_MAX_DIM, H_CONV, H_DECAY };
enum { PAPER, EMA, CODE };
enum { NONE, SGD, ADAGRAD, ADAM };
static const fl_param params[] = {
  [H_VARIANT] = { "variant", PAPER, 0, 0, "paper|ema|code", "sums with exponent -1/(2w); averages; a third-party code's form",
                  0 },
  [H_EPS] = { "eps", 1e-4, 1e-38, 1e6, NULL, "added to the factors' eigenvalues; where the vectors' sums begin", 0 },
  [H_BETA1] = { "beta1", 0.9, 0, 1, NULL, "ema: decay of the first moment", FL_BELOW },
  [H_BETA2] = { "beta2", 0.999, 0, 1, NULL, "ema: decay of the factors and of the second moment", FL_BELOW },
  [H_GRAFT] = { "graft", NONE, 0, 0, "none|sgd|adagrad|adam", "whose length the step of a tensor gets", 0 },
  [H_GRAFT_EPS] = { "graft_eps", 1e-8, 1e-38, 1, NULL, "added to the root in the graft's denominator", 0 },
  [H_EVERY] = { "precond_every", 10, 1, 1e9, NULL, "steps between two computations of the roots", FL_WHOLE },
  [H_WEIGHT_DECAY] = { "weight_decay", 0, 0, 1e3, NULL, "decoupled decay of the weights", 0 },
  [H_MAX_DIM] = { "max_precond_dim", 8192, 1, 65535, NULL, "longest axis that gets a factor", FL_WHOLE },
  [H_CONV] = { "conv_factors", 0, 0, 0, "axes|2d", "a convolution's factors: of its four axes, or of (out, in*kh*kw)", 0 },
  [H_DECAY] = { "shampoo_decay", 1, 0, 1, NULL, "decay of the factors and of the vectors' squares; 1: sums", FL_ABOVE },
};
enum { LONGEST_VECTOR = 4096 };                 /* of variant code, whose statistic of a vector is a matrix */

static int variant(const double *h) { return (int)h[H_VARIANT]; }
static int has_factors(const double *h, const fl_tensor *t) {
  return t->role != FL_BUFFER && (t->ndim >= 2 || variant(h) == CODE);
}
static fl_axes axes_of(const double *h, const fl_tensor *t) { return fl_axes_of(t, h[H_CONV] != 0, (size_t)h[H_MAX_DIM]); }

static const char *setup(const double *h, const fl_job *job, int as_server) {
  const char *s = as_server ? "server_" : "";
  const int graft = (int)h[H_GRAFT];
  if (variant(h) == EMA && graft == ADAGRAD)
    return fl_why(job, "rule shampoo: %sgraft = adagrad is not defined for %svariant = ema; allowed: none, sgd, adam", s, s);
  if (variant(h) != EMA && graft == ADAM)
    return fl_why(job, "rule shampoo: %sgraft = adam needs the moments of %svariant = ema; allowed: none, sgd, adagrad", s, s);
  for (size_t i = 0; job->layout && variant(h) == CODE && i < job->layout->n; i++) {
    const fl_tensor *t = &job->layout->tensor[i];
    if (t->ndim == 1 && t->role != FL_BUFFER && t->size > LONGEST_VECTOR)
      return fl_why(job, "rule shampoo: %svariant = code needs a full matrix for a vector, and '%s' has %zu parameters, more "
                         "than %d; allowed: paper, ema", s, t->name, t->size, LONGEST_VECTOR);
  }
  return NULL;
}

static size_t factor_floats(const double *h, const fl_job *job) {
  size_t n = 0;
  for (size_t i = 0; i < job->layout->n; i++)
    if (has_factors(h, &job->layout->tensor[i])) n += axes_of(h, &job->layout->tensor[i]).floats;
  return n;
}
static size_t vector_floats(const double *h, const fl_job *job) {
  size_t n = job->layout->d;
  for (size_t i = 0; i < job->layout->n; i++)
    if (has_factors(h, &job->layout->tensor[i])) n -= job->layout->tensor[i].size;
  return n;
}
static size_t moments(const double *h, const fl_job *job) {
  return (variant(h) == EMA || (int)h[H_GRAFT] == ADAGRAD ? 2 : 1) * job->layout->d;
}
/* Accumulators a of the vectors (ema: v); sums of the adagrad graft (ema: m); S; the roots. */
static size_t state(const double *h, const fl_job *job) { return moments(h, job) + 2 * factor_floats(h, job); }
static size_t theta_floats(const double *h, const fl_job *job) { return factor_floats(h, job) + vector_floats(h, job); }

static size_t work_floats(const double *h, const fl_job *job) {
  size_t most = 0;
  for (size_t i = 0; i < job->layout->n; i++) {
    const fl_tensor *t = &job->layout->tensor[i];
    if (t->role == FL_BUFFER) continue;
    size_t need = 4 * t->size;                  /* G, two that turn, the graft's direction */
    if (has_factors(h, t)) {
      const fl_axes a = axes_of(h, t);
      const size_t n = fl_axes_longest(&a), root = n * n + fl_inverse_root_work(n), stats = fl_axes_work(&a);
      need += root > stats ? root : stats;
    }
    if (need > most) most = need;
  }
  return most;
}

static void start(const double *h, fl_local *lo, const float *theta) {
  const fl_layout *l = lo->job->layout;
  float *s = lo->state + moments(h, lo->job);
  memset(lo->state, 0, state(h, lo->job) * sizeof(float));
  /* the server's first zeros are the factors' initial state, not the vectors' */
  const int sums = lo->moved > 0;
  for (size_t i = 0; i < l->n; i++) {
    const fl_tensor *t = &l->tensor[i];
    if (t->role == FL_BUFFER) continue;
    const int factors = has_factors(h, t);
    const float first = variant(h) == EMA ? 0.0f : (float)h[H_EPS];
    const size_t n = factors ? axes_of(h, t).floats : t->size;
    if (factors && theta) memcpy(s, theta, n * sizeof *s);
    for (size_t j = 0; !factors && j < n; j++) lo->state[t->offset + j] = theta && sums ? theta[j] : first;
    if (theta) theta += n;
    if (factors) s += n;
  }
}
static void pack(const double *h, const fl_local *lo, float *theta) {
  const fl_layout *l = lo->job->layout;
  const float *s = lo->state + moments(h, lo->job);
  for (size_t i = 0; i < l->n; i++) {
    const fl_tensor *t = &l->tensor[i];
    if (t->role == FL_BUFFER) continue;
    const int factors = has_factors(h, t);
    const size_t n = factors ? axes_of(h, t).floats : t->size;
    memcpy(theta, factors ? s : lo->state + t->offset, n * sizeof *theta);
    theta += n;
    if (factors) s += n;
  }
}

typedef struct {
  fl_axes a;
  const float *g;
  float *s, *root, *x, *z, *graft, *work;   /* scratch: x becomes D, graft D_graft */
  double c1, c2, c2_factor;                     /* bias corrections: moments, factors */
  int due;
} parts;

static void take_root(const double *h, const fl_local *lo, const parts *p, int axis) {
  const size_t n = p->a.n[axis];
  const double order = variant(h) == CODE ? p->a.ndim : 2 * p->a.ndim;
  const float *s = p->s + p->a.factor[axis];
  float *scaled = p->work;
  if (variant(h) == EMA) lo->k->scale(n * n, scaled, (float)(1.0 / p->c2_factor), s), s = scaled;
  fl_inverse_root(lo->k, n, s, order, (float)h[H_EPS], p->root + p->a.factor[axis], p->work + n * n);
}

static void precondition(const double *h, const fl_local *lo, parts *p) {
  const double keep = h[variant(h) == EMA ? H_BETA2 : H_DECAY];
  const float beta = (float)keep, omb = (float)(variant(h) != EMA && keep == 1.0 ? 1.0 : 1.0 - keep);
  for (int i = 0; i < p->a.ndim; i++) {
    if (!p->a.has[i]) continue;
    fl_axis_statistics(lo->k, &p->a, i, variant(h) == CODE ? p->x : p->g, beta, omb, p->s + p->a.factor[i], p->work);
    if (p->due) take_root(h, lo, p, i);
    fl_axis_product(lo->k, &p->a, i, 0, p->root + p->a.factor[i], p->x, p->z);
    float *swap = p->x;
    p->x = p->z, p->z = swap;
  }
}

/* y = m/(sqrt(v) + eps)*scale with the moments renewed by AdamW's kernel; beta2 = 1: v sums. */
static void moments_direction(const fl_local *lo, size_t n, float *y, float *m, float *v, const float *g, double beta1,
                              double beta2, double scale, double eps) {
  const int sums = beta2 == 1.0;
  const fl_adamw_args a = { .beta1 = (float)beta1, .omb1 = (float)(1.0 - beta1), .beta2 = (float)beta2,
                            .omb2 = sums ? 1.0f : (float)(1.0 - beta2), .decay = 0.0f, .step = (float)-scale, .eps = (float)eps };
  memset(y, 0, n * sizeof *y);
  lo->k->adamw(n, y, m, v, g, &a);
}
/* y = g/(sqrt(v) + eps), v <- beta2*v + (1 - beta2)*g^2, or with beta2 = 1 v + g^2. */
static void squares_direction(const fl_local *lo, const parts *p, size_t n, float *y, float *v, double beta2, double eps) {
  memset(p->z, 0, n * sizeof *p->z);            /* scratch: 0 times what a diverged client left there would be NaN */
  moments_direction(lo, n, y, p->z, v, p->g, 0.0, beta2, 1.0, eps);
}

/* D_graft, and with ema the moments. */
static void graft_direction(const double *h, const fl_local *lo, const fl_tensor *t, parts *p) {
  const int graft = (int)h[H_GRAFT];
  float *v = lo->state + t->offset, *m = v + lo->job->layout->d;
  const double c2 = sqrt(p->c2);
  if (variant(h) == EMA)
    moments_direction(lo, t->size, p->graft, m, v, p->g, h[H_BETA1], h[H_BETA2], c2 / p->c1, h[H_GRAFT_EPS] * c2);
  else if (graft == ADAGRAD)
    squares_direction(lo, p, t->size, p->graft, v + lo->job->layout->d, 1.0, h[H_GRAFT_EPS]);
  if (graft == SGD) memcpy(p->graft, p->g, t->size * sizeof(float));
}

/* The direction of one tensor, in p->x. */
static void direction(const double *h, const fl_local *lo, const fl_tensor *t, parts *p) {
  const int graft = (int)h[H_GRAFT], factors = has_factors(h, t);
  float *v = lo->state + t->offset, *m = v + lo->job->layout->d;
  graft_direction(h, lo, t, p);
  if (!factors && variant(h) == EMA) {
    memcpy(p->x, p->graft, t->size * sizeof(float));
    return;
  }
  if (!factors) {                               /* a <- a + g^2; D = g/sqrt(a) */
    squares_direction(lo, p, t->size, p->x, v, h[H_DECAY], 0.0);
  } else {
    if (variant(h) == EMA) lo->k->scale(t->size, p->x, (float)(1.0 / p->c1), m);
    else memcpy(p->x, p->g, t->size * sizeof(float));
    precondition(h, lo, p);
  }
  if (graft == NONE) return;
  const double own = sqrt(lo->k->sumsq(t->size, p->x)), want = sqrt(lo->k->sumsq(t->size, p->graft));
  if (own != 0.0) lo->k->scale(t->size, p->x, (float)(want / own), p->x);
}

static void step(const double *h, fl_local *lo) {
  const fl_layout *l = lo->job->layout;
  const double c1 = 1.0 - fl_pow_int(h[H_BETA1], lo->clock.k), c2 = 1.0 - fl_pow_int(h[H_BETA2], lo->clock.k);
  const double carried = lo->theta ? 1.0 - fl_pow_int(h[H_BETA2], lo->clock.t) : c2;
  const int due = (lo->clock.k - 1) % (uint64_t)h[H_EVERY] == 0;
  float *s = lo->state + moments(h, lo->job), *root = s + factor_floats(h, lo->job);
  for (size_t i = 0; i < l->n; i++) {
    const fl_tensor *t = &l->tensor[i];
    if (t->role == FL_BUFFER) continue;
    float *x = lo->work + t->size;
    parts p = { .g = mixed_gradient(lo, t->offset, t->size), .s = s, .root = root, .x = x, .z = x + t->size,
                .graft = x + 2 * t->size, .work = x + 3 * t->size, .c1 = c1, .c2 = has_factors(h, t) ? c2 : carried,
                .c2_factor = carried, .due = due };
    if (has_factors(h, t)) p.a = axes_of(h, t), s += p.a.floats, root += p.a.floats;
    direction(h, lo, t, &p);
    lo->k->sgd(t->size, lo->y + t->offset, p.x, (float)(1.0 - lo->clock.lr * h[H_WEIGHT_DECAY]), (float)lo->clock.lr);
    drift_after(lo, t->offset, t->size);
  }
}

const fl_rule fl_rule_shampoo = { .name = "shampoo", .help = "Kronecker-preconditioned gradient", .params = params,
                                  .n_params = sizeof params / sizeof *params,
                                  .needs = "shampoo_decay variant=paper|code; beta1 variant=ema; beta2 variant=ema; "
                                           "graft_eps graft=adagrad|adam,variant=ema",
                                  .lr = 0.1, .setup = setup, .state = state, .work = work_floats,
                                  .theta = theta_floats, .start = start, .pack = pack, .step = step };
