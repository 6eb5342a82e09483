/* adapters.c - an objective of low rank over another one: every matrix W (m x n) that is asked for, but never the head's or a
 * table of embeddings, becomes base + s B A with B (m x r), A (r x n), s = alpha/r. Trained are these and the head's layer, the
 * last one, as it is; base and everything else are frozen (federated-structured-robust 5).
 *
 *   f(A, B, head) = inner f(base + B (s A), head)    dA = s (B^T G),  dB = G (s A)^T,  G = the inner gradient
 *
 * B is kept as its transpose (r x m): a rank is one row of either factor, and a smaller rank is a prefix. In the flat vector the
 * frozen tensors follow the trained ones, as buffers with their own names. */
#include "models/model.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { size_t m, n, a, b, w; } pair;  /* W's shape; offsets of A and B^T in the flat vector, of W in the inner one */
struct fl_adapters {
  fl_objective objective;
  fl_layout layout;
  const fl_objective *inner;
  const float *begin;                           /* initial values, or NULL */
  size_t rank, n_pairs, frozen, head;           /* frozen: floats of the inner vector before the head; head: where it lies here */
  double scale;
  size_t widest;                                /* floats of the largest A */
  pair *pair;
  fl_tensor *tensor;
  char (*name)[144];                            /* a tensor's name has at most 127 bytes */
};

static size_t cache_line(size_t bytes) { return (bytes + 63) / 64 * 64; }
static size_t inner_bytes(const fl_adapters *o) { return cache_line(o->inner->layout->d * sizeof(float)); }

/* A scale of 1 multiplies nothing. */
static size_t scaled_bytes(const fl_adapters *o) { return o->scale == 1 ? 0 : cache_line(o->widest * sizeof(float)); }

/* Scratch: the inner parameters, their gradient, one s A, the inner objective's own. */
typedef struct { float *x, *g, *scaled; void *rest; } scratch;
static size_t work(void *self, size_t batch) {
  const fl_adapters *o = self;
  return 2 * inner_bytes(o) + scaled_bytes(o) + (o->inner->work ? o->inner->work(o->inner->self, batch) : 0);
}

/* s A, in the scratch unless s is 1. */
static const float *scaled_a(const fl_adapters *o, const fl_kernels *k, const pair *p, const float *x, const scratch *s) {
  if (o->scale == 1) return x + p->a;
  k->scale(o->rank * p->n, s->scaled, (float)o->scale, x + p->a);
  return s->scaled;
}

/* The inner parameters that x stands for, in the scratch. */
static scratch enter(const fl_adapters *o, const fl_kernels *k, const float *x, void *work) {
  char *at = work;
  const size_t inner = inner_bytes(o);
  const scratch s = { (float *)(void *)at, (float *)(void *)(at + inner), (float *)(void *)(at + 2 * inner),
                      at + 2 * inner + scaled_bytes(o) };
  memcpy(s.x, x + o->layout.d, o->frozen * sizeof *s.x);
  memcpy(s.x + o->frozen, x + o->head, (o->inner->layout->d - o->frozen) * sizeof *s.x);
  for (size_t i = 0; i < o->n_pairs; i++) {
    const pair *p = &o->pair[i];
    k->gemm_tn_add(p->m, p->n, o->rank, x + p->b, p->m, scaled_a(o, k, p, x, &s), p->n, s.x + p->w, p->n);
  }
  return s;
}

/* g from the inner gradient. */
static void leave(const fl_adapters *o, const fl_kernels *k, const float *x, const scratch *s, float *g) {
  for (size_t i = 0; i < o->n_pairs; i++) {
    const pair *p = &o->pair[i];
    k->gemm_nn(o->rank, p->n, p->m, x + p->b, p->m, s->g + p->w, p->n, g + p->a, p->n, FL_GEMM_PIECE);
    if (o->scale != 1) k->scale(o->rank * p->n, g + p->a, (float)o->scale, g + p->a);
    k->gemm_nt(o->rank, p->m, p->n, scaled_a(o, k, p, x, s), p->n, s->g + p->w, p->n, g + p->b, p->m, FL_GEMM_PIECE);
  }
  memcpy(g + o->head, s->g + o->frozen, (o->inner->layout->d - o->frozen) * sizeof *g);
}

static double loss_grad(void *self, const fl_kernels *k, const float *x, const uint32_t *index, size_t count, float *g, void *w) {
  const fl_adapters *o = self;
  const scratch s = enter(o, k, x, w);
  const double loss = o->inner->loss_grad(o->inner->self, k, s.x, index, count, s.g, s.rest);
  leave(o, k, x, &s, g);
  return loss;
}

static double sampled_grad(void *self, const fl_kernels *k, const float *x, const uint32_t *index, size_t count,
                           const fl_key *key, float *g, void *w) {
  const fl_adapters *o = self;
  const scratch s = enter(o, k, x, w);
  const double loss = o->inner->sampled_grad(o->inner->self, k, s.x, index, count, key, s.g, s.rest);
  leave(o, k, x, &s, g);
  return loss;
}

