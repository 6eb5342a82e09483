/* muon.c - Muon (federated-adaptive 14): momentum, orthogonalised by Newton-Schulz, for every tensor of two or more
 * dimensions; AdamW for the others.
 *
 *   M <- momentum*M + (1 - momentum)*G;   U = (1 - momentum)*G + momentum*M (nesterov) or M
 *   O  = NS(U)*scale;   W <- (1 - lrM*weight_decay)*W - lrM*O,   lrM = lr*muon_lr_scale
 *
 * G (out x in) is the mixed gradient; convolutions are reshaped to (out, in*kh*kw), of a tensor of three axes every slice along
 * the first is a matrix. The defaults are Keller Jordan's: lr 3e-4 for vectors, 66.7 times that, 0.02, for matrices. scale =
 * sqrt(max(1, out/in)); for convolutions the code of federated Muon (released with the papers, as the specification records it)
 * takes it from the kernel's last two sizes, 1 for square kernels: muon_conv_scale=kernel. NS is fp32. ns_dtype=bf16 keeps X, A
 * and B of every iteration in bfloat16, as that code does on a GPU: products are summed in fp32, and what each of the three
 * matrices becomes is rounded once, to nearest even (the form of PyTorch's Muon). orthogonal=polar is U V^T of U's singular value
 * decomposition in the place of NS (FedMuon's paper, 16). theta (FedMuon): the buffers M of the matrix tensors, in layout order;
 * with a compression_ratio each is sent as the factors of the nearest matrix of rank floor(compression_ratio*a*b/(a + b + 1)):
 * rank*(a + b + 1) floats. */
#include "factors.h"
#include "rule.h"

enum { H_MOMENTUM, H_NESTEROV, H_NS_STEPS, H_LR_SCALE, H_WEIGHT_DECAY, H_CONV_SCALE, H_EXCLUDE, H_SCALE, H_FORM, H_AUX_BETA1,
       H_AUX_BETA2, H_AUX_EPS, H_NS_DTYPE, H_ORTHOGONAL, H_COMPRESSION };
static const fl_param params[] = {
  [H_MOMENTUM] = { "momentum", 0.95, 0, 1, NULL, "decay of the momentum buffer", FL_BELOW },
  [H_NESTEROV] = { "nesterov", 1, 0, 0, "no|yes", "look-ahead direction", 0 },
  [H_NS_STEPS] = { "ns_steps", 5, 1, 50, NULL, "Newton-Schulz iterations", FL_WHOLE },
  [H_LR_SCALE] = { "muon_lr_scale", 200.0 / 3.0, 0, 1e6, NULL, "step size of matrices over that of the other tensors", 0 },
  [H_WEIGHT_DECAY] = { "weight_decay", 0.01, 0, 1e3, NULL, "decoupled decay of the weights", 0 },
  [H_CONV_SCALE] = { "muon_conv_scale", 0, 0, 0, "kernel|matrix", "shape of a convolution in the factor sqrt(max(1, out/in))",
                     0 },
  [H_EXCLUDE] = { "muon_exclude", 0, 0, 0, "none|embed_head", "tensors of two dimensions that are left to AdamW", 0 },
  [H_SCALE] = { "muon_scale", 0, 0, 0, "keller|moonshot|none",
                "factor of a matrix: sqrt(max(1, out/in)), 0.2*sqrt(max(out, in)), or 1", 0 },
  [H_FORM] = { "momentum_form", 0, 0, 0, "average|sum", "M = momentum*M + (1 - momentum)*G, or M = momentum*M + G", 0 },
  [H_AUX_BETA1] = { "aux_beta1", 0.9, 0, 1, NULL, "AdamW of the other tensors: decay of the first moment", FL_BELOW },
  [H_AUX_BETA2] = { "aux_beta2", 0.95, 0, 1, NULL, "decay of their second moment", FL_BELOW },
  [H_AUX_EPS] = { "aux_eps", 1e-10, 1e-38, 1, NULL, "added to the root of their second moment", 0 },
  [H_NS_DTYPE] = { "ns_dtype", 0, 0, 0, "fp32|bf16", "precision of the Newton-Schulz iterates: fp32, or bfloat16 summed in fp32",
                   0 },
  [H_ORTHOGONAL] = { "orthogonal", 0, 0, 0, "newton_schulz|polar", "direction of the momentum: by NS, or its polar factor", 0 },
  [H_COMPRESSION] = { "compression_ratio", INFINITY, 0, INFINITY, NULL,
                      "share of its numbers that a matrix's momentum is sent with, at a low rank (.inf: as it is)", 0 },
};

