/* kernels.h - arithmetic on arrays: every public operation of Fedlane, one table of functions per ISA.
 *
 * A kernel returns void or a number, never allocates, logs, threads, or touches errno; sizes are counts of elements.
 * The same arguments give the same bits through every table (docs/reproducibility.md): NaN at the same positions,
 * everything else, -0 and denormals included, bit for bit. Arrays may be unaligned. An array
 * that is written must not overlap another; where docs/kernels.md says so ("in place") it may be exactly the named input.
 *
 * Orders of operations
 *   element-wise  the formula in ops.def, each written operation rounded once; fma is one rounding. max(a, b) = a > b ? a : b and
 *                 min(a, b) = a < b ? a : b, so that a NaN b comes out; sign(x) is 1 or -1, and x itself where that is 0 or NaN.
 *   sum, dot ...  32 double partials, element i to partial i%32, then halving (j += j + 16, 8, 4, 2, 1). Above 4096
 *                 elements: chunks of 4096 from the start, combined by the fixed tree.
 *   mean_runs     (float)(s/(double)size), s the sum (mean_sq_runs: of squares) of the run alone, as above. A run of no
 *                 elements has mean NaN.
 *   variance      of the population. A chunk of 4096 gives s, its sum, and q, its sum of fma(e, e, .) with e = x - s/n in
 *                 double, partials as above; the fixed tree's node of a and b, na and nb elements: s = sa + sb,
 *                 d = sb/nb - sa/na, q = fma(d*d, na*nb/(na + nb), qa + qb). Mean s/n, variance q/n; of nothing: NaN.
 *   argmax        index of the first of the largest elements (argabsmax: by |x|); of the first NaN, if there is one; 0 if n = 0.
 *   gram          every entry as `dot` gives it, sq_distances as sumsq_diff does, so near vectors cost no digits; symmetric.
 *   fixed tree    over leaves 0..n-1: left child = largest power of two below n; node = left + right.
 *   gemm          one fp32 accumulator an output, from +0, k ascending, fma; k is cut every `piece` (FL_GEMM_PIECE
 *                 unless a gradient cuts at whole samples), pieces combined by the fixed tree.
 *   random        Philox4x32-10, key = seed, counter = (block, step, client, purpose*2^24 + round); element i is
 *                 word (i/16)%4 of block 16*(i/64) + i%16, so no ISA shuffles. Gaussian: words (0,1) and (2,3) of a
 *                 block are a Box-Muller pair (cos, sin), radius from u = fma(w>>16, 2^-16, fma(w&65535, 2^-32, 2^-33)).
 *                 Bernoulli compares w*2^-32 < prob without rounding: below 0 (and NaN) is never, from 1 on always.
 *   gamma         Marsaglia-Tsang by element, with A = alpha < 1 ? alpha + 1 : alpha, d = A - 1/3, c = 1/sqrt(9 d), both made in
 *                 double and rounded. Attempt t = 0, 1 ... takes x, element i of `gaussian`, under the key's step + 1 + 2t,
 *                 and w, element i of `bits`, under step + 2 + 2t; with s = fma(c, x, 1), v = (s*s)*s and u(w) as in the
 *                 Gaussian's radius it is accepted if s > 0 and log u < fma(x/2, x, d*((1 - v) + log v)). y = d*v; for alpha < 1
 *                 times exp(log u(w') * (float)(1/alpha)), w' element i of `bits` under step itself. So leave the steps from the
 *                 key's on free. Below alpha 0.2 a result may be too small for a float: +0 (fl_stream_log_gamma_draw has
 *                 its logarithm). NaN unless 0 < alpha <= 1e30. */
#ifndef FEDLANE_KERNELS_H
#define FEDLANE_KERNELS_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define FL_CHUNK 4096u          /* elements of one leaf of a long reduction */
#define FL_GEMM_PIECE 4096u     /* k of one piece of a matrix product */
#define FL_PANEL 32u            /* columns that a factorisation takes at once */

typedef enum { FL_ISA_SCALAR, FL_ISA_SCALAR_FMA, FL_ISA_AVX2, FL_ISA_AVX512, FL_ISA_NEON, FL_ISA_COUNT } fl_isa;

