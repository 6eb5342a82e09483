/* my_anchor.c - a stage: clients are pulled towards a moving average of the server's models, which travels with the model.
 *
 *   server, before a round:  a <- my_memory*a + (1 - my_memory)*x         a = x before the first
 *   client:                  v = g + my_pull*(y - a)
 *
 * my_memory = 0 is FedProx, bit for bit. */
#include "my_method.h"
#include <string.h>

enum { H_PULL, H_MEMORY };
static const fl_param params[] = {
  [H_PULL] = { "my_pull", 0.01, 0, 1e3, NULL, "weight of the pull to the average of the server's models", 0 },
  [H_MEMORY] = { "my_memory", 0.5, 0, 1, NULL, "how much of the average stays in a round", FL_BELOW },
};

/* Memory, the bytes that are sent and the checkpoint follow from this line. */
enum { S_ANCHOR };
static const fl_slot slots[] = { [S_ANCHOR] = { "my_anchor", FL_SERVER, FL_DOWN, NULL } };

static void server_start(const double *h, fl_server *sv) {
  const size_t d = sv->job->layout->d;
  if (sv->moved == 0 || h[H_MEMORY] == 0) memcpy(sv->at[S_ANCHOR], sv->x, d * sizeof(float));
  else sv->k->ema(d, sv->at[S_ANCHOR], sv->x, (float)h[H_MEMORY], (float)(1.0 - h[H_MEMORY]));
}

/* my_pull*y - my_pull*a joins the gradient, in the rule's one pass over y. */
static void client_start(const double *h, fl_local *lo) {
  lo->mix.gb += (float)h[H_PULL];
  fl_mix_add(lo, lo->at[S_ANCHOR], -h[H_PULL]);
}

const fl_stage my_anchor = { .name = "my_anchor", .help = "a pull to a moving average of the server's models", .params = params,
                             .n_params = sizeof params / sizeof *params, .slot = slots, .n_slots = sizeof slots / sizeof *slots,
                             .terms = 1, .acts = FL_BY_SAMPLES, .server_start = server_start, .client_start = client_start };
