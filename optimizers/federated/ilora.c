/* ilora.c - ILoRA (Zhou, Liu, Shang 2025, arXiv 2511.16069; federated-structured-robust 5): low-rank adapters of mixed ranks. A
 * matrix is base + B A, the columns of B orthonormal where the server hands it out; client k has the first r_k columns of B and
 * rows of A, r_k = r/2^(k mod rank_levels) of the model's rank r; what lies beyond stays 0.
 *
 *   start   B = the first r columns of Q of W_0 = Q R, unpivoted, diag R >= 0;   A = B^T W_0, R's first rows;   base = W_0 - B A
 *   client  base_k = W - B_k A_k;  steps with g + c - c_k (before the moments);  c_k <- mean of the raw g over the steps
 *   server  W <- W + sum p_k (B_k A_k - B_k0 A_k0);   B, A of sum p_k B_k A_k as at the start;   base <- W - B A
 *           row q of c <- sum p_k c_k / sum p_k over the clients with r_k > q
 *
 * refactor = qr_pivot: Q of the columns that a pivoted QR takes first, svd: the best product of the rank, by the eigenvectors of
 * the smaller Gram matrix. ilora_control = no leaves c and c_k out. The head is trained as it is, with its control. On the wire
 * are r_k(m + n) floats of factors and as many of control variates, both ways; the sum of the products is formed by the fixed
 * tree over dense m x n matrices, which nobody sends. Down come, besides, the factors of all clients of the rounds that the
 * client missed, by which it keeps W, or W where that is smaller. Inferred by the specification: the form of the control, the
 * base, the handing out; by us the head and the catching up. */
#include "averaging.h"
#include "optimizers/search/probe.h"

enum { QR, QR_PIVOT, SVD };
enum { H_LEVELS, H_REFACTOR, H_CONTROL };
static const fl_param params[] = {
  [H_LEVELS] = { "rank_levels", 3, 1, 13, NULL, "clients have the model's rank, half of it, a quarter .. in turn: so many",
                 FL_WHOLE },
  [H_REFACTOR] = { "refactor", QR, 0, 0, "qr|qr_pivot|svd", "new factors: of the leading columns, the longest, or the best",
                   0 },
  [H_CONTROL] = { "ilora_control", 1, 0, 0, "no|yes", "control variates against drift", 0 },
};
enum { S_C, S_CK, S_CK_UP, S_WEIGHT_UP, S_RANK_UP, S_TOTAL, S_SEEN, S_WORK, S_COUNT };

/* Whether a matrix of this name is the base of adapters with that name: STEM or STEM.weight, STEM.lora_A. */
static int is_base(const char *name, const char *adapters) {
  const size_t stem = strlen(adapters) - strlen(".lora_A");
  return !strncmp(name, adapters, stem) && (!name[stem] || !strcmp(name + stem, ".weight"));
}

/* The adapters of one matrix: A (r x n), B^T (r x m), base (m x n) at these places of the flat vector. */
typedef struct { size_t r, m, n, a, b, w; } pair;
static int next_pair(const fl_layout *l, size_t *i, pair *p) {
  while (*i < l->n && l->tensor[*i].role != FL_LORA_A) ++*i;
  if (*i + 1 >= l->n) return 0;
  const fl_tensor *a = &l->tensor[(*i)++], *b = &l->tensor[(*i)++];
  *p = (pair){ a->shape[0], b->shape[1], a->shape[1], a->offset, b->offset, 0 };
  for (size_t j = 0; j < l->n; j++) {
    const fl_tensor *t = &l->tensor[j];
    if (t->role == FL_BUFFER && t->layer == a->layer && is_base(t->name, a->name)) p->w = t->offset;
  }
  return 1;
}
#define EACH_PAIR(l, p) size_t at_ = 0; for (pair p; next_pair(l, &at_, &p);)

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static size_t larger(size_t a, size_t b) { return a > b ? a : b; }
static size_t rank_of(const double *h, size_t r, uint32_t client) { return r >> client % (uint32_t)h[H_LEVELS]; }
/* Floats of the factors of all matrices together; what is trained besides lies behind them. */
static size_t factors_of(const fl_layout *l) {
  size_t floats = 0;
  EACH_PAIR(l, p) floats += p.r * (p.m + p.n);
  return floats;
}
/* Floats of what a client trains. */
static size_t trained_of(const double *h, const fl_layout *l, uint32_t client) {
  size_t floats = l->d - factors_of(l);
  EACH_PAIR(l, p) floats += rank_of(h, p.r, client) * (p.m + p.n);
  return floats;
}

