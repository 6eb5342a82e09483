/* topk.c - top-k compression of what a client sends, with error feedback (Stich et al. 2018, arXiv 1809.07599;
 * federated-structured-robust 3, C1):
 *
 *   client: z = e_i + u;   q = the k entries of z of largest |z|, ties the lower index;   sends q;   e_i <- z - q
 *   server: x <- x + server_lr*sum p_i q_i
 *
 * k = floor(topk_part*d), at least 1. topk_feedback = no keeps e_i at 0. A message is k values and k indices, 64k bits, and the
 * buffers (batch norm) as they are; further uploads of the stack are not compressed. What is left out is never lost: the sum of
 * all q_i and e_i is that of all u. NaN counts as the largest. The k-th largest is found by its bits, 11 of them at a time. */
#include <fedlane/optimizer.h>
#include <string.h>

enum { H_PART, H_FEEDBACK };
enum { S_E, S_COUNT };
static const fl_param params[] = {
  [H_PART] = { "topk_part", 0.1, 0, 1, NULL, "part of the coordinates that a client sends", FL_ABOVE },
  [H_FEEDBACK] = { "topk_feedback", 1, 0, 0, "no|yes", "what was not sent joins the client's next change", 0 },
};
static size_t e_floats(const fl_job *job, const double *h) { return h[H_FEEDBACK] != 0 ? job->layout->d : 0; }
static const fl_slot slots[S_COUNT] = { [S_E] = { "e_i", FL_CLIENT, 0, e_floats } };

/* Order of |v|: as its bits without the sign. */
static uint32_t rank_of(float v) { uint32_t b; memcpy(&b, &v, sizeof b); return b & 0x7fffffffu; }

/* Rank of the *k-th largest entry; *k becomes how many of that rank are among them. */
static uint32_t threshold(size_t n, const float *z, size_t *k) {
  static const int shift[3] = { 21, 10, 0 }, width[3] = { 10, 11, 10 };
  uint32_t prefix = 0, mask = 0;
  for (int pass = 0; pass < 3; pass++) {
    size_t count[2048] = { 0 };
    uint32_t digit = (1u << width[pass]) - 1;
    const uint32_t last = digit;
    for (size_t i = 0; i < n; i++) {
      const uint32_t r = rank_of(z[i]);
      if ((r & mask) == prefix) count[r >> shift[pass] & last]++;
    }
    while (count[digit] < *k) *k -= count[digit--];
    prefix |= digit << shift[pass], mask |= last << shift[pass];
  }
  return prefix;
}

static size_t kept(const double *h, const fl_job *job) {
  const size_t k = (size_t)(h[H_PART] * (double)job->layout->d + 1e-9);
  return k ? k : 1;
}

static void client_finish(const double *h, fl_local *lo) {
  const size_t d = lo->job->layout->d;
  const int feedback = h[H_FEEDBACK] != 0;
  float *q = lo->up[0].v, *e = lo->at[S_E];
  size_t ties = kept(h, lo->job);
  if (feedback) lo->k->add(d, q, q, e);
  const uint32_t least = threshold(d, q, &ties);
  for (size_t i = 0; i < d; i++) {
    const uint32_t r = rank_of(q[i]);
    const int sent = r > least || (r == least && ties > 0);
    ties -= sent && r == least;
    if (feedback) e[i] = sent ? 0.0f : q[i];
    if (!sent) q[i] = 0.0f;
  }
}

static void message(const double *h, const fl_job *job, uint32_t i, size_t p, uint64_t *change,
                    uint64_t *own) {
  (void)i, (void)p, (void)own;
  *change += 64 * (uint64_t)kept(h, job) - 32 * (uint64_t)job->layout->d;
}

const fl_stage fl_stage_topk = { .name = "topk", .help = "clients send the largest entries of their change, the rest later",
                                 .params = params, .n_params = sizeof params / sizeof *params, .slot = slots, .n_slots = S_COUNT,
                                 .acts = FL_BY_SAMPLES | FL_EDITS, .client_finish = client_finish, .message = message };
