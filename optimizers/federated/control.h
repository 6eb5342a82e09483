/* control.h - what SCAFFOLD and FedMoSWA share: a client's control variate c_i against the server's c. */
#ifndef FL_FEDERATED_CONTROL_H
#define FL_FEDERATED_CONTROL_H
#include <fedlane/optimizer.h>

/* The first parameters of both, in this order. */
enum { H_OPTION, H_ROWS, H_OWN };
#define CONTROL_PARAMS \
  [H_OPTION] = { "option", 1, 0, 0, "1|2", "how a client renews its control: 1 a gradient at x, 2 from its change", 0 }, \
  [H_ROWS] = { "control_rows", 0, 0, 0, "all|batch", "rows behind the gradient of option 1: all, or the first batch", 0 }
#define CONTROL_NEEDS "control_rows option=1"

/* Where the server forms c itself, it must be of the changes that the c_i are renewed by. */
static inline const char *control_setup(int derive, const fl_job *job) {
  const fl_stage *other = derive ? fl_edited_after(job, "scaffold") : NULL;
  return other ? fl_why(job, "stage scaffold: derive = yes before stage %s, which sends another change than c_i is renewed by; "
                             "allowed: derive = no, or %s before scaffold", other->name, other->name) : NULL;
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
/* The correction c - c_i joins the gradient; difference: d floats that live as long as the client's steps. Option 1: fresh = the
 * gradient at x, here or, of the first batch, when it is drawn. */
static inline void control_start(const double *h, fl_local *lo, float *difference, const float *c, const float *c_i,
                                 float *fresh) {
  lo->k->sub(lo->job->layout->d, difference, c, c_i);
  fl_mix_add(lo, difference, 1.0);
  if (h[H_OPTION] == 0 && h[H_ROWS] == 0) control_gradient(lo, fresh, FL_ALL);
}
static inline void control_before_step(const double *h, fl_local *lo, float *fresh) {
  if (h[H_OPTION] == 0 && h[H_ROWS] != 0 && lo->clock.k == 1) control_gradient(lo, fresh, 0);
}
#endif
