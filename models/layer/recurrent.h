/* recurrent.h - what lstm.c and gru.c share: all but the number of gates and the functions over a sequence. */
#ifndef FEDLANE_RECURRENT_H
#define FEDLANE_RECURRENT_H
#include "models/layer/layer.h"
#include <string.h>

enum { HIDDEN, OUTPUT };
enum { ALL, LAST, LABELS };
#define FL_RECURRENT_PARAMS \
  { "hidden", 64, 1, 65536, NULL, "features of the state", FL_WHOLE }, \
  { "output", ALL, 0, 0, "all|last|labels", "the state of every position, or the last; labels: of those with a label", 0 }

static inline fl_recurrent recurrent_of(const fl_module *m) {
  return (fl_recurrent){ m->from.dim[0], m->from.dim[1], (size_t)m->h[HIDDEN] };
}
static inline int gives_last(const fl_module *m) { return m->to.kind == FL_VECTOR; }
static inline size_t states(const fl_module *m) { return m->from.dim[0] * (size_t)m->h[HIDDEN]; }

/* Names and shapes as in the state_dict of torch.nn.LSTM and torch.nn.GRU with one layer; all uniform in +-1/sqrt(hidden). */
static inline int bind_recurrent(fl_module *m, fl_binder *b, size_t gates) {
  char text[64];
  const size_t h = (size_t)m->h[HIDDEN], in = m->from.dim[1];
  const fl_start start = { FL_START_UNIFORM, (double)h };
  if (m->from.kind != FL_SEQUENCE) return fl_bind_refuse(b, "it reads %s; allowed: a sequence", fl_shape_text(&m->from, text));
  const int last = (int)m->h[OUTPUT] == LAST || ((int)m->h[OUTPUT] == LABELS && !fl_bind_positions(b));
  m->to = last ? (fl_shape){ FL_VECTOR, { h } } : (fl_shape){ FL_SEQUENCE, { m->from.dim[0], h } };
  fl_bind_tensor(b, "weight_ih_l0", FL_MATRIX, start, 2, (const size_t[]){ gates * h, in });
  fl_bind_tensor(b, "weight_hh_l0", FL_MATRIX, start, 2, (const size_t[]){ gates * h, h });
  fl_bind_tensor(b, "bias_ih_l0", FL_BIAS, start, 1, (const size_t[]){ gates * h });
  fl_bind_tensor(b, "bias_hh_l0", FL_BIAS, start, 1, (const size_t[]){ gates * h });
  return 0;
}

static inline fl_recurrent_weights weights_of(const fl_module *m, const fl_pass *s) {
  return (fl_recurrent_weights){ s->p + m->at[0], s->p + m->at[1], s->p + m->at[2], s->p + m->at[3] };
}
static inline fl_recurrent_gradients gradients_of(const fl_module *m, const fl_pass *s) {
  return (fl_recurrent_gradients){ s->g + m->at[0], s->g + m->at[1], s->g + m->at[2], s->g + m->at[3] };
}

/* Kept: the gates of every position, one more vector of it (cells, or what r multiplies), and where only the last state is given,
 * all of them. Scratch: the kernels' own, and behind it then the gradients of all states. */
typedef struct { float *gates, *more, *y; } kept_of;
static inline kept_of find_kept(const fl_module *m, const fl_pass *s, size_t gates) {
  float *at = s->kept;
  const size_t n = s->n * states(m);
  return (kept_of){ at, at + gates * n, gives_last(m) ? at + (gates + 1) * n : s->y };
}
static inline size_t kept_bytes(const fl_module *m, size_t gates) {
  return (gates + 1 + (size_t)gives_last(m)) * states(m) * sizeof(float);
}
static inline size_t own_work(const fl_module *m, size_t n) {
  const fl_recurrent r = recurrent_of(m);
  return fl_recurrent_work(&r, n);
}
static inline size_t recurrent_work(const fl_module *m, size_t n) {
  return (own_work(m, n) + (gives_last(m) ? n * states(m) : 0)) * sizeof(float);
}

/* y of the last position of each sample. */
static inline void give_last(const fl_module *m, const fl_pass *s, const float *y) {
  const size_t h = (size_t)m->h[HIDDEN], all = states(m);
  for (size_t b = 0; gives_last(m) && b < s->n; b++) memcpy(s->y + b * h, y + (b + 1) * all - h, h * sizeof *y);
}
/* The gradients of all states: +0 but for the last. */
static inline const float *spread_last(const fl_module *m, const fl_pass *s) {
  const size_t h = (size_t)m->h[HIDDEN], all = states(m);
  float *dy = (float *)s->work + own_work(m, s->n);
  if (!gives_last(m)) return s->dy;
  memset(dy, 0, s->n * all * sizeof *dy);
  for (size_t b = 0; b < s->n; b++) memcpy(dy + (b + 1) * all - h, s->dy + b * h, h * sizeof *dy);
  return dy;
}

static inline void recurrent_forward(const fl_module *m, const fl_pass *s, size_t gates, fl_recurrent_forward *run) {
  const fl_recurrent r = recurrent_of(m);
  const fl_recurrent_weights w = weights_of(m, s);
  const kept_of k = find_kept(m, s, gates);
  run(s->k, &r, s->n, s->x[0], &w, k.y, k.gates, k.more, s->work);
  give_last(m, s, k.y);
}
static inline void recurrent_back(const fl_module *m, const fl_pass *s, size_t gates, fl_recurrent_back *run) {
  const fl_recurrent r = recurrent_of(m);
  const fl_recurrent_weights w = weights_of(m, s);
  const fl_recurrent_gradients g = gradients_of(m, s);
  const kept_of k = find_kept(m, s, gates);
  run(s->k, &r, s->n, s->x[0], &w, k.y, k.gates, k.more, spread_last(m, s), s->dx[0], &g, s->work);
}

static inline double recurrent_macs(const fl_module *m, size_t gates) {
  return (double)states(m) * (double)gates * (double)(m->from.dim[1] + (size_t)m->h[HIDDEN]);
}
#endif
