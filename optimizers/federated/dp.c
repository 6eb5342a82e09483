/* dp.c - DP-FedAvg at the level of clients (McMahan et al. 2018, arXiv 1710.06963; federated-flat-private 12): each client's
 * change is clipped to length C, the mean gets Gaussian noise, so that one client more or less cannot be told from x.
 *
 *   client: u_i = Delta_i*min(1, C/|Delta_i|)                                   C = dp_clip, the 2-norm of all tensors together
 *   server: x <- x + server_lr*((1/S) sum u_i + Normal(0, (noise_multiplier*C/S)^2))                      dp_noise=server
 *           each client adds Normal(0, noise_multiplier^2*C^2/S) to its u_i instead, as secure aggregation needs  =clients
 *
 * S: the clients that a round is expected to have, whoever comes (job.expected, a round without any included). Weights are equal;
 * nothing is divided by C; weight decay and local steps lie inside the clip. dp_clip_by=tensor clips each of L tensors to
 * C/sqrt(L), so that the whole still has length C; median clips to the median of the client's own tensors' lengths, which depends
 * on the data: no guarantee, for comparison with published code alone. A stage that changes up[0] itself (topk, attack) stands
 * before this one in the stack, so that what it sends is clipped. The sum of the clients' own noise would depend on how many
 * come: not with Poisson sampling. Noise is Philox under a purpose of its own, by (seed, round, client). Up and down d floats. */
#include <fedlane/optimizer.h>
#include <math.h>
#include <string.h>

enum { H_CLIP, H_NOISE, H_BY, H_PLACE, H_DELTA };
enum { GLOBAL, TENSOR, MEDIAN };
enum { SERVER, CLIENTS };
enum { S_NOISE, S_COUNT };
static const fl_param params[] = {
  [H_CLIP] = { "dp_clip", 0.2, 0, INFINITY, NULL, "2-norm to which a client's change is clipped (.inf: off)", FL_ABOVE },
  [H_NOISE] = { "noise_multiplier", 0.95, 0, 1e6, NULL, "standard deviation of the noise on the sum of the changes, over dp_clip",
                0 },
  [H_BY] = { "dp_clip_by", GLOBAL, 0, 0, "global|tensor|median", "what is clipped: the change, each of its L tensors to "
             "dp_clip/sqrt(L), or each to the median of the client's tensors (no guarantee)", 0 },
  [H_PLACE] = { "dp_noise", SERVER, 0, 0, "server|clients", "who adds the noise: the server to the mean, or each client its part",
                0 },
  [H_DELTA] = { "dp_delta", 0, 0, 1, NULL, "delta that epsilon is told for; 0: 1 over the number of clients", FL_BELOW },
};
enum { PIECE = 4096 };
static size_t piece_floats(const fl_job *job, const double *h) { (void)h; (void)job; return PIECE; }
static const fl_slot slots[S_COUNT] = { [S_NOISE] = { "noise", FL_WORK, 0, piece_floats } };

/* What changes the upload behind the clip sends another length than the noise is made for. */
static const char *edited(const fl_job *job) {
  const fl_stage *other = fl_edited_after(job, "dp");
  return other ? fl_why(job, "stage %s behind dp changes what dp has clipped to dp_clip, and epsilon would be wrong; allowed: "
                             "stack = [%s, dp], in this order", other->name, other->name) : NULL;
}

/* A stage that sends more than what is clipped and noised here, or lets a client count for more than 1/S. */
static const char *other_uploads(const double *h, const fl_job *job) {
  for (size_t i = 0; i < job->n_stages; i++)
    if (job->stage[i]->combine)
      return fl_why(job, "stage %s weighs the clients anew, and dp needs the weight 1/S of each; allowed: one of them",
                    job->stage[i]->name);
  for (size_t i = 0; i < job->n_stages; i++)
    for (size_t j = 0; j < job->stage[i]->n_slots; j++) {
      const fl_slot *slot = &job->stage[i]->slot[j];
      if (slot->place != FL_UP || (slot->floats && (!job->layout || !slot->floats(job, job->h_stage[i])))) continue;
      if (!(slot->flags & FL_DERIVED))
        return fl_why(job, "stage %s sends '%s' beside the change of the model, which dp does not cover; allowed: stages that "
                           "send the change alone", job->stage[i]->name, slot->name);
      if (slot->flags & FL_DERIVED && h[H_PLACE] == SERVER && h[H_NOISE] > 0)
        return fl_why(job, "dp_noise = server beside stage %s, which forms '%s' of the changes before the noise; allowed: "
                           "clients", job->stage[i]->name, slot->name);
    }
  return NULL;
}