static double flipped_grad(void *self, const fl_kernels *k, const float *x, const uint32_t *index, size_t count, float *g,
                           void *w) {
  const fl_adapters *o = self;
  const scratch s = enter(o, k, x, w);
  const double loss = o->inner->flipped_grad(o->inner->self, k, s.x, index, count, s.g, s.rest);
  leave(o, k, x, &s, g);
  return loss;
}

static double grad(void *self, const fl_kernels *k, const float *x, const fl_rows *rows, float *g, void *w) {
  const fl_adapters *o = self;
  const scratch s = enter(o, k, x, w);
  const double loss = o->inner->grad(o->inner->self, k, s.x, rows, s.g, s.rest);
  leave(o, k, x, &s, g);
  return loss;
}

static void evaluate(void *self, const fl_kernels *k, const float *x, size_t first, size_t count, fl_eval *out, void *w) {
  const fl_adapters *o = self;
  const scratch s = enter(o, k, x, w);
  o->inner->evaluate(o->inner->self, k, s.x, first, count, out, s.rest);
}

static void evaluate_samples(void *self, const fl_kernels *k, const float *x, const uint32_t *index, size_t count, fl_eval *out,
                             void *w) {
  const fl_adapters *o = self;
  const scratch s = enter(o, k, x, w);
  o->inner->evaluate_samples(o->inner->self, k, s.x, index, count, out, s.rest);
}

/* ---- initial values -------------------------------------------------------------------------------------------------------- */
static void reverse(float *x, size_t n) {
  for (size_t i = 0; i < n / 2; i++) {
    const float t = x[i];
    x[i] = x[n - 1 - i], x[n - 1 - i] = t;
  }
}

/* The usual start of adapters: A uniform in +-1/sqrt(n), B = 0, so that the model is the inner one. The inner tensors draw as
 * clients 0, 1 .. of the purpose; these from the other end. */
static void init(void *self, uint64_t seed, float *x) {
  const fl_adapters *o = self;
  const size_t d = o->inner->layout->d;
  if (o->begin) {
    memcpy(x, o->begin, (o->layout.d + o->layout.buffers) * sizeof *x);
    return;
  }
  o->inner->init(o->inner->self, seed, x + o->head);
  reverse(x + o->head, o->frozen), reverse(x + o->head + o->frozen, d - o->frozen);   /* the head comes first here */
  reverse(x + o->head, d);
  for (size_t i = 0; i < o->n_pairs; i++) {
    const pair *p = &o->pair[i];
    const fl_key key = { seed, FL_PURPOSE_INIT, 0, UINT32_MAX - (uint32_t)i, 0 };
    const float bound = (float)(1.0 / sqrt((double)p->n));
    fl_stream stream;
    fl_stream_init(&stream, &key);
    for (size_t j = 0; j < o->rank * p->n; j++) {
      const float u = (float)(fl_stream_u32(&stream) >> 8) * 0x1p-24f;
      x[p->a + j] = fmaf(2 * bound, u, -bound);
    }
    memset(x + p->b, 0, o->rank * p->m * sizeof *x);
  }
}

/* ---- layout ---------------------------------------------------------------------------------------------------------------- */
/* Of a name without ".weight" behind. */
static size_t stem_of(const char *name) {
  const size_t length = strlen(name);
  return length > 7 && !strcmp(name + length - 7, ".weight") ? length - 7 : length;
}

static void add_factor(fl_adapters *o, const fl_tensor *like, const char *suffix, fl_role role, size_t cols) {
  const size_t i = o->layout.n++;
  snprintf(o->name[i], sizeof o->name[i], "%.*s.%s", (int)stem_of(like->name), like->name, suffix);
  o->tensor[i] = (fl_tensor){ o->name[i], role, like->layer, 0, 2, { o->rank, cols, 0, 0 }, o->layout.d, o->rank * cols };
  o->layout.d += o->rank * cols;
}

/* The inner tensors from..to-1, from where they lie to `at`. */
static void add_kept(fl_adapters *o, size_t from, size_t to, size_t at, int frozen) {
  const fl_tensor *t = o->inner->layout->tensor;
  for (size_t i = from; i < to; i++) {
    fl_tensor *mine = &o->tensor[o->layout.n++];
    *mine = t[i];
    mine->offset = t[i].offset - t[from].offset + at;
    if (frozen) mine->role = FL_BUFFER;
  }
}

/* Whether the words of `part`, n bytes, stand in the name, between its ends and dots. */
static int names_part(const char *name, const char *part, size_t n) {
  const size_t stem = stem_of(name);
  for (size_t at = 0; n && at + n <= stem; at++)
    if (!strncmp(name + at, part, n) && (!at || name[at - 1] == '.') && (at + n == stem || name[at + n] == '.')) return 1;
  return 0;
}

static int takes(const fl_adapter_form *form, const fl_tensor *t) {
  if (t->ndim != 2 || t->role == FL_EMBED) return 0;
  for (const char *at = form->on; at; at = strchr(at, '+')) {
    if (*at == '+') at++;
    if (names_part(t->name, at, strcspn(at, "+"))) return 1;
  }
  return !form->on;
}