static size_t rank_floats(const fl_job *job, const double *h) { (void)h; return job->layout->tensor[0].shape[0]; }
static size_t if_control(const fl_job *job, const double *h) { return h[H_CONTROL] != 0 ? job->layout->d : 0; }
static size_t one(const fl_job *job, const double *h) { (void)job; (void)h; return 1; }
static size_t two(const fl_job *job, const double *h) { (void)job; (void)h; return 2; }
/* What factorise needs besides its m x n matrix. */
static size_t factorise_floats(const double *h, const pair *p) {
  const size_t s = smaller(p->m, p->n);
  const size_t pivots = h[H_REFACTOR] == QR_PIVOT ? p->m * p->n + 2 * p->n + p->m : 0;
  if (h[H_REFACTOR] != SVD) return p->m * p->r + larger(fl_qr_work(p->m, p->r), pivots);
  return p->m * s + s * s + s + larger(fl_qr_work(p->m, s), fl_eigh_work(s));
}
static size_t work_floats(const fl_job *job, const double *h) {
  size_t most = 0;
  EACH_PAIR(job->layout, p) most = larger(most, p.m * p.n + larger(p.r * p.n, factorise_floats(h, &p)));
  return 2 * job->layout->d + most;
}
/* The parts of the work: c - c_k and the sum of the gradients, d each, then room for a matrix and more. */
static float *difference_of(const fl_local *lo) { return lo->at[S_WORK]; }
static float *sum_of(const fl_local *lo) { return lo->at[S_WORK] + lo->job->layout->d; }
static float *room_of(const fl_job *job, float **at) { return at[S_WORK] + 2 * job->layout->d; }
/* total, seen: ranks of all clients of all rounds so far, and as of the client's last round, as units and 2^20's. */
static const fl_slot slots[S_COUNT] = {
  [S_C] = { "c", FL_SERVER, FL_DOWN, if_control },
  [S_CK] = { "c_k", FL_CLIENT, 0, if_control },
  [S_CK_UP] = { "c_k", FL_UP, 0, if_control },
  [S_WEIGHT_UP] = { "weight_of_rank", FL_UP, FL_FORMED, rank_floats },
  [S_RANK_UP] = { "rank", FL_UP, FL_FORMED | FL_OVER_N, one },
  [S_TOTAL] = { "total", FL_SERVER, 0, two },
  [S_SEEN] = { "seen", FL_CLIENT, 0, two },
  [S_WORK] = { "work", FL_WORK, 0, work_floats },
};

static const char *setup(const double *h, const fl_job *job) {
  if (job->n_stages > 1)
    return fl_why(job, "stage ilora: the factors that clients send are made anew by the server, stage %s would go by the change "
                       "between them; allowed: ilora as the only stage", job->stage[job->stage[0]->setup == setup]->name);
  if (job->layout && job->layout->tensor[0].role != FL_LORA_A)
    return fl_why(job, "stage ilora trains adapters, and the model has none; allowed: a model with adapters, such as mlp_lora8");
  if (job->layout && job->adapter_scale != 1)
    return fl_why(job, "stage ilora: adapters scaled by alpha/rank = %g; allowed: alpha = rank, as its factors are those of W "
                       "itself", job->adapter_scale);
  if (job->layout && job->layout->tensor[0].shape[0] >> ((size_t)h[H_LEVELS] - 1) < 1)
    return fl_why(job, "rank_levels = %g of rank %zu: the last clients would have no rank; allowed: at most 1 + log2 of the rank",
                  h[H_LEVELS], job->layout->tensor[0].shape[0]);
  return averaging_only(job, "stage ilora");
}

