/* soap.c - SOAP: Adam in the eigenbasis of Shampoo's factors (deep-first-order 18, federated-adaptive 17; Vyas et al. 2024,
 * arXiv 2409.11321). A tensor of two or more dimensions has a factor S and a basis Q for every axis:
 *
 *   first call:  S <- sb*S + (1 - sb)*(unfolded G)(unfolded G)^T;  Q = eigenvectors of S, eigenvalues descending;  y stays
 *   step n = 1, 2, ...:
 *     P = G turned by Q^T on every axis;   m <- beta1*m + (1 - beta1)*P;   v <- beta2*v + (1 - beta2)*P^2
 *     y <- (1 - lr*weight_decay)*(y - lr*sqrt(1 - beta2^n)/(1 - beta1^n) * (m/(sqrt(v) + eps) turned back by Q))
 *     S <- sb*S + (1 - sb)*(unfolded G)(unfolded G)^T, after the step: the basis never holds the current G
 *     n mod precond_every = 0: columns of Q, and v along the axis, sorted by diag(Q^T S Q) descending; then Q <- Q-factor of
 *                              QR(S Q), one step of power iteration; m is turned from the old bases to the new
 *
 * G is the mixed gradient. m is kept turned, as the federated specification has it (the other specification keeps it unturned and
 * turns it at each step: the same up to rounding). Decay and step are one expression here. Vectors: the same without bases, first
 * call skipped as well. soap_skip_first = no: a run that begins from the server's factors builds its bases from them and moves at
 * once. theta (FedPAC): the factors S. Streams of the element-wise part R{y,g,m,v} W{y,m,v}; products 6*(a + b) FLOPs a
 * parameter. */
#include "kronecker.h"
#include "rule.h"

enum { H_BETA1, H_BETA2, H_SHAMPOO_BETA, H_EPS, H_WEIGHT_DECAY, H_EVERY, H_MAX_DIM, H_CONV, H_SKIP };
static const fl_param params[] = {
  [H_BETA1] = { "beta1", 0.95, 0, 1, NULL, "decay of the first moment", FL_BELOW },
  [H_BETA2] = { "beta2", 0.95, 0, 1, NULL, "decay of the second moment", FL_BELOW },
  [H_SHAMPOO_BETA] = { "shampoo_beta", -1, -1, 1, NULL, "decay of the factors (-1: beta2)", FL_BELOW },
  [H_EPS] = { "eps", 1e-8, 1e-38, 1, NULL, "added to the root of the second moment, which is not bias corrected", 0 },
  [H_WEIGHT_DECAY] = { "weight_decay", 0.01, 0, 1e3, NULL, "decoupled decay of the weights, after the step", 0 },
  [H_EVERY] = { "precond_every", 10, 1, 1e9, NULL, "steps between two refreshes of the bases", FL_WHOLE },
  [H_MAX_DIM] = { "max_precond_dim", 10000, 1, 65535, NULL, "longest axis that gets a factor", FL_WHOLE },
  [H_CONV] = { "conv_factors", 0, 0, 0, "axes|2d", "a convolution's factors: of its four axes, or of (out, in*kh*kw)", 0 },
  [H_SKIP] = { "soap_skip_first", 1, 0, 0, "no|yes",
               "the first step only builds the bases, also when factors came from the server", 0 },
};

static int has_factors(const fl_tensor *t) { return t->ndim >= 2 && t->role != FL_BUFFER; }
static fl_axes axes_of(const double *h, const fl_tensor *t) { return fl_axes_of(t, h[H_CONV] != 0, (size_t)h[H_MAX_DIM]); }

static size_t factor_floats(const double *h, const fl_job *job) {
  size_t n = 0;
  for (size_t i = 0; i < job->layout->n; i++) {
    const fl_tensor *t = &job->layout->tensor[i];
    if (has_factors(t)) n += axes_of(h, t).floats;
  }
  return n;
}
/* m, v, S, Q */
static size_t state(const double *h, const fl_job *job) { return 2 * job->layout->d + 2 * factor_floats(h, job); }

