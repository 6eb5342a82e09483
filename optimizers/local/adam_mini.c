/* adam_mini.c - Adam-mini: one second moment a block (deep-first-order 9; Zhang et al. 2024, arXiv 2406.16793, and code). For a
 * block B of a tensor:
 *
 *   s_B <- beta2*s_B + (1 - beta2)*mean_{i in B} v_i^2                   v: the mixed gradient
 *   m   <- beta1*m + (1 - beta1)*v
 *   y   <- (1 - lr*weight_decay)*y - (lr/c1)*m/(sqrt(s_B)/sqrt(c2) + eps)   c1 = 1 - beta1^k, c2 = 1 - beta2^k
 *
 * mini_blocks=neuron: matrices by row, q and k by head, biases element by element (AdamW), norms as a whole; convolutions by
 * output channel is inferred (the code's names leave them whole: tensor). Norms and biases do not decay, unless
 * decay_vectors=yes. State d + one float a block. A block is read twice; from cache the second time: 20 bytes, one root and one
 * division a block. */
#include "rule.h"

enum { H_BETA1, H_BETA2, H_EPS, H_WEIGHT_DECAY, H_BLOCKS, H_DECAY_VECTORS };
static const fl_param params[] = {
  [H_BETA1] = { "beta1", 0.9, 0, 1, NULL, "decay of the first moment", FL_BELOW },
  [H_BETA2] = { "beta2", 0.999, 0, 1, NULL, "decay of the second moment", FL_BELOW },
  [H_EPS] = { "eps", 1e-8, 1e-38, 1, NULL, "added to the root of the second moment", 0 },
  [H_WEIGHT_DECAY] = { "weight_decay", 0, 0, 1e3, NULL, "decoupled decay of the weights", 0 },
  [H_BLOCKS] = { "mini_blocks", 1, 0, 0, "head|neuron|tensor|full", "entries that share a second moment, as block_rule", 0 },
  [H_DECAY_VECTORS] = { "decay_vectors", 0, 0, 0, "no|yes", "norms and biases decay too", 0 },
};
/* A tensor is cut into equal blocks; their number. */
static size_t blocks_of(const double *h, const fl_tensor *t) {
  const fl_layout one = { 1, t->size, 0, t };
  return fl_blocks_of(&one, (int)h[H_BLOCKS], NULL);
}
static size_t state(const double *h, const fl_job *job) {
  return job->layout->d + fl_blocks_of(job->layout, (int)h[H_BLOCKS], NULL);
}
static size_t work(const double *h, const fl_job *job) { (void)h; return largest_tensor(job); }
static void start(const double *h, fl_local *lo, const float *theta) {
  (void)theta;
  memset(lo->state, 0, state(h, lo->job) * sizeof(float));
}

typedef struct { fl_adamw_args args; double lr, c1, c2; } scalars;

static void step_blocks(const double *h, fl_local *lo, const scalars *c, size_t offset, size_t size, size_t n, float *s,
                        const float *g) {
  float *y = lo->y + offset, *m = lo->state + offset;
  if (size == 1) {
    lo->k->adamw(n, y, m, s, g, &c->args);
    return;
  }
  fl_momentum_args a = { .mu = c->args.beta1, .damp = c->args.omb1, .decay = c->args.decay };
  for (size_t b = 0; b < n; b++) {
    const size_t at = b * size;
    const fl_run run = { at, size };
    float square;
    lo->k->mean_sq_runs(1, &run, g, &square);   /* a block at a time: it is still in the cache for the step */
    const float now = (float)(h[H_BETA2] * (double)s[b] + (1.0 - h[H_BETA2]) * (double)square);
    s[b] = now < 0x1p-126f ? 0.0f : now;
    a.lr = (float)(c->lr / c->c1 / (sqrt((double)s[b]) / c->c2 + h[H_EPS]));
    lo->k->momentum(size, y + at, m + at, g + at, &a);
  }
}

static void step(const double *h, fl_local *lo) {
  const fl_layout *l = lo->job->layout;
  scalars c = { .lr = lo->clock.lr, .c1 = 1.0 - fl_pow_int(h[H_BETA1], lo->clock.k),
                .c2 = sqrt(1.0 - fl_pow_int(h[H_BETA2], lo->clock.k)) };
  float *s = lo->state + l->d;
  for (size_t i = 0; i < l->n; i++) {
    const fl_tensor *t = &l->tensor[i];
    if (t->role == FL_BUFFER) continue;
    const int kept = (t->role == FL_NORM || t->role == FL_BIAS) && h[H_DECAY_VECTORS] == 0;
    const double decay = kept ? 1.0 : 1.0 - lo->clock.lr_decay * h[H_WEIGHT_DECAY];
    const size_t n = blocks_of(h, t);
    c.args = adam_args(h[H_BETA1], h[H_BETA2], h[H_EPS], c.lr, c.c1, c.c2, decay);
    step_blocks(h, lo, &c, t->offset, t->size / n, n, s, mixed_gradient(lo, t->offset, t->size));
    drift_after(lo, t->offset, t->size);
    s += n;
  }
}

const fl_rule fl_rule_adam_mini = { .name = "adam_mini", .lr_decay = 1,
                                    .help = "AdamW with one second moment a row or head", .params = params,
                                    .n_params = sizeof params / sizeof *params, .lr = 1e-3, .state = state, .work = work,
                                    .start = start, .step = step };