/* ---- factors ------------------------------------------------------------------------------------------------------------- */
/* out = B A of the first r ranks. */
static void product(const fl_kernels *k, const pair *p, size_t r, const float *x, float *out) {
  k->gemm_tn(p->m, p->n, r, x + p->b, p->m, x + p->a, p->n, out, p->n, FL_GEMM_PIECE);
}
/* out += B A of r ranks from `first` on. */
static void add_product(const fl_kernels *k, const pair *p, size_t first, size_t r, const float *x, float *out) {
  k->gemm_tn_add(p->m, p->n, r, x + p->b + first * p->m, p->m, x + p->a + first * p->n, p->n, out, p->n);
}

static void take_column(const pair *p, const float *w, size_t from, float *q, size_t to) {
  for (size_t i = 0; i < p->m; i++) q[i * p->r + to] = w[i * p->n + from];
}
/* The r columns that a QR with pivoting takes: the one that is longest without the span of those before, of equals the first. */
static void take_longest(const fl_kernels *k, const pair *p, const float *w, float *q, float *work) {
  float *left = work, *length = left + p->m * p->n, *along = length + p->n, *unit = along + p->n;
  memcpy(left, w, p->m * p->n * sizeof *left);
  for (size_t j = 0; j < p->r; j++) {
    size_t best = 0;
    memset(length, 0, p->n * sizeof *length);
    for (size_t i = 0; i < p->m; i++)
      for (size_t c = 0; c < p->n; c++) length[c] += left[i * p->n + c] * left[i * p->n + c];
    for (size_t c = 1; c < p->n; c++)
      if (length[c] > length[best]) best = c;
    take_column(p, w, best, q, j);
    const float over = length[best] > 0 ? -1.0f / sqrtf(length[best]) : 0.0f;
    for (size_t i = 0; i < p->m; i++) unit[i] = over * left[i * p->n + best];
    k->gemm_nn(1, p->n, p->m, unit, p->m, left, p->n, along, p->n, FL_GEMM_PIECE);
    k->scale(p->m, unit, -1.0f, unit);
    k->gemm_tn_add(p->m, p->n, 1, unit, p->m, along, p->n, left, p->n);
  }
}

/* q (m x s), s = min(m, n): the left singular vectors of w, the largest first. */
static void singular(const fl_kernels *k, const pair *p, const float *w, float *q, float *work) {
  const size_t s = smaller(p->m, p->n), m = p->m, n = p->n;
  float *square = work, *values = work + s * s, *rest = values + s;
  if (m <= n) {
    k->gemm_syrk(m, n, w, n, square, m, FL_GEMM_PIECE);
    fl_eigh(k, m, square, values, q, rest);
  } else {                                      /* w times the right ones: orthogonal columns, the longest first */
    k->gemm_tn(n, n, m, w, n, w, n, square, n, FL_GEMM_PIECE);
    fl_eigh(k, n, square, values, square, rest);
    k->gemm_nn(m, n, n, w, n, square, n, q, n, FL_GEMM_PIECE);
    fl_qr(k, m, n, q, q, NULL, rest);
  }
}