/* Three tensors (G, and two that turn), then what one axis needs: statistics, eigenvectors or a refresh. */
static size_t axis_work(const fl_axes *a) {
  const size_t n = fl_axes_longest(a), eigen = n + fl_eigh_work(n), refresh = 2 * n * n + 2 * n + fl_qr_work(n, n),
      stats = fl_axes_work(a);
  const size_t most = eigen > refresh ? eigen : refresh;
  return most > stats ? most : stats;
}
static size_t work_floats(const double *h, const fl_job *job) {
  size_t most = 0;
  for (size_t i = 0; i < job->layout->n; i++) {
    const fl_tensor *t = &job->layout->tensor[i];
    if (!has_factors(t)) continue;
    const fl_axes a = axes_of(h, t);
    const size_t need = 3 * t->size + axis_work(&a);
    if (need > most) most = need;
  }
  return most;
}

static void start(const double *h, fl_local *lo, const float *theta) {
  const size_t d = lo->job->layout->d, factors = factor_floats(h, lo->job);
  memset(lo->state, 0, (2 * d + 2 * factors) * sizeof(float));
  if (theta) memcpy(lo->state + 2 * d, theta, factors * sizeof(float));
}
static void pack(const double *h, const fl_local *lo, float *theta) {
  memcpy(theta, lo->state + 2 * lo->job->layout->d, factor_floats(h, lo->job) * sizeof(float));
}

/* Where a tensor's parts lie; the scratch begins with three tensors. */
typedef struct { fl_axes a; float *m, *v, *s, *q, *x, *z, *work; const float *g; } parts;

/* x turned by all bases, to them or back; the result lies in x. */
static void turn(const fl_local *lo, parts *p, int to_basis) {
  for (int i = 0; i < p->a.ndim; i++) {
    if (!p->a.has[i]) continue;
    fl_axis_product(lo->k, &p->a, i, to_basis, p->q + p->a.factor[i], p->x, p->z);
    float *swap = p->x;
    p->x = p->z, p->z = swap;
  }
}

static void build_bases(const fl_local *lo, parts *p) {
  for (int i = 0; i < p->a.ndim; i++)
    if (p->a.has[i]) fl_eigh(lo->k, p->a.n[i], p->s + p->a.factor[i], p->work, p->q + p->a.factor[i], p->work + p->a.n[i]);
}

static void statistics(const double *h, const fl_local *lo, parts *p) {
  const double beta = h[H_SHAMPOO_BETA] < 0 ? h[H_BETA2] : h[H_SHAMPOO_BETA];
  for (int i = 0; i < p->a.ndim; i++)
    if (p->a.has[i])
      fl_axis_statistics(lo->k, &p->a, i, p->g, (float)beta, (float)(1.0 - beta), p->s + p->a.factor[i], p->work);
}

/* order: the columns by estimate, descending, equals as they were. Bases change little, so that insertion is nearly linear. */
static void sort_columns(size_t n, const float *estimate, uint32_t *order) {
  for (size_t i = 0; i < n; i++) {
    size_t at = i;
    for (; at && estimate[order[at - 1]] < estimate[i]; at--) order[at] = order[at - 1];
    order[at] = (uint32_t)i;
  }
}

/* rows x n x post, middle index by order; out is not x. */
static void permute(size_t rows, size_t n, size_t post, const uint32_t *order, const float *x, float *out) {
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < n; i++) memcpy(out + (r * n + i) * post, x + (r * n + order[i]) * post, post * sizeof *x);
}

static void refresh_axis(const fl_local *lo, parts *p, int axis) {
  const size_t n = p->a.n[axis];
  float *q = p->q + p->a.factor[axis], *sq = p->work, *sorted = sq + n * n, *estimate = sorted + n * n;
  uint32_t *order = (uint32_t *)(void *)(estimate + n);
  float *qr = estimate + 2 * n;
  size_t post = 1, pre = 1;
  for (int i = 0; i < p->a.ndim; i++) {
    if (i < axis) pre *= p->a.n[i];
    if (i > axis) post *= p->a.n[i];
  }
  lo->k->gemm_nn(n, n, n, p->s + p->a.factor[axis], n, q, n, sq, n, FL_GEMM_PIECE);
  for (size_t j = 0; j < n; j++) {
    double sum = 0;                             /* row by row, in double */
    for (size_t i = 0; i < n; i++) sum += (double)q[i * n + j] * (double)sq[i * n + j];
    estimate[j] = (float)sum;
  }
  sort_columns(n, estimate, order);
  permute(n, n, 1, order, sq, sorted);          /* S times the sorted columns of Q */
  permute(pre, n, post, order, p->v, p->z);
  memcpy(p->v, p->z, p->a.size * sizeof(float));
  fl_qr(lo->k, n, n, sorted, q, NULL, qr);
}

