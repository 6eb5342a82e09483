/* divide_elements.c - kernels without sums over what is divided: over elements and rows. Math functions count for four of what
 * a step does, random numbers for two. */
#include "kernels/divide_parts.h"

/* ---- step ---------------------------------------------------------------------------------------------------------------- */
FL_RANGE(mix, (size_t n, float *v, const float *g, const float *y, const float *q0, const float *q1, const fl_mix_args *a),
         n, 16, n, (float *v; const float *g, *y, *q0, *q1; const fl_mix_args *a;), (v, g, y, q0, q1, a),
         (n, P(v), P(g), P(y), P(q0), P(q1), j->a))
FL_RANGE(axpy, (size_t n, float *y, float a, const float *x), n, 16, n, (float *y, a; const float *x;), (y, a, x),
         (n, P(y), j->a, P(x)))
FL_RANGE(scale, (size_t n, float *y, float a, const float *x), n, 16, n, (float *y, a; const float *x;), (y, a, x),
         (n, P(y), j->a, P(x)))
FL_RANGE(add, (size_t n, float *y, const float *a, const float *b), n, 16, n, (float *y; const float *a, *b;), (y, a, b),
         (n, P(y), P(a), P(b)))
FL_RANGE(sub, (size_t n, float *y, const float *a, const float *b), n, 16, n, (float *y; const float *a, *b;), (y, a, b),
         (n, P(y), P(a), P(b)))
FL_RANGE(sgd, (size_t n, float *y, const float *g, float decay, float lr), n, 16, n, (float *y; const float *g; float decay, lr;),
         (y, g, decay, lr), (n, P(y), P(g), j->decay, j->lr))
FL_RANGE(momentum, (size_t n, float *y, float *u, const float *g, const fl_momentum_args *a), n, 16, n,
         (float *y, *u; const float *g; const fl_momentum_args *a;), (y, u, g, a), (n, P(y), P(u), P(g), j->a))
#define OF_ADAM(name) \
  FL_RANGE(name, (size_t n, float *y, float *m, float *v, const float *g, const fl_adamw_args *a), n, 16, n, \
           (float *y, *m, *v; const float *g; const fl_adamw_args *a;), (y, m, v, g, a), (n, P(y), P(m), P(v), P(g), j->a))
OF_ADAM(adamw)
OF_ADAM(yogi)
OF_ADAM(signadam)
FL_RANGE(amsgrad, (size_t n, float *y, float *m, float *v, float *top, const float *g, const fl_adamw_args *a), n, 16, n,
         (float *y, *m, *v, *top; const float *g; const fl_adamw_args *a;), (y, m, v, top, g, a),
         (n, P(y), P(m), P(v), P(top), P(g), j->a))
FL_RANGE(sophia, (size_t n, float *y, float *m, const float *h, const float *g, const fl_sophia_args *a), n, 16, n,
         (float *y, *m; const float *h, *g; const fl_sophia_args *a;), (y, m, h, g, a), (n, P(y), P(m), P(h), P(g), j->a))
FL_RANGE(curvature, (size_t n, float *h, float beta, float omb, const float *a, const float *b), n, 16, n,
         (float *h, beta, omb; const float *a, *b;), (h, beta, omb, a, b), (n, P(h), j->beta, j->omb, P(a), P(b)))
FL_RANGE(muon_momentum, (size_t n, float *m, float *u, const float *g, float mu, float damp, int nesterov), n, 16, n,
         (float *m, *u; const float *g; float mu, damp; int nesterov;), (m, u, g, mu, damp, nesterov),
         (n, P(m), P(u), P(g), j->mu, j->damp, j->nesterov))
FL_RANGE(rmsprop, (size_t n, float *y, float *v, float *a, float *b, const float *g, const fl_rmsprop_args *p), n, 16, n,
         (float *y, *v, *a, *b; const float *g; const fl_rmsprop_args *p;), (y, v, a, b, g, p),
         (n, P(y), P(v), P(a), P(b), P(g), j->p))
FL_RANGE(lion, (size_t n, float *y, float *m, const float *g, const fl_lion_args *a), n, 16, n,
         (float *y, *m; const float *g; const fl_lion_args *a;), (y, m, g, a), (n, P(y), P(m), P(g), j->a))
FL_RANGE(sign_step, (size_t n, float *y, float *m, const float *g, const fl_sign_args *a), n, 16, n,
         (float *y, *m; const float *g; const fl_sign_args *a;), (y, m, g, a), (n, P(y), P(m), P(g), j->a))
FL_RANGE(ema, (size_t n, float *a, const float *x, float decay, float rest), n, 16, n,
         (float *a; const float *x; float decay, rest;), (a, x, decay, rest), (n, P(a), P(x), j->decay, j->rest))
FL_RANGE(towards, (size_t n, float *a, const float *x, float w), n, 16, n, (float *a; const float *x; float w;), (a, x, w),
         (n, P(a), P(x), j->w))
