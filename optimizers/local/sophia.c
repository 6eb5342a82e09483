/* sophia.c - Sophia: a step by diagonal curvature, clipped coordinate by coordinate (deep-first-order 19,
 * federated-adaptive 18; Liu et al. 2023, arXiv 2305.14342):
 *
 *   when (k-1) mod hess_every = 0:  h <- beta2*h + (1 - beta2)*B*hhat
 *   m <- beta1*m + (1 - beta1)*v
 *   y <- (1 - lr*weight_decay)*y - lr*clamp(m / (rho*h + eps), -1, 1)            denominator = sum (the authors' code)
 *                                  ... m / max(rho*h, eps) ...                   denominator = max (the paper, rho its gamma)
 *
 * v the mixed gradient, no bias correction. hhat by `hessian`:
 *   gnb              G: s*s, s the gradient of the mean loss with labels drawn from the model's own softmax, on the step's batch;
 *                    B = bs, the number of examples behind s (0: the rows of the batch). One more gradient a refresh. The
 *                    authors' code applies B where h is used, with all batches alike; here it is the batch's own, so that a
 *                    partial one counts right.
 *   gradient_square  v*v, the step's own gradient; B likewise. What the released federated baseline does.
 *   hutchinson       H: u*(Hess u), u standard normal or +-1, B = 1; the product is the central difference of two gradients at
 *                    y +- hvp_step*u on the step's batch, counted as two. The scheme and the default of hvp_step are ours
 *                    (inferred: the paper only asks for a Hessian-vector product). h may be negative: then the step is the
 *                    clipped sign step, in both forms of the denominator.
 *   never            h stays 0 (or the server's): y moves by lr*sign(m), as a released federated script did by mistake.
 *
 * The share of coordinates that the clip left alone, at the last step of a round or epoch where an estimate is due, is the column
 * `unclipped` of a run's rounds (a pass over m and h, in the optimizer's time). hess_first = after: the first refresh after step
 * hess_every, as in the authors' code; before: at step 1 (the paper). The decay uses the step's own lr, also where a stage lowers
 * it (FedPAC). theta (FedPAC): h, with B. Streams R{y,g,m,h} W{y,m}: 24 bytes; a refresh R{h,s} W{h}. */
#include <fedlane/optimizer.h>
#include <string.h>

enum { H_BETA1, H_BETA2, H_RHO, H_EPS, H_WEIGHT_DECAY, H_HESSIAN, H_EVERY, H_FIRST, H_BS, H_DENOMINATOR, H_PROBE, H_HVP_STEP };
enum { GNB, GRADIENT_SQUARE, HUTCHINSON, NEVER };
static const fl_param params[] = {
  [H_BETA1] = { "beta1", 0.965, 0, 1, NULL, "decay of the first moment", FL_BELOW },
  [H_BETA2] = { "beta2", 0.99, 0, 1, NULL, "decay of the curvature", FL_BELOW },
  [H_RHO] = { "sophia_rho", 0.04, 0, 1e6, NULL, "factor of the curvature in the denominator (the paper's gamma)", 0 },
  [H_EPS] = { "eps", 1e-15, 1e-38, 1, NULL, "added to the denominator, or its floor (1e-12 in the paper)", 0 },
  [H_WEIGHT_DECAY] = { "weight_decay", 0.1, 0, 1e3, NULL, "decoupled decay of the weights", 0 },
  [H_HESSIAN] = { "hessian", GNB, 0, 0, "gnb|gradient_square|hutchinson|never", "estimate of the curvature", 0 },
  [H_EVERY] = { "hess_every", 10, 1, 1e9, NULL, "steps between two estimates", FL_WHOLE },
  [H_FIRST] = { "hess_first", 0, 0, 0, "before|after", "first estimate before step 1, or after step hess_every", 0 },
  [H_BS] = { "bs", 0, 0, 1e9, NULL, "examples behind an estimate (0: the rows of the batch)", 0 },
  [H_DENOMINATOR] = { "denominator", 0, 0, 0, "sum|max", "rho*h + eps, or max(rho*h, eps)", 0 },
  [H_PROBE] = { "probe", 0, 0, 0, "gaussian|rademacher", "distribution of u of hutchinson", 0 },
  [H_HVP_STEP] = { "hvp_step", 1e-3, 0, 1, NULL, "distance of the two gradients of hutchinson, in units of u", FL_ABOVE },
};
static int asks(const double *h) { return (int)h[H_HESSIAN] == GNB || (int)h[H_HESSIAN] == HUTCHINSON; }

static const char *setup(const double *h, const fl_job *job, int as_server) {
  if (as_server && asks(h))
    return "rule sophia on the server: server_hessian = gnb and hutchinson ask for gradients, of which the server has none; "
           "allowed: gradient_square, never";
  if (job->layout && (int)h[H_HESSIAN] == GNB && !job->sampled_labels)
    return "rule sophia: hessian = gnb draws labels from a softmax, which this objective does not offer; allowed: "
           "gradient_square, hutchinson, never";
  return NULL;
}

static size_t dim(const fl_job *job) { return job->layout->d; }
static size_t state(const double *h, const fl_job *job) { (void)h; return 2 * dim(job); }       /* m, h */
static size_t theta_floats(const double *h, const fl_job *job) { (void)h; return dim(job); }
/* The sampled gradient; or the shifted point with the buffers, u and two gradients. */
static size_t work_floats(const double *h, const fl_job *job) {
  const size_t buffers = job->layout->buffers;
  return (int)h[H_HESSIAN] == HUTCHINSON ? 4 * dim(job) + buffers : asks(h) ? dim(job) : 0;
}