/* Philox counter. purpose < 256 (enumerated in fl_purpose), round < 2^24. */
typedef struct { uint64_t seed; uint32_t purpose, round, client, step; } fl_key;

/* The affine mix of interface "rule": coefficients of v = ga*g + gb*y + gq0*q0 + gq1*q1, evaluated left to right as
 * ga*g, then fma(gb, y, .), fma(gq0, q0, .), fma(gq1, q1, .). A term takes part when its pointer (y, q0, q1) is not NULL. */
typedef struct { float ga, gb, gq0, gq1; } fl_mix_args;
/* u = fma(mu, u, damp*g); direction d = nesterov ? fma(mu, u, damp*g) : u; y = fma(-lr, d, decay*y). |u| < 2^-126 is
 * stored +0. */
typedef struct { float mu, damp, lr, decay; int nesterov; } fl_momentum_args;
/* m = fma(beta1, m, omb1*g); v = fma(beta2, v, (omb2*g)*g); y = fma(-step, m/(sqrt(v) + eps), decay*y), with
 * step = lr*sqrt(1-beta2^t)/(1-beta1^k), eps = eps0*sqrt(1-beta2^t) folded by the caller in double. m, v below 2^-126
 * are stored +0. */
typedef struct { float beta1, omb1, beta2, omb2, decay, step, eps; } fl_adamw_args;
/* A contiguous run of a flat vector. */
typedef struct { size_t offset, size; } fl_run;
/* v = fma(beta2, v, (omb2*g)*g); q = v, with a (not NULL): a = fma(beta2, a, omb2*g), q = max(0, fma(-a, a, v));
 * d = g/(sqrt(q + eps_in) + eps_out); with b: b = fma(momentum, b, in*d), d = b; y = fma(-out, d, y). States below
 * 2^-126 are stored +0. */
typedef struct { float beta2, omb2, momentum, in, out, eps_in, eps_out; } fl_rmsprop_args;
/* u = fma(beta1, m, omb1*g); m = fma(beta2, m, omb2*g), |m| < 2^-126 stored +0; y = fma(decay, y, s), s = -lr*sign(u),
 * and u itself where u = 0, so that a 0 keeps its sign. */
typedef struct { float beta1, omb1, beta2, omb2, decay, lr; } fl_lion_args;
/* u = sign(g) where |g| > threshold, `below` where not, NaN where g is. m NULL: y = fma(decay, y, -lr*u). Else
 * m = fma(beta1, m, omb1*u), |m| < 2^-126 stored +0; y = fma(-lr, m, decay*y). A product with u = below that is -0 counts
 * as +0. */
typedef struct { float beta1, omb1, decay, lr, threshold, below; } fl_sign_args;
/* m = fma(beta1, m, omb1*g); den = floored ? max(eps, c*h) : fma(c, max(0, h), eps); y = fma(-lr, max(-1, min(1, m/den)),
 * decay*y). m below 2^-126 is stored +0; NaN in m or h reaches y. */
typedef struct { float beta1, omb1, c, eps, lr, decay; int floored; } fl_sophia_args;
/* A convolution on (sample, channel, y, x) arrays: in (c, h, w), kernel (o, c/groups, k, kw), zero padding of p rows above and
 * below and pw columns on both sides, out (o, fl_conv_oh, fl_conv_ow). kw = 0: a square kernel, and pw is p; stride or groups 0
 * is 1. b, db NULL: no bias. Group g makes channels g*o/groups.. from channels g*c/groups.. of the input. Its k, (c, ky, kx)
 * forward and (o, ky, kx) backward, is cut like a gemm's. A tap in the padding is absent or a product with +0, the same on every
 * ISA: the two differ only where the weight is infinite or NaN, whose outputs at the border may then be NaN (inf*0).
 * winograd: the kernels conv_* are the kernels winograd_* at the shapes of fl_conv_winograd. */
typedef struct { size_t c, h, w, o, k, p, kw, pw, stride, groups; int winograd; } fl_conv;
#define FL_CONV_OF(c, h, w, o, k, p) { c, h, w, o, k, p, 0, 0, 0, 0, 0 }

