/* bcgd.c - FedBCGD and FedBCGD+ (Liu et al. 2024, ACM MM; arXiv 2603.05116; federated-structured-robust 1, 2): a client trains
 * all of the model and sends one block of it and a small shared block.
 *
 *   the client at position p of the round's draw sends Sh and P_j, j = p mod blocks
 *   server: D_c = mean of Delta_c over those who sent coordinate c, 0 if nobody did;   the server rule moves x by D
 *
 * with server_rule = momentum v <- D at first, then momentum*v + D, and x <- x + server_lr*v. The last bcgd_shared layers are
 * Sh; the others go in forward order to block floor(blocks*(q + s/2)/T), s a layer's size, q the sum before it, T of all. If a
 * block stays empty, or with bcgd_split = flat, the private coordinates are cut in storage order into `blocks` runs, the first
 * of them one longer.
 * bcgd_control = invariant (FedBCGD+; our form, inferred: keeps c the mean of all c_i):
 *
 *   y <- y - lr_r*(g + weight_decay*y + c - c_i)
 *   on what is sent: q_i = c_i_new - c_i = -c - Delta_i/(K_i*lr_r);   c_i <- c_i + q_i;   c <- c + (1/N) sum q_i
 *
 * bcgd_control = code (as released, but c_i kept by client; displacements a step, which hold lr):
 *
 *   y <- y - lr_r*(g + weight_decay*y) - (c - c_i);   c_i_new = c_i - c - Delta_i/K_i on all coordinates
 *   q_i = c_i_new - c;   Q = mean over those who sent;   c <- Q in the first round, then c + 0.1*Q
 *
 * What is not sent is not fed back. The buffers belong to Sh. Streams as sgd, with control R{y,g,c - c_i} W{y}. */
#include <fedlane/optimizer.h>
#include <string.h>

enum { NONE, INVARIANT, CODE };
enum { H_BLOCKS, H_SPLIT, H_SHARED, H_CONTROL };
enum { S_C, S_CI, S_DIFFERENCE, S_Q, S_Q_MEAN, S_COUNT };
static const fl_param params[] = {
  [H_BLOCKS] = { "blocks", 5, 1, 1e6, NULL, "private blocks, of which a client sends one", FL_WHOLE },
  [H_SPLIT] = { "bcgd_split", 0, 0, 0, "layer|flat", "how the private coordinates are divided", 0 },
  [H_SHARED] = { "bcgd_shared", 1, 0, 1e6, NULL, "last layers of the network that every client sends", FL_WHOLE },
  [H_CONTROL] = { "bcgd_control", NONE, 0, 0, "none|invariant|code", "control variates against drift", 0 },
};
static size_t if_any(const fl_job *job, const double *h) { return h[H_CONTROL] != NONE ? job->layout->d : 0; }
static size_t if_invariant(const fl_job *job, const double *h) { return h[H_CONTROL] == INVARIANT ? job->layout->d : 0; }
static size_t if_code(const fl_job *job, const double *h) { return h[H_CONTROL] == CODE ? job->layout->d : 0; }
static const fl_slot slots[S_COUNT] = {
  [S_C] = { "c", FL_SERVER, FL_DOWN, if_any },       [S_CI] = { "c_i", FL_CLIENT, 0, if_any },
  [S_DIFFERENCE] = { "c_minus_c_i", FL_WORK, 0, if_any },
  [S_Q] = { "q_i", FL_UP, FL_OVER_N, if_invariant }, [S_Q_MEAN] = { "q_i", FL_UP, FL_EQUAL, if_code },
};

/* ---- blocks ------------------------------------------------------------------------------------------------------------ */
enum { SHARED = -1 };
typedef struct { size_t blocks, total, layers, shared; int flat; } split;

