/* probe.h - what the stages that look at a point near y share: the gradient there, made beside y so that nothing has to be
 * restored. */
#ifndef FL_SEARCH_PROBE_H
#define FL_SEARCH_PROBE_H
#include <fedlane/optimizer.h>
#include <math.h>
#include <string.h>

/* g = the gradient of the step's batch at `at` (d + buffers floats); returns the loss there. */
static inline double gradient_at(fl_local *lo, const float *at, float *g) {
  const fl_ask ask = { .at = at, .first = 0, .count = 0 };
  return lo->oracle->grad(lo->oracle->self, &ask, g);
}
/* rho over the 2-norm of all of v: the length that v is scaled by to reach the sphere. */
static inline float radius(const fl_local *lo, double rho, const float *v) {
  return (float)(rho / (sqrt(lo->k->sumsq(lo->job->layout->d, v)) + 1e-12));
}
/* g = the gradient at z = y + a*v; v may be g, or z itself. Returns the loss there. */
static inline double gradient_near(fl_local *lo, float *z, const float *v, float a) {
  const size_t d = lo->job->layout->d;
  const fl_mix_args shift = { .ga = a, .gb = 1.0f };
  lo->k->mix(d, z, v, lo->y, NULL, NULL, &shift);
  memcpy(z + d, lo->y + d, lo->job->layout->buffers * sizeof *z);
  return gradient_at(lo, z, lo->g);
}
#endif
