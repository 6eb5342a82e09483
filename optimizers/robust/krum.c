/* krum.c - Krum and multi-Krum (Blanchard et al. 2017, arXiv 1703.02757; federated-structured-robust 7, R1-R3):
 *
 *   E_ij = |u_i - u_j|^2;   score_i = sum of the n - f - 2 smallest E_ij, j != i
 *   x <- x + server_lr*mean of the krum_m updates of least score          ties: the lower position
 *
 * krum_m = 1 is Krum, the default n - f; f = krum_f is the number of attackers that is assumed, n >= 2f + 3 (default: the
 * largest). The zero distance to itself is not one of the n - f - 2 (in one widespread program it is), and nothing is scored
 * again after a winner. Further uploads count by the same choice. A distance that is not finite is the largest. A round in which
 * clients dropped out takes at least one neighbour and one winner. Memory m uploads; m(m-1)/2 distances in double. */
#include <fedlane/optimizer.h>
#include <math.h>

enum { H_F, H_M };
enum { S_WORK, S_COUNT };
static const fl_param params[] = {
  [H_F] = { "krum_f", -1, -1, 1e6, NULL, "attackers in a round that are assumed; -1: as many as 2*krum_f + 3 <= clients allows",
            FL_WHOLE },
  [H_M] = { "krum_m", 0, 0, 1e6, NULL, "updates that are averaged: 1 is Krum; 0: all but krum_f", FL_WHOLE },
};

/* Doubles: the distances, a row of them in order, the scores. */
static size_t work_floats(const fl_job *job, const double *h) {
  (void)h;
  return 2 * (job->cohort * job->cohort + 2 * job->cohort);
}
static const fl_slot slots[S_COUNT] = { [S_WORK] = { "distances", FL_WORK, FL_ONCE, work_floats } };

static size_t assumed(const double *h, size_t n) { return h[H_F] >= 0 ? (size_t)h[H_F] : n > 3 ? (n - 3) / 2 : 0; }

static const char *setup(const double *h, const fl_job *job) {
  const size_t n = job->cohort, f = assumed(h, n);
  if (job->layout && n < 2 * f + 3)
    return fl_why(job, "stage krum: krum_f = %zu with %zu clients a round; allowed: at most %zu, and 3 clients", f, n,
                  n > 3 ? (n - 3) / 2 : 0);
  if (job->layout && h[H_M] > (double)(n - f))
    return fl_why(job, "stage krum: krum_m = %g with %zu clients a round and krum_f = %zu; allowed: 0 to %zu", h[H_M], n, f,
                  n - f);
  return NULL;
}

/* The sum of the `most` smallest of v[0..n), in rising order; v is sorted. */
static double sum_smallest(double *v, size_t n, size_t most) {
  double sum = 0;
  for (size_t i = 1; i < n; i++) {
    const double x = v[i];
    size_t at = i;
    for (; at > 0 && v[at - 1] > x; at--) v[at] = v[at - 1];
    v[at] = x;
  }
  for (size_t i = 0; i < most && i < n; i++) sum += v[i];
  return sum;
}

static void combine(const double *h, fl_server *sv) {
  const size_t n = sv->m, f = assumed(h, n), near = n > f + 3 ? n - f - 2 : 1, left = n > f + 1 ? n - f : 1;
  const size_t most = h[H_M] > 0 && (size_t)h[H_M] < left ? (size_t)h[H_M] : left;
  double *distance = (double *)(void *)sv->at[S_WORK], *row = distance + n * n, *score = row + n;
  sv->k->sq_distances(n, sv->job->layout->d, sv->sent, sv->row, distance);
  for (size_t i = 0; i < n; i++) {
    size_t others = 0;
    for (size_t j = 0; j < n; j++)
      if (j != i) row[others++] = isfinite(distance[i * n + j]) ? distance[i * n + j] : INFINITY;
    score[i] = sum_smallest(row, others, near);
    sv->share[i] = 0;
  }
  for (size_t taken = 0; taken < most; taken++) {
    size_t best = n;
    for (size_t i = 0; i < n; i++)
      if (sv->share[i] == 0 && (best == n || score[i] < score[best])) best = i;
    sv->share[best] = 1.0 / (double)most;
  }
}

const fl_stage fl_stage_krum = { .name = "krum", .help = "the mean of the updates nearest to their neighbours",
                                 .params = params, .n_params = sizeof params / sizeof *params, .slot = slots, .n_slots = S_COUNT,
                                 .setup = setup, .combine = combine };
