/* filter.c - the magnitude response of FSGDM's momentum, stage by stage (deep-first-order 4.1): |H(w)| = |v|/sqrt(1 - 2u cos w +
 * u^2) from the formula, and measured on the kernel, which is fed with g_t = exp(iwt) for 4,000 steps: cosines in one half of a
 * vector, sines in the other. Prints the CSV that scripts/filters draws. Frequencies are w = pi*j/POINTS, so that all angles are
 * exact. */
#include <fedlane/kernels.h>
#include <math.h>
#include <stdio.h>

enum { POINTS = 64, COUNT = POINTS + 1, STEPS = 4000, STAGES = 300 };
static const int stages[] = { 0, 3, 10, 30, 100, 299 };
static const double c = 0.033, v = 1.0; /* published; u of stage k is k/(k + c*STAGES) */

int main(void) {
  const char *error = NULL;
  const fl_kernels *k = fl_kernels_select(NULL, &error);
  if (!k) {
    fprintf(stderr, "fedlane-filter: %s\n", error);
    return 1;
  }
  puts("stage,u,w_over_pi,formula,kernel");
  for (size_t s = 0; s < sizeof stages / sizeof *stages; s++) {
    const double u = (double)stages[s] / ((double)stages[s] + c * STAGES);
    const fl_momentum_args a = { (float)u, (float)v, 0.0f, 1.0f, 0 };
    float g[2 * COUNT], m[2 * COUNT] = { 0 }, y[2 * COUNT] = { 0 };
    for (int t = 1; t <= STEPS; t++) {
      for (int j = 0; j < COUNT; j++) {
        const double angle = (double)(j * t % (2 * POINTS)) / POINTS; /* over pi */
        g[j] = (float)fl_cos_pi(angle);
        g[COUNT + j] = (float)fl_cos_pi(angle - 0.5);
      }
      k->momentum((size_t)(2 * COUNT), y, m, g, &a);
    }
    for (int j = 0; j < COUNT; j++) {
      const double re = (double)m[j], im = (double)m[COUNT + j], w = (double)j / POINTS;
      printf("%d,%.6f,%.6f,%.7f,%.6f\n", stages[s], u, w, v / sqrt(1.0 - 2.0 * u * fl_cos_pi(w) + u * u),
             sqrt(re * re + im * im));
    }
  }
  return 0;
}