static size_t layer_size(const fl_layout *l, int layer) {
  size_t sum = 0;
  for (size_t i = 0; i < l->n; i++)
    if (l->tensor[i].offset < l->d && l->tensor[i].layer == layer) sum += l->tensor[i].size;
  return sum;
}
static long by_layer(const split *s, const fl_layout *l, int layer) {
  size_t before = 0;
  for (int i = 0; i < layer; i++) before += layer_size(l, i);
  return (long)(s->blocks * (2 * before + layer_size(l, layer)) / (2 * s->total));
}
static split split_of(const double *h, const fl_layout *l) {
  split s = { .blocks = (size_t)h[H_BLOCKS] };
  for (size_t i = 0; i < l->n; i++)
    if (l->tensor[i].offset < l->d && (size_t)l->tensor[i].layer + 1 > s.layers) s.layers = (size_t)l->tensor[i].layer + 1;
  s.shared = h[H_SHARED] < (double)s.layers ? (size_t)h[H_SHARED] : s.layers;
  for (size_t i = 0; i < s.layers - s.shared; i++) s.total += layer_size(l, (int)i);
  s.flat = h[H_SPLIT] != 0;
  for (size_t j = 0, seen; !s.flat && s.total && j < s.blocks; j++) {
    seen = 0;
    for (size_t i = 0; i < s.layers - s.shared; i++) seen += by_layer(&s, l, (int)i) == (long)j;
    s.flat = !seen;
  }
  return s;
}

/* Where block j of the flat split begins among the private coordinates. */
static size_t cut(const split *s, size_t j) {
  const size_t longer = s->total % s->blocks;
  return j * (s->total / s->blocks) + (j < longer ? j : longer);
}

/* Runs of the vector that belong to one block, in storage order. */
typedef void each_run(void *self, long block, size_t offset, size_t n);
static void runs_of(const double *h, const fl_layout *l, each_run *each, void *self) {
  const split s = split_of(h, l);
  size_t at = 0, block = 0;                     /* among the private coordinates */
  for (size_t i = 0; i < l->n && l->tensor[i].offset < l->d; i++) {
    const fl_tensor *t = &l->tensor[i];
    if ((size_t)t->layer >= s.layers - s.shared) {
      each(self, SHARED, t->offset, t->size);
    } else if (!s.flat) {
      each(self, by_layer(&s, l, t->layer), t->offset, t->size);
    } else {
      for (size_t done = 0; done < t->size;) {
        while (cut(&s, block + 1) <= at) block++;
        const size_t room = cut(&s, block + 1) - at, n = t->size - done < room ? t->size - done : room;
        each(self, (long)block, t->offset + done, n);
        done += n, at += n;
      }
    }
  }
}

static const char *setup(const double *h, const fl_job *job) {
  if (job->layout && h[H_BLOCKS] > (double)job->cohort)
    return fl_why(job, "stage bcgd: blocks = %g with %zu clients a round; allowed: 1 to %zu, or a block is never sent",
                  h[H_BLOCKS], job->cohort, job->cohort);
  if (!job->layout) return NULL;
  const split s = split_of(h, job->layout);
  if (s.shared == s.layers && h[H_BLOCKS] > 1)
    return fl_why(job, "stage bcgd: bcgd_shared = %g of %zu layers leaves nothing for blocks = %g; allowed: below %zu, or "
                       "blocks = 1", h[H_SHARED], s.layers, h[H_BLOCKS], s.layers);
  const size_t private = s.total;
  if (private && h[H_BLOCKS] > (double)private)
    return fl_why(job, "stage bcgd: blocks = %g of %zu private parameters; allowed: 1 to %zu", h[H_BLOCKS], private, private);
  return NULL;
}

/* ---- hooks ------------------------------------------------------------------------------------------------------------- */
/* v NULL: what is left out is counted alone */
typedef struct { float *v; long mine; size_t out; } sender;
static void keep_own(void *self, long block, size_t offset, size_t n) {
  sender *s = self;
  if (block == SHARED || block == s->mine) return;
  s->out += n;
  if (s->v) memset(s->v + offset, 0, n * sizeof *s->v);
}
/* What the client does not send becomes 0. Returns how much that is. */
static size_t send_part(const double *h, const fl_job *job, size_t position, float *v) {
  sender s = { v, (long)(position % (size_t)h[H_BLOCKS]), 0 };
  runs_of(h, job->layout, keep_own, &s);
  return s.out;
}
static void message(const double *h, const fl_job *job, uint32_t id, size_t position, uint64_t *change, uint64_t *own) {
  (void)id;
  const uint64_t out = 32 * (uint64_t)send_part(h, job, position, NULL);
  *change -= out;
  if (h[H_CONTROL] != NONE) own[h[H_CONTROL] == INVARIANT ? S_Q : S_Q_MEAN] -= out;
}