FL_RANGE(stretch, (size_t n, float *u, const float *y, const float *g, float eta), n, 16, n,
         (float *u; const float *y, *g; float eta;), (u, y, g, eta), (n, P(u), P(y), P(g), j->eta))
/* ---- functions, activations ---------------------------------------------------------------------------------------------- */
#define OF_ONE(name, work) \
  FL_RANGE(name, (size_t n, float *y, const float *x), n, 16, work, (float *y; const float *x;), (y, x), (n, P(y), P(x)))
#define OF_TWO(name, work) \
  FL_RANGE(name, (size_t n, float *dx, const float *dy, const float *x), n, 16, work, (float *dx; const float *dy, *x;), \
           (dx, dy, x), (n, P(dx), P(dy), P(x)))
OF_ONE(exp, 4 * n)
OF_ONE(log, 4 * n)
OF_ONE(expm1, 4 * n)
OF_ONE(log1p, 4 * n)
OF_ONE(tanh, 4 * n)
OF_ONE(sigmoid, 4 * n)
OF_ONE(erf, 4 * n)
OF_ONE(gelu, 4 * n)
OF_ONE(gelu_tanh, 4 * n)
OF_ONE(silu, 4 * n)
OF_ONE(relu, n)
OF_TWO(gelu_back, 4 * n)
OF_TWO(gelu_tanh_back, 4 * n)
OF_TWO(silu_back, 4 * n)
OF_TWO(relu_back, n)
OF_TWO(tanh_back, n)
OF_TWO(sigmoid_back, n)
FL_RANGE(sincospi, (size_t n, float *s, float *c, const float *x), n, 16, 4 * n, (float *s, *c; const float *x;), (s, c, x),
         (n, P(s), P(c), P(x)))
FL_RANGE(normalize, (size_t n, float *y, const uint8_t *x, float scale, float shift), n, 16, n,
         (float *y; const uint8_t *x; float scale, shift;), (y, x, scale, shift), (n, P(y), P(x), j->scale, j->shift))
FL_RANGE(binary_entropy, (size_t n, float *dlogits, float *loss, const float *logits, const float *target, float scale), n,
         16, 4 * n,
         (float *dlogits, *loss; const float *logits, *target; float scale;), (dlogits, loss, logits, target, scale),
         (n, P(dlogits), P(loss), P(logits), P(target), j->scale))
/* ---- random: by blocks of 64 numbers; of dropout by those of 512, which have mask words of their own --------------------- */
#define OF_DRAW(name, type) \
  FL_RANGE(name, (size_t n, type *y, size_t first, const fl_key *key), n, 64, 2 * n, \
  (type *y; size_t first; const fl_key *key;), \
           (y, first, key), (n, P(y), j->first + from, j->key))
OF_DRAW(bits, uint32_t)
OF_DRAW(uniform, float)
OF_DRAW(gaussian, float)
OF_DRAW(rademacher, float)
FL_RANGE(bernoulli, (size_t n, float *y, size_t first, const fl_key *key, double prob, float value), n, 64, 2 * n,
         (float *y; size_t first; const fl_key *key; double prob; float value;), (y, first, key, prob, value),
         (n, P(y), j->first + from, j->key, j->prob, j->value))
FL_RANGE(gamma, (size_t n, float *y, size_t first, const fl_key *key, double alpha), n, 64, 8 * n,
         (float *y; size_t first; const fl_key *key; double alpha;), (y, first, key, alpha),
         (n, P(y), j->first + from, j->key, j->alpha))
FL_RANGE(dropout, (size_t n, float *y, const float *x, size_t first, const fl_key *key, double drop, uint32_t *mask), n, 512,
         2 * n,
         (float *y; const float *x; size_t first; const fl_key *key; double drop; uint32_t *mask;), (y, x, first, key, drop,
         mask),
         (n, P(y), P(x), j->first + from, j->key, j->drop, j->mask + from / 32))
FL_RANGE(dropout_back, (size_t n, float *dx, const float *dy, double drop, const uint32_t *mask), n, 512, n,
         (float *dx; const float *dy; double drop; const uint32_t *mask;), (dx, dy, drop, mask),
         (n, P(dx), P(dy), j->drop, j->mask + from / 32))
/* ---- rows ---------------------------------------------------------------------------------------------------------------- */
FL_RANGE(transpose, (size_t rows, size_t cols, const float *x, size_t ldx, float *y, size_t ldy), rows, 16, rows * cols,
         (size_t cols; const float *x; size_t ldx; float *y; size_t ldy;), (cols, x, ldx, y, ldy),
         (n, j->cols, Q(x, j->ldx), j->ldx, P(y), j->ldy))