static void start(const double *h, fl_local *lo, const float *theta) {
  const size_t d = dim(lo->job);
  (void)h;
  memset(lo->state, 0, 2 * d * sizeof(float));
  if (theta) memcpy(lo->state + d, theta, d * sizeof(float));
}
static void pack(const double *h, const fl_local *lo, float *theta) {
  const size_t d = dim(lo->job);
  (void)h;
  memcpy(theta, lo->state + d, d * sizeof(float));
}

static fl_key key_of(const fl_local *lo, uint32_t purpose) {
  fl_key key = lo->key;
  key.purpose = purpose;
  return key;
}

static void refresh_gnb(const double *h, fl_local *lo, double omb2) {
  const fl_key key = key_of(lo, FL_PURPOSE_LABELS);
  const fl_ask ask = { .at = lo->y, .labels = &key };
  float *s = lo->work;
  fl_ask_more(lo, &ask, s);
  lo->k->curvature(dim(lo->job), lo->state + dim(lo->job), (float)h[H_BETA2], (float)omb2, s, s);
}

static void refresh_hutchinson(const double *h, fl_local *lo) {
  const size_t d = dim(lo->job), n = d + lo->job->layout->buffers;
  const float r = (float)h[H_HVP_STEP];
  const fl_key key = key_of(lo, FL_PURPOSE_PROBE);
  float *point = lo->work, *u = point + n, *plus = u + d, *minus = plus + d;
  const fl_ask ask = { .at = point };
  if (h[H_PROBE] == 0) lo->k->gaussian(d, u, 0, &key);
  else lo->k->rademacher(d, u, 0, &key);
  memcpy(point, lo->y, n * sizeof *point);
  lo->k->axpy(d, point, r, u);
  fl_ask_more(lo, &ask, plus);
  memcpy(point, lo->y, d * sizeof *point);
  lo->k->axpy(d, point, -r, u);
  fl_ask_more(lo, &ask, minus);
  lo->k->sub(d, plus, plus, minus);
  lo->k->scale(d, plus, (float)(0.5 / h[H_HVP_STEP]), plus);
  lo->k->curvature(d, lo->state + d, (float)h[H_BETA2], (float)(1.0 - h[H_BETA2]), u, plus);
}

typedef struct { fl_sophia_args a; int square, count; float beta2, omb2; uint64_t unclipped; } step_args;

/* |m| below the denominator, each operation rounded by itself: the same count on every instruction set. */
static uint64_t count_unclipped(const fl_sophia_args *a, size_t n, const float *m, const float *h) {
  const float c = a->c, least = a->floored ? a->eps : 0.0f, plus = a->floored ? 0.0f : a->eps;
  uint64_t total = 0;
  for (size_t first = 0; first < n; first += 4096) {
    const size_t end = n - first < 4096 ? n : first + 4096;
    uint32_t count = 0;                         /* as wide as the floats, so that the loop becomes vectors */
    for (size_t i = first; i < end; i++) {
      const float scaled = c * h[i], den = (scaled > least ? scaled : least) + plus;
      count += (uint32_t)((m[i] < den) & (-den < m[i]));
    }
    total += count;
  }
  return total;
}

static void plain(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  step_args *s = arg;
  float *m = lo->state + offset, *h = m + dim(lo->job);
  if (s->square) lo->k->curvature(n, h, s->beta2, s->omb2, v, v);
  lo->k->sophia(n, y, m, h, v, &s->a);
  if (s->count) s->unclipped += count_unclipped(&s->a, n, m, h);
}

static void step(const double *h, fl_local *lo) {
  const uint64_t every = (uint64_t)h[H_EVERY], done = lo->clock.k - 1;
  const int due = done % every == 0 && !(h[H_FIRST] != 0 && done == 0), kind = (int)h[H_HESSIAN];
  const double rows = h[H_BS] > 0 ? h[H_BS] : lo->oracle ? (double)lo->oracle->batch : 1.0;
  const double omb2 = (1.0 - h[H_BETA2]) * rows;
  const uint64_t begin = lo->steps ? done / lo->steps * lo->steps : done;
  const int last = done + every >= begin + lo->steps;
  step_args s = { .square = due && kind == GRADIENT_SQUARE, .count = due && last, .beta2 = (float)h[H_BETA2],
                  .omb2 = (float)omb2 };
  s.a = (fl_sophia_args){ .beta1 = (float)h[H_BETA1], .omb1 = (float)(1.0 - h[H_BETA1]), .c = (float)h[H_RHO],
                          .eps = (float)h[H_EPS], .lr = (float)lo->clock.lr,
                          .decay = (float)(1.0 - lo->clock.lr * h[H_WEIGHT_DECAY]), .floored = h[H_DENOMINATOR] != 0 };
  if (due && kind == GNB) refresh_gnb(h, lo, omb2);
  if (due && kind == HUTCHINSON) refresh_hutchinson(h, lo);
  fl_mixed_step(lo, 0, dim(lo->job), plain, &s);
  if (s.count) lo->elements += dim(lo->job), lo->unclipped += s.unclipped;
}

const fl_rule fl_rule_sophia = { .name = "sophia", .help = "clipped step by diagonal curvature (Sophia-G, Sophia-H)",
                                 .params = params, .n_params = sizeof params / sizeof *params,
                                 .needs = "beta2 hessian=gnb|gradient_square|hutchinson; hess_every "
                                          "hessian=gnb|gradient_square|hutchinson; hess_first "
                                          "hessian=gnb|gradient_square|hutchinson; bs hessian=gnb|gradient_square; probe "
                                          "hessian=hutchinson; hvp_step hessian=hutchinson",
                                 .lr = 1e-3, .setup = setup, .state = state, .work = work_floats,
                                 .theta = theta_floats, .start = start, .pack = pack, .step = step };