static inline size_t fl_conv_stride(const fl_conv *s) { return s->stride ? s->stride : 1; }
static inline size_t fl_conv_groups(const fl_conv *s) { return s->groups ? s->groups : 1; }
static inline size_t fl_conv_kw(const fl_conv *s) { return s->kw ? s->kw : s->k; }
static inline size_t fl_conv_pw(const fl_conv *s) { return s->kw ? s->pw : s->p; }
static inline size_t fl_conv_oh(const fl_conv *s) { return (s->h + 2 * s->p - s->k) / fl_conv_stride(s) + 1; }
static inline size_t fl_conv_ow(const fl_conv *s) { return (s->w + 2 * fl_conv_pw(s) - fl_conv_kw(s)) / fl_conv_stride(s) + 1; }
/* 1 when s is marked `winograd` and is a shape at which that is faster: 3x3, stride 1, padding 1, one group, c and o multiples of
 * 16, up to 4096 places that fill at least half of their 4x4 tiles. A function of the shape alone. */
int fl_conv_winograd(const fl_conv *s);
/* Samples of one piece of a weight gradient with `positions` products a sample (docs/reproducibility.md, 3). */
size_t fl_sample_piece(size_t positions);
/* Floats of scratch for the three conv kernels of shape s at batch n. */
size_t fl_conv_work(const fl_conv *s, size_t n);
/* A convolution, ReLU and 2x2 pooling as one layer (conv_pool, conv_pool_back): for shapes whose k is not cut. The output is that
 * of conv_forward, relu, maxpool2. Of a window at most one place has a gradient; the products of the others are absent, where the
 * three layers apart add +0 times a number: the same sums unless that number is infinite or NaN. A gradient that is infinite or
 * NaN may make NaN of its neighbours in dx, the same ones on every ISA. at, a byte a window: bits 0 and 1 the place of the
 * maximum, 4 when it is not positive (no gradient), 8 more when it is NaN (so is the gradient of the place). */
int fl_conv_pool_fits(const fl_conv *s);
size_t fl_conv_pool_work(const fl_conv *s, size_t n);

/* Pooling of planes (h, w) over windows of k x k places, `stride` apart, with `pad` rows and columns around; 1 <= stride, 1 <= k
 * <= FL_POOL_MOST, k <= h + 2*pad and w + 2*pad, pad <= k/2. What lies beyond the last whole window takes no part. max_pool: the
 * largest of the places inside the plane, in the order (ky, kx): the first of equals, the last NaN; at: where, ky*k + kx, a byte,
 * so k <= FL_POOL_MOST_AT. avg_pool: s/count, s the sum in that order from +0 as float; count: all k*k with count_pad, else the
 * places inside. Back: dx is the sum, from +0, of dy (max_pool) or dy/count (avg_pool) of the windows whose maximum it was, or
 * that cover it, in the order (oy, ox). With k = stride = 2, pad = 0 these are maxpool2, save that a gradient of -0 gives +0. */
#define FL_POOL_MOST 64u
#define FL_POOL_MOST_AT 16u
typedef struct { size_t h, w, k, stride, pad; int count_pad; } fl_pool;
static inline size_t fl_pool_oh(const fl_pool *s) { return (s->h + 2 * s->pad - s->k) / s->stride + 1; }
static inline size_t fl_pool_ow(const fl_pool *s) { return (s->w + 2 * s->pad - s->k) / s->stride + 1; }

/* Normalisation. `stat`: of all rows (groups, channels) the means, then of all the scales, 1/sqrt(variance + eps), the variance
 * of the population; the way back needs it. Sums over a row or plane: 64 float partials, element i to i%64, then halving;
 * above 4096 elements chunks of 4096 by the fixed tree. Mean and variance: a row, or a chunk of it, has its sum s, and q, the
 * sum of fma(d, d, .), d = x - s/n; chunks join as in `variance`, in double. Gradients of gamma and beta: rows (layer norm) or
 * samples' sums (the others) are added in order inside a piece of `piece` rows or samples, pieces by the fixed tree; so pieces of
 * whole samples, fl_sample_piece of them, combine over shards. dx may be dy, y may be x. With `relu` y is relu of what it was,
 * and dy counts where y > 0 (NaN where y is): y is computed again, not kept. */
