/* control.h - what SCAFFOLD and FedMoSWA share: a client's control variate c_i against the server's c. */
#ifndef FL_FEDERATED_CONTROL_H
#define FL_FEDERATED_CONTROL_H
#include <fedlane/optimizer.h>

/* The correction c - c_i joins the gradient; difference: d floats that live as long as the client's steps. */
static inline void control_correct(fl_local *lo, float *difference, const float *c, const float *c_i) {
  lo->k->sub(lo->job->layout->d, difference, c, c_i);
  fl_mix_add(lo, difference, 1.0);
}
/* out = c_i_new - c_i = -(Delta_i/(K_i*lr)) - c; up[0] holds Delta_i, K_i counts the step sizes in units of lr. */
static inline void control_change(fl_local *lo, float *out, const float *c) {
  const size_t d = lo->job->layout->d;
  lo->k->scale(d, out, (float)(-1.0 / (lo->effective_steps * lo->lr)), lo->up[0].v);
  lo->k->sub(d, out, out, c);
}
/* out = the client's gradient at x, over all its rows (count FL_ALL) or the current batch (0). */
static inline void control_gradient(fl_local *lo, float *out, size_t count) {
  const fl_ask ask = { .at = lo->start, .first = 0, .count = count };
  if (lo->oracle->n > 0) lo->oracle->grad(lo->oracle->self, &ask, out);
}
#endif