static int is_matrix(const double *h, const fl_tensor *t) {
  return t->ndim >= 2 && !(h[H_EXCLUDE] != 0 && (t->role == FL_EMBED || t->role == FL_HEAD));
}
static size_t slices(const fl_tensor *t) { return t->ndim == 3 ? t->shape[0] : 1; }
static size_t rows(const fl_tensor *t) { return t->shape[t->ndim == 3 ? 1 : 0]; }
static size_t cols(const fl_tensor *t) { return t->size / slices(t) / rows(t); }
static double factor(const double *h, const fl_tensor *t) {
  const int square = t->ndim == 4 && h[H_CONV_SCALE] == 0 && h[H_SCALE] == 0;
  const double a = (double)(square ? t->shape[2] : rows(t)), b = (double)(square ? t->shape[3] : cols(t));
  if ((int)h[H_SCALE] == 1) return 0.2 * sqrt(a > b ? a : b);
  return a > b && h[H_SCALE] == 0 ? sqrt(a / b) : 1.0;
}

static size_t state(const double *h, const fl_job *job) { (void)h; return 2 * job->layout->d; }  /* M or m, then s */
static size_t theta_floats(const double *h, const fl_job *job) {
  size_t n = 0;
  for (size_t i = 0; i < job->layout->n; i++)
    if (is_matrix(h, &job->layout->tensor[i]) && job->layout->tensor[i].role != FL_BUFFER) n += job->layout->tensor[i].size;
  return n;
}
static size_t work_floats(const double *h, const fl_job *job) {
  size_t most = 0;
  for (size_t i = 0; i < job->layout->n; i++) {
    const fl_tensor *t = &job->layout->tensor[i];
    if (t->role == FL_BUFFER || !is_matrix(h, t)) continue;
    const size_t low = isinf(h[H_COMPRESSION]) ? 0 : fl_low_rank_work(rows(t), cols(t));
    const size_t need = 2 * t->size + (h[H_ORTHOGONAL] != 0 ? fl_polar_work : fl_newton_schulz_work)(rows(t), cols(t));
    if (low > most) most = low;
    if (need > most) most = need;
  }
  return most;
}

static void start(const double *h, fl_local *lo, const float *theta) {
  const fl_layout *l = lo->job->layout;
  memset(lo->state, 0, 2 * l->d * sizeof(float));
  for (size_t i = 0; theta && i < l->n; i++) {
    const fl_tensor *t = &l->tensor[i];
    if (t->role == FL_BUFFER || !is_matrix(h, t)) continue;
    memcpy(lo->state + t->offset, theta, t->size * sizeof(float));
    theta += t->size;
  }
}
/* The rank at which a tensor's momentum is sent; its smaller side: as it is. */
static size_t rank_of(const double *h, const fl_tensor *t) {
  const size_t a = rows(t), b = cols(t), n = a < b ? a : b;
  const double wanted = floor(h[H_COMPRESSION] * (double)a * (double)b / (double)(a + b + 1));
  return wanted < (double)n ? (size_t)wanted : n;
}
static int whole(const double *h, const fl_tensor *t) { return rank_of(h, t) == (rows(t) < cols(t) ? rows(t) : cols(t)); }
/* A tensor's part of theta as it arrives. */
static void compress(const double *h, const fl_local *lo, const fl_tensor *t, float *theta) {
  for (size_t i = 0; i < slices(t) && !whole(h, t); i++)
    fl_low_rank(lo->k, rows(t), cols(t), rank_of(h, t), theta + i * rows(t) * cols(t), lo->work);
}
static size_t packed(const double *h, const fl_job *job) {
  const fl_layout *l = job->layout;
  size_t sent = 0;
  for (size_t i = 0; i < l->n; i++) {
    const fl_tensor *t = &l->tensor[i];
    if (t->role == FL_BUFFER || !is_matrix(h, t)) continue;
    sent += whole(h, t) ? t->size : slices(t) * rank_of(h, t) * (rows(t) + cols(t) + 1);
  }
  return sent;
}
static void pack(const double *h, const fl_local *lo, float *theta) {
  const fl_layout *l = lo->job->layout;
  float *at = theta;
  for (size_t i = 0; i < l->n; i++) {
    const fl_tensor *t = &l->tensor[i];
    if (t->role == FL_BUFFER || !is_matrix(h, t)) continue;
    memcpy(at, lo->state + t->offset, t->size * sizeof(float));
    compress(h, lo, t, at);
    at += t->size;
  }
}