/* Samples (c, hw), in groups of c/groups channels each, hw positions a channel; groups divides c. */
typedef struct { size_t c, hw, groups; float eps; int relu; } fl_group_norm;
/* Floats of scratch of layer_norm_back (n columns, rows of it, piece) and of group_norm_back (c, samples, piece). */
size_t fl_norm_work(size_t n, size_t rows, size_t piece);
/* Batch norm. batch_moments gives s and q of each channel over the n samples of a batch or of a shard of it: pieces of `piece`
 * samples, partials going on from plane to plane with i the place in the plane, joined as above (planes above 4096: chunks).
 * Then: shards are joined by the tree's node (right = left + right, counts of elements); stat comes from the moments, or, to
 * evaluate, from running averages; r = (1 - momentum)*r + momentum*v in double, v the mean and the variance*count/(count - 1).
 * batch_norm_grad's sums are joined by adding; batch_norm_back takes them over all `count` elements of a channel. */
void fl_batch_join(size_t c, size_t count_left, const double *left, size_t count_right, double *right);
void fl_batch_stat(size_t c, size_t count, const double *moments, float eps, float *stat);
void fl_batch_running(size_t c, size_t count, const double *moments, double momentum, float *mean, float *variance);
void fl_batch_evaluate(size_t c, const float *mean, const float *variance, float eps, float *stat);

/* cross_entropy: with m the row's maximum, S the sum of exp(x_j - m), w_y the label's weight (weight NULL: ones), W their sum and
 * C classes: loss = h*(log S - (x_y - m)) + smoothing/C*(W*log S - sum w_j (x_j - m)), h = (1 - smoothing)*w_y; dlogits = scale*
 * ((exp(x_j - m)/S*(h + smoothing/C*W) - smoothing/C*w_j) - (j = y ? h : 0)). A row whose label is `ignore` has loss 0 and no
 * gradient; others must be below classes. PyTorch's mean divides by the sum of w_y over the rows that count: that is in scale.
 * Without weights, smoothing and ignored rows the gradient has the bits of softmax_xent. dlogits may be logits. */
#define FL_IGNORE_NONE UINT32_MAX
typedef struct { float scale, smoothing; uint32_t ignore; } fl_cross_entropy;
/* dropout: element i is dropped by element first + i of `bits` under the key; `first` tells layers and shards apart.
 * NaN stays NaN. mask keeps what was kept, bit i/16%32 of word 16*(i/512) + i%16: fl_dropout_words(n) words. */
static inline size_t fl_dropout_words(size_t n) { return (n + 511) / 512 * 16; }
/* embed_grad: a token's rows are added in order inside a piece, pieces by the fixed tree; a token that does not occur gets +0.
 * Tokens are below `vocabulary`. The gradient of positional embeddings is bias_grad of (samples, positions*n), their adding is
 * bias_rows. work: fl_embed_work words of 32 bits. */
static inline size_t fl_embed_work(size_t rows, size_t vocabulary) { return rows + vocabulary; }

/* Multi-head attention of n samples of `length` rows. Head h of row r: dim floats from q + r*ld + h*dim on, so that q, k and v
 * may be the three parts of one buffer (ld = 3*heads*dim); y and dy have rows ldo apart, dq, dk and dv as q. scale > 0, usually
 * 1/sqrt(dim). causal: a query sees the keys up to its own place. stat keeps of each head of each sample length maxima, and
 * behind all of them the reciprocal sums: 2*n*heads*length floats. Order: s = q.k by fma, i ascending. Keys go in blocks of 256:
 * m = the larger of the maximum so far and the block's times scale; e = exp(fma(s, scale, -m)); l = the sum of e, 64 partials by
 * the key's place in the block, then halving; y = sum of e*v, keys ascending. From the second block on c = exp(m_before - m), l
 * = fma(l_before, c, l), and y goes on from y*c. At last y*(1/l). Back: p = e*(1/l) with the last m; dy.y as l is summed; ds =
 * (p*(dy.v - dy.y))*scale; dq, keys ascending, dk and dv, queries ascending, by fma from +0. The p and ds of keys that are not
 * seen are absent, or +0, whose products with an infinite number are NaN.
 * draws not NULL and drop > 0: behind the sums e, and back p, of pair b = sample*heads + head, query t and key j is dropped as
 * `dropout` drops element first + (b*length + t)*L + j under *draws, L the length rounded up to 16: times f = +0 or 1/(1 - drop).
 * Back: dv of the p*f; ds = (p*((dy.v)*f - dy.y))*scale. first is a multiple of 16; elements from 2^34 on come again. */