/* B^T and A of x from w: r orthonormal columns, and what they make of w. A w that is not finite gives what is not, either. */
static void factorise(const double *h, const fl_kernels *k, const pair *p, const float *w, float *x, float *work) {
  const size_t columns = h[H_REFACTOR] == SVD ? smaller(p->m, p->n) : p->r;
  float *q = work, *rest = work + p->m * columns;
  if (h[H_REFACTOR] == SVD) {
    singular(k, p, w, q, rest);
  } else {
    for (size_t j = 0; j < p->r && h[H_REFACTOR] == QR; j++) take_column(p, w, j, q, j);
    if (h[H_REFACTOR] == QR_PIVOT) take_longest(k, p, w, q, rest);
    fl_qr(k, p->m, p->r, q, q, NULL, rest);
  }
  for (size_t i = 0; i < p->r; i++)
    for (size_t j = 0; j < p->m; j++) x[p->b + i * p->m + j] = q[j * columns + i];
  k->gemm_nn(p->r, p->n, p->m, x + p->b, p->m, w, p->n, x + p->a, p->n, FL_GEMM_PIECE);
}

/* ---- client -------------------------------------------------------------------------------------------------------------- */
/* Floats by which the client comes to the W of today. */
static size_t catch_up(const fl_local *lo) {
  const float *total = lo->at[S_TOTAL], *seen = lo->at[S_SEEN];
  const double missed = 0x1p20 * (double)(total[1] - seen[1]) + (double)(total[0] - seen[0]);
  size_t floats = 0;
  EACH_PAIR(lo->job->layout, p) {
    const double factors = missed * (double)(p.m + p.n), dense = (double)(p.m * p.n);
    floats += (size_t)(factors < dense ? factors : dense);
  }
  return floats;
}

static void client_start(const double *h, fl_local *lo) {
  const fl_layout *l = lo->job->layout;
  const int control = h[H_CONTROL] != 0;
  float *difference = difference_of(lo);
  if (control) lo->k->sub(l->d, difference, lo->at[S_C], lo->at[S_CK]);
  EACH_PAIR(l, p) {                             /* what lies beyond the client's rank goes into its base */
    const size_t r = rank_of(h, p.r, lo->id), beyond = p.r - r;
    if (!beyond) continue;
    add_product(lo->k, &p, r, beyond, lo->start, lo->y + p.w);
    for (int i = 0; i <= control; i++) {
      float *v = i ? difference : lo->y;
      memset(v + p.a + r * p.n, 0, beyond * p.n * sizeof *v);
      memset(v + p.b + r * p.m, 0, beyond * p.m * sizeof *v);
    }
  }
  if (control) {
    memset(sum_of(lo), 0, l->d * sizeof(float));
    fl_mix_add(lo, difference, 1.0);
  }
  lo->down_bits = 32 * (uint64_t)((control ? 2 : 1) * trained_of(h, l, lo->id) + catch_up(lo));
  memcpy(lo->at[S_SEEN], lo->at[S_TOTAL], 2 * sizeof(float));
}

static double grad(const double *h, fl_local *lo) {
  const double loss = gradient_at(lo, lo->y, lo->g);
  if (h[H_CONTROL] != 0) lo->k->axpy(lo->job->layout->d, sum_of(lo), 1.0f, lo->g);
  return loss;
}

static void client_finish(const double *h, fl_local *lo) {
  const fl_layout *l = lo->job->layout;
  const size_t all = rank_floats(lo->job, h), rank = rank_of(h, all, lo->id), factors = factors_of(l);
  float *change = lo->up[0].v, *ck = lo->at[S_CK], *before = room_of(lo->job, lo->at);
  memset(change, 0, factors * sizeof *change);
  memset(change + l->d, 0, l->buffers * sizeof *change);
  EACH_PAIR(l, p) {                             /* in the place of W's base: how B A has changed */
    product(lo->k, &p, rank, lo->y, change + p.w);
    product(lo->k, &p, rank, lo->start, before);
    lo->k->sub(p.m * p.n, change + p.w, change + p.w, before);
  }
  const int control = h[H_CONTROL] != 0;
  if (control && lo->steps) lo->k->scale(l->d, ck, (float)(1.0 / (double)lo->steps), sum_of(lo));
  if (control) memcpy(lo->at[S_CK_UP], ck, l->d * sizeof *ck);
  for (size_t q = 0; q < all; q++) lo->at[S_WEIGHT_UP][q] = q < rank ? 1.0f : 0.0f;
  lo->at[S_RANK_UP][0] = (float)rank;
}

