/* direction.h - the global direction D = -(1/m) sum Delta_i/(K_i*lr_r) (federated-adaptive 0.2): gradient sign and scale, D^0 =
 * 0. The server forms it from the changes as sent, so it costs no upload; it is normalised by the lr of the round that made
 * it. */
#ifndef FL_FEDERATED_DIRECTION_H
#define FL_FEDERATED_DIRECTION_H
#include <fedlane/optimizer.h>

/* D_up: the stage's derived upload slot (FL_UP, FL_EQUAL | FL_DERIVED); over: what Delta_i is divided by, 0 for a client without
 * steps. */
static inline void direction_send(fl_local *lo, const float *D_up, double over) {
  for (size_t u = 1; u < lo->n_up; u++)
    if (lo->up[u].v == D_up) lo->up[u].scale = over > 0 ? -1.0 / over : 0.0;
}
static inline void direction_keep(fl_server *sv, float *D, const float *D_up) { sv->k->scale(sv->job->layout->d, D, 1.0f, D_up); }
#endif