typedef struct {
  size_t length, heads, dim, ld, ldo;
  float scale;
  int causal;
  const fl_key *draws;
  double drop;
  size_t first;
} fl_attention;
/* The elements of a sample: how far `first` moves from one to the next. */
static inline size_t fl_attention_drawn(const fl_attention *s) { return s->heads * s->length * ((s->length + 15) / 16 * 16); }
/* Floats of scratch of both: it grows with the length, not with its square. */
size_t fl_attention_work(const fl_attention *s);

/* Cells of recurrent networks: rows of n, gates of a row n apart, rows of gates ldg, of before and c ldc (GRU: of before and h
 * ldh, of hidden ldn), of h ldh apart; dh, dc and dense are without gaps, before NULL is +0. bias: 4*n, of GRU r, z, n and
 * hidden's. Back, with s' = s*(1 - s), t' = fma(-t, t, 1) of gates: LSTM: D = fma(dh*o, (tanh c)', dc); (D*g)*i', (D*before)*f',
 * (D*i)*g', (dh*tanh c)*o'. GRU: M = (dh*(1 - z))*m', (M*hidden)*r', (dh*(before - m))*z', M; hidden: M*r. */

typedef struct fl_kernels {
  fl_isa isa;
  const char *name;             /* "scalar", "scalar+fma", "avx2", "avx512", "neon" */
#define FL_OP(family, name, ret, args, traffic, formula) ret (*name) args;
#include "ops.def"
} fl_kernels;

/* ---- isa.c: detection and choice ------------------------------------------------------------------------------------ */
typedef struct {
  unsigned cpu, os, built;      /* bit (1u << fl_isa): reported by the CPU; enabled by the OS (XCR0); compiled in */
  char brand[64];
} fl_isa_info;
void fl_isa_detect(fl_isa_info *);
const char *fl_isa_name(fl_isa);
/* The table of the best usable ISA, not above `max` ("scalar", "avx2", "avx512", "neon"; NULL: FEDLANE_MAX_CPU_ISA, else
 * the best). NULL with *error set to a static message when the name is unknown or the machine cannot run it. */
const fl_kernels *fl_kernels_select(const char *max, const char **error);
/* The table of exactly this ISA, or NULL when it is not built in or cannot run here. */
const fl_kernels *fl_kernels_of(fl_isa);
/* Fused FMA, rounding, subnormals, -0 on 64 vectors; NULL when all hold, else what does not. */
const char *fl_kernels_self_test(const fl_kernels *);

/* Floating-point environment: round to nearest, gradual underflow. Returns what to hand to fl_fpenv_restore. */
uint64_t fl_fpenv_enter(void);
void fl_fpenv_restore(uint64_t);

/* ---- scalar.c: double functions for values that feed bits outside kernels (no libm result may reach a hash) ----------- */
double fl_exp(double), fl_log(double), fl_cos_pi(double); /* cos(pi x) */
/* log Gamma(x), x > 0 (0: infinity; below: NaN), within 6 ULP, its zeros at 1 and 2 included. For logarithms of binomial
 * coefficients, as a privacy accountant sums them. */
double fl_lgamma(double);
double fl_pow_int(double base, uint64_t e);               /* square-and-multiply from the top bit */

