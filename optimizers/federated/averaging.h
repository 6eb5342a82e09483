/* averaging.h - for stages whose server step is fixed by the paper (interface X10): any other server rule or step size has no
 * meaning. */
#ifndef FL_FEDERATED_AVERAGING_H
#define FL_FEDERATED_AVERAGING_H
#include <fedlane/optimizer.h>
#include <string.h>

static inline const char *averaging_only(const fl_job *job, const char *who) {
  const int plain = !job->server_rule ||
      (!strcmp(job->server_rule->name, "sgd") && job->h_server[0] == 0 && job->server_lr == 1.0);
  return plain ? NULL : fl_why(job, "%s sets x itself: server_rule = %s, server_lr = %g; allowed: sgd without decay, 1", who,
                               job->server_rule->name, job->server_lr);
}
#endif