FL_RANGE(bias_rows, (size_t rows, size_t n, float *y, const float *bias), rows, 1, rows * n,
         (size_t wide; float *y; const float *bias;), (n, y, bias), (n, j->wide, Q(y, j->wide), j->bias))
FL_RANGE(softmax_xent, (size_t rows, size_t classes, const float *logits, const uint8_t *label, float scale, float *dlogits,
                        float *loss), rows, 1, 4 * rows * classes,
         (size_t c; const float *logits; const uint8_t *label; float scale, *dlogits, *loss;),
         (classes, logits, label, scale, dlogits, loss),
         (n, j->c, Q(logits, j->c), P(label), j->scale, Q(dlogits, j->c), P(loss)))
FL_RANGE(argmax_rows, (size_t rows, size_t classes, const float *logits, int32_t *pred), rows, 1, rows * classes,
         (size_t c; const float *logits; int32_t *pred;), (classes, logits, pred), (n, j->c, Q(logits, j->c), P(pred)))
FL_RANGE(cross_entropy, (size_t rows, size_t classes, const float *logits, const uint32_t *label, const float *weight,
                         const fl_cross_entropy *a, float *dlogits, float *loss), rows, 1, 4 * rows * classes,
         (size_t c; const float *logits; const uint32_t *label; const float *weight; const fl_cross_entropy *a;
          float *dlogits, *loss;), (classes, logits, label, weight, a, dlogits, loss),
         (n, j->c, Q(logits, j->c), P(label), j->weight, j->a, Q(dlogits, j->c), P(loss)))
FL_RANGE(multi_margin, (size_t rows, size_t classes, const float *logits, const uint32_t *label, float scale, float *dlogits,
                        float *loss), rows, 1, rows * classes,
         (size_t c; const float *logits; const uint32_t *label; float scale, *dlogits, *loss;),
         (classes, logits, label, scale, dlogits, loss),
         (n, j->c, Q(logits, j->c), P(label), j->scale, Q(dlogits, j->c), P(loss)))
FL_RANGE(embed, (size_t rows, size_t n, float *y, const uint32_t *token, const float *table), rows, 1, rows * n,
         (size_t wide; float *y; const uint32_t *token; const float *table;), (n, y, token, table),
         (n, j->wide, Q(y, j->wide), P(token), j->table))
FL_RANGE(lstm_cell, (size_t rows, size_t n, float *gates, size_t ldg, const float *bias, const float *before, float *c,
         size_t ldc,
                     float *h, size_t ldh), rows, 1, 20 * rows * n,
         (size_t wide; float *gates; size_t ldg; const float *bias, *before; float *c; size_t ldc; float *h; size_t ldh;),
         (n, gates, ldg, bias, before, c, ldc, h, ldh),
         (n, j->wide, Q(gates, j->ldg), j->ldg, j->bias, Q(before, j->ldc), Q(c, j->ldc), j->ldc, Q(h, j->ldh), j->ldh))
FL_RANGE(lstm_cell_back, (size_t rows, size_t n, float *gates, size_t ldg, const float *before, const float *c, size_t ldc,
                          const float *dh, float *dc, float *dense), rows, 1, 12 * rows * n,
         (size_t wide; float *gates; size_t ldg; const float *before, *c; size_t ldc; const float *dh; float *dc, *dense;),
         (n, gates, ldg, before, c, ldc, dh, dc, dense),
         (n, j->wide, Q(gates, j->ldg), j->ldg, Q(before, j->ldc), Q(c, j->ldc), j->ldc, Q(dh, j->wide), Q(dc, j->wide),
          Q(dense, 4 * j->wide)))
FL_RANGE(gru_cell, (size_t rows, size_t n, float *gates, size_t ldg, const float *bias, float *hidden, size_t ldn,
                    const float *before, float *h, size_t ldh), rows, 1, 16 * rows * n,
         (size_t wide; float *gates; size_t ldg; const float *bias; float *hidden; size_t ldn; const float *before; float *h;
          size_t ldh;), (n, gates, ldg, bias, hidden, ldn, before, h, ldh),
         (n, j->wide, Q(gates, j->ldg), j->ldg, j->bias, Q(hidden, j->ldn), j->ldn, Q(before, j->ldh), Q(h, j->ldh), j->ldh))
FL_RANGE(gru_cell_back, (size_t rows, size_t n, float *gates, size_t ldg, float *hidden, size_t ldn, const float *before,
                         size_t ldh, float *dh, float *dense), rows, 1, 10 * rows * n,
         (size_t wide; float *gates; size_t ldg; float *hidden; size_t ldn; const float *before; size_t ldh; float *dh, *dense;),
         (n, gates, ldg, hidden, ldn, before, ldh, dh, dense),
         (n, j->wide, Q(gates, j->ldg), j->ldg, Q(hidden, j->ldn), j->ldn, Q(before, j->ldh), j->ldh, Q(dh, j->wide),
          Q(dense, 3 * j->wide)))