static void refresh(const fl_local *lo, parts *p) {
  memcpy(p->x, p->m, p->a.size * sizeof(float));
  turn(lo, p, 0);
  for (int i = 0; i < p->a.ndim; i++)
    if (p->a.has[i]) refresh_axis(lo, p, i);
  turn(lo, p, 1);
  memcpy(p->m, p->x, p->a.size * sizeof(float));
}

typedef struct { fl_adamw_args adam; float lr; uint64_t n; int skip; } step_args;

static void step_matrix(const double *h, fl_local *lo, const fl_tensor *t, const step_args *s, parts *p) {
  p->x = lo->work + t->size, p->z = p->x + t->size, p->work = p->z + t->size;
  p->g = mixed_gradient(lo, t->offset, t->size);
  if (lo->clock.k == 1) {
    if (s->skip) statistics(h, lo, p);
    build_bases(lo, p);
  }
  if (!s->skip) {
    fl_adamw_args direction = s->adam;
    direction.decay = 0.0f, direction.step = -1.0f;    /* z = m/(sqrt(v) + eps) */
    memcpy(p->x, p->g, t->size * sizeof(float));
    turn(lo, p, 1);
    memset(p->z, 0, t->size * sizeof(float));
    lo->k->adamw(t->size, p->z, p->m, p->v, p->x, &direction);
    float *swap = p->x;
    p->x = p->z, p->z = swap;
    turn(lo, p, 0);
    lo->k->sgd(t->size, lo->y + t->offset, p->x, s->adam.decay, s->lr);
    statistics(h, lo, p);
    if (s->n % (uint64_t)h[H_EVERY] == 0) refresh(lo, p);
  }
  drift_after(lo, t->offset, t->size);
}

static void step(const double *h, fl_local *lo) {
  const fl_layout *l = lo->job->layout;
  const int skips = h[H_SKIP] != 0 || !lo->theta || lo->moved == 0;   /* the server has no factors yet */
  const uint64_t n = lo->clock.k - (skips ? 1 : 0), at = n ? n : 1;
  const double decay = 1.0 - lo->clock.lr * h[H_WEIGHT_DECAY];
  const double lr = lo->clock.lr * sqrt(1.0 - fl_pow_int(h[H_BETA2], at)) / (1.0 - fl_pow_int(h[H_BETA1], at)) * decay;
  step_args s = { .adam = { .beta1 = (float)h[H_BETA1], .omb1 = (float)(1.0 - h[H_BETA1]), .beta2 = (float)h[H_BETA2],
                            .omb2 = (float)(1.0 - h[H_BETA2]), .decay = (float)decay, .step = (float)lr, .eps = (float)h[H_EPS] },
                  .lr = (float)lr, .n = n, .skip = n == 0 };
  float *factor = lo->state + 2 * l->d, *basis = factor + factor_floats(h, lo->job);
  for (size_t i = 0; i < l->n; i++) {
    const fl_tensor *t = &l->tensor[i];
    if (t->role == FL_BUFFER) continue;
    if (has_factors(t)) {
      parts p = { .a = axes_of(h, t), .m = lo->state + t->offset, .v = lo->state + l->d + t->offset, .s = factor, .q = basis };
      step_matrix(h, lo, t, &s, &p);
      factor += p.a.floats, basis += p.a.floats;
    } else if (s.skip) {
      drift_after(lo, t->offset, t->size);
    } else {
      fl_mixed_step(lo, t->offset, t->size, plain_adamw, &s.adam);
    }
  }
}

const fl_rule fl_rule_soap = { .name = "soap", .help = "Adam in the eigenbasis of Shampoo's factors", .params = params,
                               .n_params = sizeof params / sizeof *params,
                               .needs = "soap_skip_first aggregate=yes,stage lada",
                               .lr = 3e-3, .state = state, .work = work_floats,
                               .theta = factor_floats, .start = start, .pack = pack, .step = step };
