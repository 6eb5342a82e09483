/* attention.c - tests of attention. */
#include "check.h"

#define COUNT(x) (sizeof(x) / sizeof *(x))
enum { GAP = 3 };

static void call_attention(const fl_kernels *k, call *c) {
  k->attention(c->param, c->s[0], c->p[0], c->p[1], c->p[2], c->p[3], c->p[4], c->p[5]);
}
static void call_attention_back(const fl_kernels *k, call *c) {
  k->attention_back(c->param, c->s[0], c->p[0], c->p[1], c->p[2], c->p[3], c->p[4], c->p[5], c->p[6], c->p[7], c->p[8], c->p[9]);
}

typedef struct { size_t n, length, heads, dim; } shape;
static const shape shapes[] = { { 1, 1, 1, 1 }, { 3, 8, 6, 4 }, { 2, 16, 1, 16 }, { 5, 3, 2, 5 }, { 1, 17, 2, 4 },
                                { 2, 9, 1, 33 },{ 1, 65, 2, 64 }, { 1, 130, 1, 20 }, { 1, 300, 1, 7 } };

static void one(check *t, int back, const shape *p, int causal, double drop, int kind) {
  static const fl_key draws = { 5, FL_PURPOSE_MASK, 3, 2, 1 };
  const size_t row = p->heads * p->dim, rows = p->n * p->length, stats = 2 * p->n * p->heads * p->length;
  const fl_attention s = { .length = p->length, .heads = p->heads, .dim = p->dim, .ld = row + GAP, .ldo = row + 1,
                           .scale = 0.37f, .causal = causal, .draws = drop > 0 ? &draws : NULL, .drop = drop, .first = 48 };
  const size_t in = rows ? (rows - 1) * s.ld + row : 0, out = rows ? (rows - 1) * s.ldo + row : 0;
  const float *q = some_floats(t, 0, in, kind), *k = some_floats(t, 1, in, kind), *v = some_floats(t, 2, in, kind);
  const float *y = some_floats(t, 3, out, kind), *dy = some_floats(t, 4, out, kind), *stat = some_floats(t, 5, stats, kind);
  const arg work = { 's', 'f', fl_attention_work(&s), NULL, -1, 0, 0 };
#define IN(n, init) { 'i', 'f', (n), (init), -1, 0, 0 }
#define TO(n, ld) { 'o', 'f', (n), NULL, -1, row, (ld) }
  const arg forward[] = { IN(in, q), IN(in, k), IN(in, v), TO(out, s.ldo), { 'o', 'f', stats, NULL, -1, 0, 0 }, work };
  const arg backward[] = { IN(in, q), IN(in, k), IN(in, v), IN(out, y), IN(stats, stat), IN(out, dy), TO(in, s.ld), TO(in, s.ld),
                           TO(in, s.ld), work };
  call c = { .s = { p->n }, .param = &s };
  char what[96];
  snprintf(what, sizeof what, "n=%zu length=%zu heads=%zu dim=%zu causal=%d drop=%g kind=%d", p->n, p->length, p->heads, p->dim,
           causal, drop, kind);
  if (back) { run_case(t, what, call_attention_back, &c, COUNT(backward), backward); }
  else { run_case(t, what, call_attention, &c, COUNT(forward), forward); }
}

static void all(check *t, int back) {
  for (size_t i = 0; i < COUNT(shapes); i++) {
    for (int causal = 0; causal < 2; causal++) {
      one(t, back, &shapes[i], causal, 0, KIND_UNIFORM);
      for (int kind = 1; kind < KINDS; kind++) {
        if (!t->quick || (i + (size_t)causal + (size_t)kind) % 4 == 0) { one(t, back, &shapes[i], causal, 0, kind); }
      }
    }
  }
  for (size_t i = 0; i < COUNT(shapes); i++) { /* 1 - 1e-12: every word is below */
    for (int kind = 0; kind < KINDS; kind++) {
      const int causal = (int)(i + (size_t)kind) % 2;
      if (kind == KIND_UNIFORM || !t->quick || (i + (size_t)kind) % 4 == 0) {
        one(t, back, &shapes[i], causal, i == 4 ? 1 - 1e-12 : 0.3, kind);
      }
    }
  }
}
void check_attention(check *t) { all(t, 0); }
void check_attention_back(check *t) { all(t, 1); }
