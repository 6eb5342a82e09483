/* sign.c - signs of what a client sends, at the size of their mean, with error feedback (EF-SignSGD: Karimireddy et al. 2019,
 * arXiv 1901.09847; federated-structured-robust 3, C4):
 *
 *   client: z = e_i + u;   q = (|z|_1/n)*sign(z) over all n parameters, or over those of each tensor;   sends q;   e_i <- z - q
 *   server: x <- x + server_lr*sum p_i q_i
 *
 * A message is a bit a parameter and a float, or a float a tensor, and the buffers as they are; further uploads of the stack are
 * not compressed. A bit has no 0: the sign of 0 is that of its own bit, which keeps |q|_1 = |z|_1 (inferred). sign_feedback = no
 * keeps e_i at 0. What is left out is never lost: the sum of all q_i and e_i is that of all u. */
#include <fedlane/optimizer.h>
#include <math.h>
#include <string.h>

enum { H_SCALE, H_FEEDBACK };
enum { S_E, S_COUNT };
static const fl_param params[] = {
  [H_SCALE] = { "sign_scale", 0, 0, 0, "whole|tensor", "one size for the whole change, or one a tensor", 0 },
  [H_FEEDBACK] = { "sign_feedback", 1, 0, 0, "no|yes", "what was not sent joins the client's next change", 0 },
};
static size_t e_floats(const fl_job *job, const double *h) { return h[H_FEEDBACK] != 0 ? job->layout->d : 0; }
static const fl_slot slots[S_COUNT] = { [S_E] = { "e_i", FL_CLIENT, 0, e_floats } };

static const char *setup(const double *h, const fl_job *job) {
  (void)h;
  for (size_t i = 0; i < job->n_stages; i++)
    if (!strcmp(job->stage[i]->name, "topk"))
      return "stages topk and sign both compress the change; allowed: one of them";
  return NULL;
}

static void signs(const fl_kernels *k, size_t n, float *q) {
  const float size = (float)(k->asum(n, q) / (double)n);
  for (size_t i = 0; i < n; i++) q[i] = signbit(q[i]) ? -size : size;
}

static void client_finish(const double *h, fl_local *lo) {
  const fl_layout *l = lo->job->layout;
  float *q = lo->up[0].v, *e = lo->at[S_E];
  if (h[H_FEEDBACK] != 0) {
    lo->k->add(l->d, e, e, q);
    memcpy(q, e, l->d * sizeof *q);
  }
  if (h[H_SCALE] == 0) signs(lo->k, l->d, q);
  else for (size_t i = 0; i < l->n; i++)
    if (l->tensor[i].offset < l->d) signs(lo->k, l->tensor[i].size, q + l->tensor[i].offset);
  if (h[H_FEEDBACK] != 0) lo->k->sub(l->d, e, e, q);
}

static void message(const double *h, const fl_job *job, uint32_t id, size_t at, uint64_t *change, uint64_t *own) {
  const fl_layout *l = job->layout;
  size_t sizes = h[H_SCALE] == 0;
  for (size_t i = 0; h[H_SCALE] != 0 && i < l->n; i++) sizes += l->tensor[i].offset < l->d;
  (void)id, (void)at, (void)own;
  *change += 32 * (uint64_t)sizes - 31 * (uint64_t)l->d;
}

const fl_stage fl_stage_sign = { .name = "sign", .help = "clients send the signs of their change at its mean size",
                                 .params = params, .n_params = sizeof params / sizeof *params, .slot = slots, .n_slots = S_COUNT,
                                 .acts = FL_BY_SAMPLES | FL_EDITS, .setup = setup, .client_finish = client_finish,
                                 .message = message };
