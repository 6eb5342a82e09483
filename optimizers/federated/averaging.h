/* averaging.h - for stages whose server step is fixed by the paper (interface X10): any other server rule or step size has no
 * meaning. */
#ifndef FL_FEDERATED_AVERAGING_H
#define FL_FEDERATED_AVERAGING_H
#include <fedlane/optimizer.h>
#include <stdio.h>
#include <string.h>

static inline const char *averaging_only(const fl_job *job, const char *who) {
  static _Thread_local char why[160];
  const int plain = !job->server_rule ||
      (!strcmp(job->server_rule->name, "sgd") && job->h_server[0] == 0 && job->server_lr == 1.0);
  if (plain) return NULL;
  snprintf(why, sizeof why, "%s sets x itself; allowed: server_rule sgd without decay, server_lr 1 (got %s, %g)", who,
           job->server_rule->name, job->server_lr);
  return why;
}
#endif