/* ---- random.c: draws that are not element-wise ------------------------------------------------------------------------ */
typedef enum {                  /* the one list of purposes; a number never changes its meaning */
  FL_PURPOSE_INIT = 1, FL_PURPOSE_COHORT = 2, FL_PURPOSE_SHUFFLE = 3, FL_PURPOSE_PARTITION = 4, FL_PURPOSE_VALIDATION = 5,
  FL_PURPOSE_LABELS = 6, FL_PURPOSE_PROBE = 7,  /* Sophia: labels from the softmax; directions of Hessian products */
  FL_PURPOSE_AVAILABLE = 8, FL_PURPOSE_DROPOUT = 9, FL_PURPOSE_WORK = 10,       /* of a client in a round */
  FL_PURPOSE_POPULATION = 11,                   /* synthetic clients: their sizes and samples */
  FL_PURPOSE_ATTACK = 16, FL_PURPOSE_OWN = 17,  /* who is malicious and its noise; samples of the server's own */
  FL_PURPOSE_MASK = 18,                         /* units that dropout layers drop */
  FL_PURPOSE_NOISE = 24,                        /* differential privacy */
  FL_PURPOSE_TEST = 255
} fl_purpose;
void fl_philox(const uint32_t counter[4], uint64_t key, uint32_t out[4]);
/* Scalar stream over the elements of one key: word i of the draw. State is (key, i) and nothing else. */
typedef struct { fl_key key; uint64_t i; uint32_t word[64]; uint64_t have; } fl_stream;
void fl_stream_init(fl_stream *, const fl_key *);
uint32_t fl_stream_u32(fl_stream *);
double fl_stream_uniform(fl_stream *);                    /* (w >> 8)*2^-24 + 2^-25: in (0,1) */
uint32_t fl_stream_below(fl_stream *, uint32_t n);        /* unbiased, 0 <= . < n, n > 0 (Lemire's rejection) */
double fl_stream_gaussian(fl_stream *);
double fl_stream_log_gamma_draw(fl_stream *, double alpha); /* log of a gamma(alpha, 1) draw, also where it is no float */
void fl_permutation(uint32_t *p, size_t n, const fl_key *);           /* Fisher-Yates from the end */
void fl_shuffle(uint32_t *p, size_t n, const fl_key *);               /* shuffles the given items likewise */
void fl_sample(uint32_t *out, size_t m, size_t n, const fl_key *);    /* m of n without replacement, in draw order */

/* ---- matrix: built on a table's gemm ---------------------------------------------------------------------------------- */
/* Workers that share one operation. `each` calls body(arg, i) once for every i < n, in any order and on any of its threads, and
 * returns when all have returned. Who computes a part never shows in the bits. */
typedef struct {
  void *self;
  size_t workers;
  void (*each)(void *self, size_t n, void (*body)(void *arg, size_t i), void *arg);
} fl_team;
typedef enum { FL_PRODUCT_NN, FL_PRODUCT_NT, FL_PRODUCT_TN } fl_product;
/* gemm_nn, gemm_nt or gemm_tn of the table, C (m x n) with d products an output, by a team (NULL: the caller alone). */
void fl_gemm_team(const fl_kernels *, const fl_team *, fl_product, size_t m, size_t n, size_t d, const float *a, size_t lda,
                  const float *b, size_t ldb, float *c, size_t ldc, size_t piece);
/* Newton-Schulz of u (a x b, row-major) into o, `steps` times; u and o may be the same. work: fl_newton_schulz_work floats.
 * federated-adaptive 14: X/(|X|_F + 1e-7), A = X X^T, B = -4.7750 A + 2.0315 A A, X = 3.4445 X + B X; rows <= cols. */
size_t fl_newton_schulz_work(size_t a, size_t b);
void fl_newton_schulz(const fl_kernels *, size_t a, size_t b, const float *u, float *o, int steps, float *work);