static void message(const double *h, const fl_job *job, uint32_t id, size_t at, uint64_t *change, uint64_t *own) {
  (void)at;
  *change = 32 * (uint64_t)trained_of(h, job->layout, id);
  if (h[H_CONTROL] != 0) own[S_CK_UP] = *change;
}

/* ---- server -------------------------------------------------------------------------------------------------------------- */
/* The rows of a factor: of those who have it. */
static void mean_rows(const fl_server *sv, size_t r, size_t n, size_t at) {
  for (size_t q = 0; q < r; q++) {
    const float weight = sv->at[S_WEIGHT_UP][q];
    if (weight > 0) sv->k->scale(n, sv->at[S_C] + at + q * n, 1.0f / weight, sv->at[S_CK_UP] + at + q * n);
  }
}

static void server_finish(const double *h, fl_server *sv) {
  const fl_layout *l = sv->job->layout;
  const size_t factors = factors_of(l);
  const int control = h[H_CONTROL] != 0;
  float *move = sv->move, *delta = room_of(sv->job, sv->at), *total = sv->at[S_TOTAL];
  EACH_PAIR(l, p) {
    float *scaled = delta + p.m * p.n;
    memcpy(delta, move + p.w, p.m * p.n * sizeof *delta);
    for (size_t q = 0; q < p.r; q++) sv->k->scale(p.n, scaled + q * p.n, sv->at[S_WEIGHT_UP][q], sv->x + p.a + q * p.n);
    sv->k->gemm_tn_add(p.m, p.n, p.r, sv->x + p.b, p.m, scaled, p.n, delta, p.n);     /* sum p_k B_k A_k */
    add_product(sv->k, &p, 0, p.r, sv->x, move + p.w);
    factorise(h, sv->k, &p, delta, move, scaled);
    product(sv->k, &p, p.r, move, delta);
    sv->k->sub(p.m * p.n, move + p.w, move + p.w, delta);
    if (!control) continue;
    mean_rows(sv, p.r, p.n, p.a);
    mean_rows(sv, p.r, p.m, p.b);
  }
  if (control) mean_rows(sv, 1, l->d - factors, factors);
  sv->k->sub(factors, move, move, sv->x);       /* from the new factors to their change */
  total[0] += (float)(uint64_t)((double)sv->at[S_RANK_UP][0] * (double)sv->job->clients + 0.5);
  for (; total[0] >= 0x1p20f; total[0] -= 0x1p20f) total[1] += 1.0f;
}

/* The start, from the weights that the model begins with: B is 0, or that of a file of adapters. */
static void after(const double *h, fl_server *sv) {
  if (sv->t) return;
  float *w = room_of(sv->job, sv->at);
  EACH_PAIR(sv->job->layout, p) {
    add_product(sv->k, &p, 0, p.r, sv->x, sv->x + p.w);
    factorise(h, sv->k, &p, sv->x + p.w, sv->x, w);
    product(sv->k, &p, p.r, sv->x, w);
    sv->k->sub(p.m * p.n, sv->x + p.w, sv->x + p.w, w);
  }
}

const fl_stage fl_stage_ilora = { .name = "ilora", .help = "adapters of mixed ranks, whose products are averaged and refactored",
                                  .params = params, .n_params = sizeof params / sizeof *params, .slot = slots, .n_slots = S_COUNT,
                                  .terms = 1, .acts = FL_SETS_X | FL_BY_SAMPLES | FL_EDITS, .setup = setup,
                                  .client_start = client_start, .client_finish = client_finish, .message = message,
                                  .server_finish = server_finish, .grad = grad, .after = after };