static const char *setup(const double *h, const fl_job *job) {
  const int noise = h[H_NOISE] > 0;
  if (noise && isinf(h[H_CLIP]) && h[H_BY] != MEDIAN)
    return fl_why(job, "dp_clip = .inf with noise_multiplier = %g; allowed: a finite dp_clip, or noise_multiplier = 0",
                  h[H_NOISE]);
  if (h[H_BY] == MEDIAN && noise && h[H_PLACE] == SERVER)
    return fl_why(job, "dp_clip_by = median with dp_noise = server, which knows no client's median; allowed: dp_noise = clients");
  if (h[H_PLACE] == CLIENTS && noise && job->poisson)
    return fl_why(job, "dp_noise = clients with sampling = poisson: the noise would depend on how many come; allowed: server");
  if (h[H_DELTA] > 0 && (!noise || h[H_BY] == MEDIAN))
    return fl_why(job, "dp_delta = %g without %s: there is no epsilon to tell; allowed: 0", h[H_DELTA],
                  noise ? "dp_clip_by = global or tensor" : "noise");
  if (job->layout && job->layout->buffers)
    return fl_why(job, "the model has %zu buffers (frozen weights among them), which the stage does not clip; allowed: none",
                  job->layout->buffers);
  const char *why = edited(job);
  return why ? why : other_uploads(h, job);
}

/* ---- clipping ------------------------------------------------------------------------------------------------------------ */
static double norm(const fl_kernels *k, size_t n, const float *v) { return sqrt(k->sumsq(n, v)); }

/* A length that is not finite is left: the run has diverged, and shows it. */
static void clip(const fl_kernels *k, size_t n, float *v, double most) {
  const double length = norm(k, n, v);
  if (length > most) k->scale(n, v, (float)(most / length), v);
}

/* By counting: the first length that enough others do not exceed; of an even number the mean of the middle two. */
static double ranked(const fl_kernels *k, const fl_layout *l, const float *v, size_t rank) {
  for (size_t i = 0; i < l->n; i++) {
    const double mine = norm(k, l->tensor[i].size, v + l->tensor[i].offset);
    size_t below = 0, same = 0;
    for (size_t j = 0; j < l->n; j++) {
      const double other = norm(k, l->tensor[j].size, v + l->tensor[j].offset);
      below += other < mine, same += other == mine;
    }
    if (below <= rank && rank < below + same) return mine;
  }
  return NAN;                                   /* a length is no number */
}
static double median(const fl_kernels *k, const fl_layout *l, const float *v) {
  return 0.5 * (ranked(k, l, v, (l->n - 1) / 2) + ranked(k, l, v, l->n / 2));
}

/* The length that the whole was clipped to. */
static double clip_change(const double *h, const fl_kernels *k, const fl_layout *l, float *v) {
  if (h[H_BY] == GLOBAL) return clip(k, l->d, v, h[H_CLIP]), h[H_CLIP];
  const double each = h[H_BY] == TENSOR ? h[H_CLIP] / sqrt((double)l->n) : median(k, l, v);
  for (size_t i = 0; i < l->n; i++) clip(k, l->tensor[i].size, v + l->tensor[i].offset, each);
  return h[H_BY] == TENSOR ? h[H_CLIP] : each;
}

/* ---- noise ----------------------------------------------------------------------------------------------------------------- */
static void add_noise(const fl_kernels *k, size_t d, float *v, double deviation, fl_key key, float *work) {
  key.purpose = FL_PURPOSE_NOISE;
  for (size_t i = 0; i < d; i += PIECE) {
    const size_t n = d - i < PIECE ? d - i : PIECE;
    k->gaussian(n, work, i, &key);
    k->axpy(n, v + i, (float)deviation, work);
  }
}

static void client_finish(const double *h, fl_local *lo) {
  const fl_layout *l = lo->job->layout;
  const double length = clip_change(h, lo->k, l, lo->up[0].v);
  if (h[H_PLACE] == SERVER || h[H_NOISE] == 0) return;
  add_noise(lo->k, l->d, lo->up[0].v, h[H_NOISE] * length / sqrt(lo->job->expected), lo->key, lo->at[S_NOISE]);
}

/* After the clients' own noise no coordinate is 0, whatever a stage before has left out. */
static void message(const double *h, const fl_job *job, uint32_t i, size_t p, uint64_t *change, uint64_t *own) {
  (void)i, (void)p, (void)own;
  if (h[H_PLACE] == CLIENTS && h[H_NOISE] > 0) *change = 32 * (uint64_t)job->layout->d;
}

static void server_finish(const double *h, fl_server *sv) {
  if (h[H_PLACE] == CLIENTS || h[H_NOISE] == 0) return;
  const double deviation = h[H_NOISE] * h[H_CLIP] / sv->job->expected;
  add_noise(sv->k, sv->job->layout->d, sv->move, deviation, sv->key, sv->at[S_NOISE]);
}

static double privacy(const double *h, const fl_job *job, double *delta) {
  *delta = h[H_DELTA] > 0 ? h[H_DELTA] : 1 / (double)job->clients;
  return h[H_BY] == MEDIAN ? 0 : h[H_NOISE];
}

const fl_stage fl_stage_dp = { .name = "dp", .help = "clipped changes and Gaussian noise: differential privacy of a client",
                               .params = params, .n_params = sizeof params / sizeof *params, .slot = slots, .n_slots = S_COUNT,
                               .acts = FL_FIXED_WEIGHTS | FL_EDITS,
                               .needs = "dp_clip dp_clip_by=global|tensor", .setup = setup,
                               .client_finish = client_finish, .message = message, .server_finish = server_finish,
                               .privacy = privacy };