/* ---- Newton-Schulz in bfloat16: fp32 values whose lower half is 0 ---------------------------------------------------------- */
static float to_bf16(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  if ((u & 0x7fffffffu) > 0x7f800000u) u |= 0x400000u;  /* a NaN stays one */
  else u += 0x7fffu + (u >> 16 & 1u);
  u &= 0xffff0000u;
  memcpy(&x, &u, sizeof u);
  return x;
}
static void round_all(size_t n, float *x) {
  for (size_t i = 0; i < n; i++) x[i] = to_bf16(x[i]);
}

/* As fl_newton_schulz, in place, with the same work. */
static void newton_schulz_bf16(const fl_kernels *k, size_t a, size_t b, float *u, int steps, float *work) {
  static const fl_mix_args mix = { .ga = -4.7750f, .gb = 2.0315f };
  const int tall = a > b;
  const size_t r = tall ? b : a, c = tall ? a : b, n = r * c;
  float *x = work, *y = x + n, *p = y + n, *q = p + r * r;
  round_all(n, u);
  const float norm = to_bf16((float)(sqrt(k->sumsq(n, u)) + 1e-7));
  if (tall) k->transpose(a, b, u, b, x, a);
  else memcpy(x, u, n * sizeof *x);
  for (size_t i = 0; i < n; i++) x[i] = to_bf16(x[i] / norm);
  for (int t = 0; t < steps; t++) {
    k->gemm_syrk(r, c, x, c, p, r, FL_GEMM_PIECE);
    round_all(r * r, p);
    k->gemm_syrk(r, r, p, r, q, r, FL_GEMM_PIECE);
    k->mix(r * r, p, p, q, NULL, NULL, &mix);
    round_all(r * r, p);
    k->gemm_nn(r, c, r, p, r, x, c, y, c, FL_GEMM_PIECE);
    k->axpy(n, y, 3.4445f, x);
    round_all(n, y);
    float *swap = x;
    x = y, y = swap;
  }
  if (tall) k->transpose(r, c, x, c, u, r);
  else memcpy(u, x, n * sizeof *u);
}

static void step_matrix(const double *h, fl_local *lo, const fl_tensor *t) {
  const float *g = mixed_gradient(lo, t->offset, t->size);
  float *u = lo->work + t->size, *ns = u + t->size;
  const double lr = lo->clock.lr * h[H_LR_SCALE], mu = h[H_MOMENTUM];
  const double decay = 1.0 - lr * h[H_WEIGHT_DECAY];
  lo->k->muon_momentum(t->size, lo->state + t->offset, u, g, (float)mu, h[H_FORM] != 0 ? 1.0f : (float)(1.0 - mu),
                       h[H_NESTEROV] != 0);
  for (size_t i = 0; i < slices(t); i++) {
    float *slice = u + i * rows(t) * cols(t);
    if (h[H_ORTHOGONAL] != 0) fl_polar(lo->k, rows(t), cols(t), slice, ns);
    else if (h[H_NS_DTYPE] != 0) newton_schulz_bf16(lo->k, rows(t), cols(t), slice, (int)h[H_NS_STEPS], ns);
    else fl_newton_schulz(lo->k, rows(t), cols(t), slice, slice, (int)h[H_NS_STEPS], ns);
  }
  lo->k->sgd(t->size, lo->y + t->offset, u, (float)decay, (float)(lr * factor(h, t)));
  drift_after(lo, t->offset, t->size);
}

static void step(const double *h, fl_local *lo) {
  const fl_layout *l = lo->job->layout;
  const double c1 = 1.0 - fl_pow_int(h[H_AUX_BETA1], lo->clock.k), c2 = sqrt(1.0 - fl_pow_int(h[H_AUX_BETA2], lo->clock.k));
  fl_adamw_args a = adam_args(h[H_AUX_BETA1], h[H_AUX_BETA2], h[H_AUX_EPS], lo->clock.lr, c1, c2,
                              1.0 - lo->clock.lr * h[H_WEIGHT_DECAY]);
  for (size_t i = 0; i < l->n; i++) {
    const fl_tensor *t = &l->tensor[i];
    if (t->role == FL_BUFFER) continue;
    if (is_matrix(h, t)) step_matrix(h, lo, t);
    else fl_mixed_step(lo, t->offset, t->size, plain_adamw, &a);
  }
}

const fl_rule fl_rule_muon = { .name = "muon", .help = "momentum orthogonalised by Newton-Schulz; AdamW for vectors",
                               .params = params, .n_params = sizeof params / sizeof *params,
                               .needs = "muon_conv_scale muon_scale=keller; ns_steps orthogonal=newton_schulz; ns_dtype "
                                        "orthogonal=newton_schulz; compression_ratio aggregate=yes,stage lada",
                               .lr = 3e-4, .state = state, .work = work_floats,
                               .theta = theta_floats, .start = start, .pack = pack, .packed = packed, .step = step };
