/* cli_estimate.c - how long a suite will take, from the first rounds of every method, measured before the first run. */
#include "cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AT_MOST = 5 };
static const double enough = 0.3;               /* seconds of rounds */

static int few_rounds(void *self, fl_session *s, const fl_metrics *m) {
  (void)s;
  *(fl_metrics *)self = *m;
  return fl_signal || m->round >= AT_MOST || m->seconds >= enough;
}

/* Seconds of a run, as if it did not diverge; negative when it cannot be told. The rounds are evaluated whatever eval_every
 * says. */
static double of_run(fl_work *w, const fl_config *run, uint64_t at_least) {
  char ignored[FL_ERR];
  fl_session *s = NULL;
  fl_metrics m = { 0 };
  if (run->rounds < at_least || fl_work_prepare(w, run, ignored, sizeof ignored)) return -1;
  fl_config once = *run;                        /* its data, partition and model are the run's, which are there */
  once.eval_every = 1;
  if (fl_work_open(w, &once, w->threads, NULL, &s, ignored, sizeof ignored)) return -1;
  const int refused = fl_rounds(s, few_rounds, &m) < 0;
  fl_close(s);
  if (refused || !m.round) return -1;
  const double rounds = (double)run->rounds, evaluations = run->eval_every ? rounds / (double)run->eval_every : 1;
  return (rounds * m.seconds + evaluations * m.seconds_evaluation) / (double)m.round;
}

double fl_estimate(fl_work *w, const fl_suite *suite, uint64_t at_least, double *seconds) {
  double total = 0;
  for (size_t i = 0; i < suite->n && !fl_signal; i++) {
    const int seed_of_last = i && !strcmp(suite->run[i].label, suite->run[i - 1].label);
    seconds[i] = seed_of_last ? seconds[i - 1] : of_run(w, &suite->run[i], at_least);
    if (seconds[i] < 0) return -1;
    total += seconds[i];
  }
  return total;
}