/* Decompositions. Matrices are row-major and dense; `work` has fl_*_work floats; nothing is allocated. Their orders of
 * operations: gemm_xy below is the table's product, whose k is not cut; double expressions round every operation; fl(x) is x as a
 * float.
 * scale      of numbers: 2^(127 - E), E = the exponent field of the largest magnitude, held to 1..253 (127 where it is 255).
 * reflector  of x_0.. : ss = sum x_i^2, i > 0, in double. Where ss > 0 and x_0*x_0 + ss < 2^-60, x is multiplied by 2^u, u =
 *            min(126, half of minus that double's exponent, towards 0), and the sums made anew. ss = 0: v_0 = 0, tau = 0, beta =
 *            x_0. Else norm = sqrt(x_0*x_0 + ss), v_0 = fl(x_0 + norm), beta = -norm (x_0 < 0: minus and plus), tau =
 *            fl(2/(v_0*v_0 + ss)).
 * qr_panel   v: m rows of P = FL_PANEL floats, +0 from column n on. Each column times its scale 1/b_c; then for j = 0..n-1: s_c =
 *            sum over i > j of v_ij v_ic, all c, by fma, and ss of column j: each as partials of rows j+1, j+3, .. and j+2, j+4,
 *            .., added. The reflector of v_jj, v_(j+1)j ..; d_c = fma(v_0, v_jc, s_c); g_jc = d_c for c < j, g_jj = tau; w_c =
 *            tau*d_c for c > j, else +0; r_jj = fl(beta)*2^-u*b_j, r_jc = fma(-v_0, w_c, v_jc)*b_c; v_jj = v_0, v_jc = +0 for c >
 *            j; v_ic = fma(-v_ij, w_c, v_ic) for i > j and all c (c >= 16 when j >= 16; not for the last j).
 * wy         t_jc = -g_jj*s_c, s_c = sum over k < j of g_jk t_kc, by fma from +0, k ascending; s_j = 1.
 * qr         a times 2^-32 when its largest magnitude is above 2^96. Panels from the left; from row j and column j on, j the
 *            panel's first: qr_panel, wy; columns behind: W = V^T A (gemm_tn), A = A + V (t W) (gemm_nn, gemm_nn_add). Row i of r
 *            times the sign of r_ii, r_ii + 0; times 2^32. q from the last panel back: diag(sign) for its columns, Q = what is
 *            there from (j, j) on: W = V^T Q, for the panel's own columns v_ci*sign_c, for others gemm_tn over the rows behind
 *            the panel; Q = Q + V (t^T W) (gemm_tn, gemm_nn_add).
 * cholesky   u = l^T by P rows. x = a - gemm_tn of the rows above; for each row k: root = sqrt(x_kk) in double, u_kk = fl(root),
 *            u_kc = x_kc*fl(1/root), then x_ic = fma(-u_ki, u_kc, x_ic) for the panel's rows i > k.
 * eigh       a times its scale 1/b (of the lower triangle) is M. For j = 0..n-1, v_k, w_k those of the panel of P rows before j:
 *            x = row j of M with sums, k ascending, of v_k[j]*(-w_k), w_k[j]*(-v_k) (gemm_nn_add); d_j = x_j; the reflector of
 *            x_(j+1).. (sumsq) gives v, e_j = beta*2^-u; w = M v over j+1.. (gemm_nn), plus sums of fl(v_k.v)*(-w_k),
 *            fl(w_k.v)*(-v_k) (dot, gemm_nn_add); w = tau*w; w = fma(fl(-0.5*tau*(w.v)), v, w). Behind a panel M = M + [v_k;
 *            w_k]^T [-w_k; -v_k] (gemm_tn_add, both triangles). Q from the last panel back, from (j, j) on, rows of V: g = V V^T
 *            (gemm_nt) with the tau on its diagonal, wy, W = V Q, Q = Q + V^T (t^T W) (gemm_nn, gemm_tn, gemm_tn_add). Then QL in
 *            double, l = 0..n-1, m the first >= l with |e_m| <= 2^-40 (|d_m| + |d_(m+1)|) or < 2^-400, at most 40 times until m =
 *            l: h = (d_(l+1) - d_l)/ (2 e_l), g = d_m - d_l + e_l/(h + sqrt(h*h + 1)) (h < 0: minus), s = c = 1, p = 0; for i =
 *            m-1..l: f = s*e_i, z = c*e_i, r = sqrt(f*f + g*g), e_(i+1) = r unless i+1 = m, s = f/r, c = g/r, g = d_(i+1) - p, q
 *            = (d_i - g)*s + 2*c*z, p = s*q, d_(i+1) = g + p, g = c*q - z, rows i+1, i of Q^T become fma(s, y, c*x), fma(-s, x,
 *            c*y) of x, y with fl(c), fl(s); at last d_l - p, e_l = g (r = 0: d_(i+1) - p, and the sweep ends). Sorted, equal d
 *            in order of their index; w = fl(d*b).
 * root       c_ij = u_ij*fl(exp(log(max(w_j, 0) + ridge)*(-0.5/p))), out = gemm_syrk of c, cut at FL_GEMM_PIECE. */