typedef struct { fl_server *sv; float *v; size_t blocks; } holders;
static void over_holders(void *self, long block, size_t offset, size_t n) {
  const holders *b = self;
  if (block == SHARED) return;
  const size_t m = b->sv->m, j = (size_t)block, sent = m / b->blocks + (j < m % b->blocks);
  if (sent && sent < m) b->sv->k->scale(n, b->v + offset, (float)((double)m / (double)sent), b->v + offset);
}
/* The mean over all m becomes the mean over those who sent; 0 stays where nobody did. */
static void mean_of_holders(const double *h, fl_server *sv, float *v) {
  holders b = { sv, v, (size_t)h[H_BLOCKS] };
  runs_of(h, sv->job->layout, over_holders, &b);
}

static size_t terms_of(const double *h) { return h[H_CONTROL] == INVARIANT; }

static void client_start(const double *h, fl_local *lo) {
  if (h[H_CONTROL] == NONE) return;
  float *difference = lo->at[S_DIFFERENCE];
  lo->k->sub(lo->job->layout->d, difference, lo->at[S_C], lo->at[S_CI]);
  if (h[H_CONTROL] == INVARIANT) fl_mix_add(lo, difference, 1.0);
  else lo->mix.drift = difference, lo->mix.cd = 1.0;
}

static void client_finish(const double *h, fl_local *lo) {
  const size_t d = lo->job->layout->d;
  const int invariant = h[H_CONTROL] == INVARIANT;
  const double over = lo->effective_steps * (invariant ? lo->lr : 1.0);
  if (h[H_CONTROL] != NONE) {
    float *q = lo->at[invariant ? S_Q : S_Q_MEAN], *ci = lo->at[S_CI];
    lo->k->scale(d, q, over > 0 ? (float)(-1.0 / over) : 0.0f, lo->up[0].v);
    if (over > 0) lo->k->sub(d, q, q, lo->at[S_C]);
    if (!invariant) {
      lo->k->add(d, ci, ci, q);                 /* c_i_new, on all coordinates */
      lo->k->sub(d, q, ci, lo->at[S_C]);
    }
    send_part(h, lo->job, lo->position, q);
    if (invariant) lo->k->add(d, ci, ci, q);
  }
  send_part(h, lo->job, lo->position, lo->up[0].v);
}

static void server_finish(const double *h, fl_server *sv) {
  const size_t d = sv->job->layout->d;
  if (h[H_CONTROL] == INVARIANT) sv->k->add(d, sv->at[S_C], sv->at[S_C], sv->at[S_Q]);
  if (h[H_CONTROL] == CODE) {
    mean_of_holders(h, sv, sv->at[S_Q_MEAN]);
    if (sv->moved == 0) memcpy(sv->at[S_C], sv->at[S_Q_MEAN], d * sizeof(float));
    else sv->k->axpy(d, sv->at[S_C], 0.1f, sv->at[S_Q_MEAN]);
  }
  mean_of_holders(h, sv, sv->move);
}

const fl_stage fl_stage_bcgd = { .name = "bcgd", .help = "clients send one block of the model and a shared one",
                                 .params = params, .n_params = sizeof params / sizeof *params, .slot = slots, .n_slots = S_COUNT,
                                 .terms_of = terms_of, .drifts = 1, .acts = FL_IN_PARTS, .setup = setup,
                                 .client_start = client_start, .client_finish = client_finish, .message = message,
                                 .server_finish = server_finish };
