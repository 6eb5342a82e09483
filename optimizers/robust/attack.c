/* attack.c - malicious clients (federated-structured-robust 8, A3 and A7): of the population, floor(malicious*N) drawn from the
 * seed; whenever one of them is sampled, from round attack_from on, it sends
 *
 *   sign_flip   -attack_scale*u
 *   scale        attack_scale*u                  model replacement, u of honest training
 *   gaussian     attack_scale*N(0, I)            drawn for this client and round
 *   label_flip   attack_scale*u, u trained with label C - 1 - y in the place of y
 *
 * in the place of u = y_K - x. Stages behind it in the stack see what is sent; a client's state and further uploads of stages
 * before it are honest. The server's own samples are never touched. */
#include <fedlane/optimizer.h>
#include <math.h>

enum { SIGN_FLIP, SCALE, GAUSSIAN, LABEL_FLIP };
enum { H_MALICIOUS, H_ATTACK, H_SCALE, H_FROM };
static const fl_param params[] = {
  [H_MALICIOUS] = { "malicious", 0.2, 0, 1, NULL, "part of all clients that is malicious, rounded down to whole clients", 0 },
  [H_ATTACK] = { "attack", SIGN_FLIP, 0, 0, "sign_flip|scale|gaussian|label_flip", "what a malicious client sends", 0 },
  [H_SCALE] = { "attack_scale", 1, 0, 1e12, NULL, "factor of what a malicious client sends", FL_ABOVE },
  [H_FROM] = { "attack_from", 1, 1, 1e9, NULL, "first round, from 1, in which the malicious attack", FL_WHOLE },
};

static size_t malicious(const double *h, const fl_job *job) {
  return (size_t)floor(h[H_MALICIOUS] * (double)job->clients + 1e-9);
}

static const char *setup(const double *h, const fl_job *job) {
  if (job->layout && (int)h[H_ATTACK] == LABEL_FLIP && !job->flipped_labels)
    return fl_why(job, "stage attack: attack = label_flip needs an objective with flipped labels (flipped_grad); allowed: "
                       "sign_flip, scale, gaussian");
  if (job->layout && h[H_MALICIOUS] > 0 && !malicious(h, job))
    return fl_why(job, "stage attack: malicious = %g of %zu clients is none; allowed: 0, or at least %g", h[H_MALICIOUS],
                  job->clients, 1.0 / (double)job->clients);
  return NULL;
}

static int attacks(const double *h, const fl_local *lo) { return lo->malicious && lo->round + 1 >= (uint64_t)h[H_FROM]; }

static void client_start(const double *h, fl_local *lo) {
  lo->flipped = attacks(h, lo) && (int)h[H_ATTACK] == LABEL_FLIP;
}

static void client_finish(const double *h, fl_local *lo) {
  const size_t d = lo->job->layout->d;
  float *u = lo->up[0].v;
  const float c = (float)h[H_SCALE];
  if (!attacks(h, lo)) return;
  if ((int)h[H_ATTACK] == GAUSSIAN) {
    fl_key key = lo->key;
    key.purpose = FL_PURPOSE_ATTACK, key.step = 1;      /* step 0 draws who is malicious */
    lo->k->gaussian(d, u, 0, &key);
  }
  lo->k->scale(d, u, (int)h[H_ATTACK] == SIGN_FLIP ? -c : c, u);
}

const fl_stage fl_stage_attack = { .name = "attack", .help = "malicious clients, who send something else than their change",
                                   .params = params, .n_params = sizeof params / sizeof *params, .acts = FL_BY_SAMPLES | FL_EDITS,
                                   .setup = setup, .malicious = malicious, .client_start = client_start,
                                   .client_finish = client_finish };