/* a = q r (m x n, m >= n) by Householder reflectors: q m x n with orthonormal columns, r n x n upper triangular (NULL: not
 * wanted), its diagonal >= 0, which makes the pair unique. q may be a. */
size_t fl_qr_work(size_t m, size_t n);
void fl_qr(const fl_kernels *, size_t m, size_t n, const float *a, float *q, float *r, float *work);
/* Symmetric a (the lower triangle is read) = v diag(w) v^T: w descending, column j of v (n x n) the eigenvector of w[j], whose
 * entry of largest magnitude (the first of equals) is positive. v may be a. 0; or -1, and w and v all NaN, when a is not
 * finite or the iteration did not converge. */
size_t fl_eigh_work(size_t n);
int fl_eigh(const fl_kernels *, size_t n, const float *a, float *w, float *v, float *work);
/* out = U diag((max(lambda, 0) + ridge)^(-1/p)) U^T of the symmetric a, itself symmetric to the bit; p > 0. out may be a. 0; or
 * -1, and out all NaN, when fl_eigh fails or some max(lambda, 0) + ridge is not > 0: 0^(-1/p) is infinite. */
size_t fl_inverse_root_work(size_t n);
int fl_inverse_root(const fl_kernels *, size_t n, const float *a, double p, float ridge, float *out, float *work);
/* a = l l^T, l lower triangular (+0 above); the lower triangle of a is read, and l may be a. 0; or 1 + index of the first pivot
 * that is not > 0, and l all NaN. */
size_t fl_cholesky_work(size_t n);
int fl_cholesky(const fl_kernels *, size_t n, const float *a, float *l, float *work);
/* One step of orthogonal iteration: q = the orthogonal factor of s q (n x n both). */
size_t fl_orthogonal_iteration_work(size_t n);
void fl_orthogonal_iteration(const fl_kernels *, size_t n, const float *s, float *q, float *work);

/* ---- recurrent.c: LSTM and GRU over a sequence, built on a table -------------------------------------------------------- */
/* x: n samples of length rows of `in`; y: of length rows of `hidden`; the state before the first row is 0. Gates in PyTorch's
 * order, i, f, g, o or r, z, n; weights as its state_dict has them: w_ih (gates x in), w_hh (gates x hidden), b_ih, b_hh, where
 * LSTM has 4*hidden gates, GRU 3*hidden. Kept for the way back, which overwrites the first two: gates (n*length x gates), of GRU
 * `state` (n*length x hidden, what r multiplies), of LSTM the cells (likewise). dx may be NULL. Order: x's products (gemm_nt,
 * then at each row the state's go on in the same sums; of GRU's n they are sums of their own), b_ih + b_hh, the cell. Back: dh =
 * dy, GRU: + dh*z of the row behind, then gates' gradients times w_hh go on; weights' gradients are gemm_tn and bias_grad over
 * all rows, cut at fl_sample_piece(length) samples. */
typedef struct { size_t length, in, hidden; } fl_recurrent;
typedef struct { const float *w_ih, *w_hh, *b_ih, *b_hh; } fl_recurrent_weights;
typedef struct { float *w_ih, *w_hh, *b_ih, *b_hh; } fl_recurrent_gradients;
size_t fl_recurrent_work(const fl_recurrent *, size_t n);       /* floats of scratch of each of the four */
/* `more`: state or cells. */
typedef void fl_recurrent_forward(const fl_kernels *, const fl_recurrent *, size_t n, const float *x,
                                  const fl_recurrent_weights *, float *y, float *gates, float *more, float *work);
typedef void fl_recurrent_back(const fl_kernels *, const fl_recurrent *, size_t n, const float *x, const fl_recurrent_weights *,
                               const float *y, float *gates, float *more, const float *dy, float *dx,
                               const fl_recurrent_gradients *, float *work);
fl_recurrent_forward fl_lstm, fl_gru;
fl_recurrent_back fl_lstm_back, fl_gru_back;

#ifdef __cplusplus
}
#endif
#endif