/* Every part of form->on is in the name of one of the first n tensors that can have adapters. */
static int check_parts(const fl_adapters *o, const fl_adapter_form *form, size_t n, char *err, size_t size) {
  for (const char *at = form->on; at; at = strchr(at, '+')) {
    if (*at == '+') at++;
    const size_t length = strcspn(at, "+");
    const fl_tensor *t = o->inner->layout->tensor, *some = NULL;
    int found = 0;
    for (size_t i = 0; i < n; i++) {
      if (t[i].ndim != 2 || t[i].role == FL_EMBED) continue;
      some = &t[i];
      found |= names_part(t[i].name, at, length);
    }
    if (!found && some)
      return snprintf(err, size, "adapters on '%.*s': no matrix of model %s but the last layer's has that between the dots of "
                                 "its name; allowed: parts of their names, such as %.*s", (int)length, at, o->inner->name,
                      (int)stem_of(some->name), some->name), -1;
  }
  return 0;
}

static int make_layout(fl_adapters *o, const fl_adapter_form *form, char *err, size_t size) {
  const fl_layout *l = o->inner->layout;
  size_t last = l->n;                           /* the tensors from here on are the head's layer */
  if (l->buffers) return snprintf(err, size, "adapters: model %s has buffers; allowed: none", o->inner->name), -1;
  for (size_t i = l->n; i-- > 0;)
    if (l->tensor[i].role == FL_HEAD)
      while (last > 0 && l->tensor[last - 1].layer == l->tensor[i].layer) last--;
  o->frozen = last < l->n ? l->tensor[last].offset : l->d;
  if (check_parts(o, form, last, err, size)) return -1;
  for (size_t i = 0; i < last; i++) {
    const fl_tensor *t = &l->tensor[i];
    if (!takes(form, t)) continue;
    const size_t most = t->shape[0] < t->shape[1] ? t->shape[0] : t->shape[1];
    if (o->rank > most)
      return snprintf(err, size, "adapters of rank %zu: %s of model %s is %zu x %zu; allowed: at most rank %zu", o->rank, t->name,
                      o->inner->name, t->shape[0], t->shape[1], most), -1;
    o->pair[o->n_pairs++] = (pair){ t->shape[0], t->shape[1], o->layout.d, o->layout.d + o->rank * t->shape[1], t->offset };
    if (o->widest < o->rank * t->shape[1]) o->widest = o->rank * t->shape[1];
    add_factor(o, t, "lora_A", FL_LORA_A, t->shape[1]);
    add_factor(o, t, "lora_B_T", FL_LORA_B, t->shape[0]);
  }
  if (!o->n_pairs)
    return snprintf(err, size, "adapters: model %s has no matrix besides its last layer's; allowed: a network with hidden layers",
                    o->inner->name), -1;
  o->head = o->layout.d;
  add_kept(o, last, l->n, o->head, 0);
  o->layout.d += l->d - o->frozen;
  add_kept(o, 0, last, o->layout.d, 1);
  o->layout.buffers = o->frozen;
  return 0;
}

fl_adapters *fl_adapters_new(const fl_objective *inner, const fl_adapter_form *form, char *err, size_t size) {
  const size_t n = inner->layout->n;
  fl_adapters *o = calloc(1, sizeof *o);
  if (o) {
    o->pair = calloc(n, sizeof *o->pair);
    o->tensor = calloc(3 * n, sizeof *o->tensor);
    o->name = calloc(3 * n, sizeof *o->name);
  }
  if (!o || !o->pair || !o->tensor || !o->name) return fl_adapters_free(o), snprintf(err, size, "adapters: no memory"), NULL;
  o->inner = inner;
  o->rank = form->rank;
  o->scale = form->alpha / (double)form->rank;
  o->layout.tensor = o->tensor;
  if (make_layout(o, form, err, size)) return fl_adapters_free(o), NULL;
  o->objective = (fl_objective){ .name = inner->name, .self = o, .layout = &o->layout, .n = inner->n, .n_test = inner->n_test,
                                 .classes = inner->classes, .init = init, .work = work, .loss_grad = loss_grad,
                                 .evaluate = inner->evaluate ? evaluate : NULL,
                                 .sampled_grad = inner->sampled_grad ? sampled_grad : NULL,
                                 .flipped_grad = inner->flipped_grad ? flipped_grad : NULL, .grad = inner->grad ? grad : NULL,
                                 .evaluate_samples = inner->evaluate_samples ? evaluate_samples : NULL, .frozen = o->frozen,
                                 .adapter_scale = o->scale };
  return o;
}

void fl_adapters_begin(fl_adapters *o, const float *x) { o->begin = x; }

const fl_objective *fl_adapters_objective(const fl_adapters *o) { return &o->objective; }

void fl_adapters_free(fl_adapters *o) {
  if (!o) return;
  free(o->pair);
  free(o->tensor);
  free(o->name);
  free(o);
}
