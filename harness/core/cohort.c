/* cohort.c - who takes part in a round and how much of its work each does: sampling, availability, drop-outs, stragglers. All are
 * functions of (seed, round, client), each with a purpose of its own, and cost what the sampled clients cost. */
#include "internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- work --------------------------------------------------------------------------------------------------------------- */
static uint64_t capped(const fl_session *s, uint64_t steps) {
  return s->opt.local_steps && s->opt.local_steps < steps ? s->opt.local_steps : steps;
}

/* K_i = min(local_steps, local_epochs*ceil(n_i/batch_size)); federated-adaptive 0.1. */
uint64_t fl_full_steps(const fl_session *s, uint32_t client) {
  const size_t n = fl_client_samples(s, client);
  if (s->opt.local_epochs == 0) return n ? s->opt.local_steps : 0;
  return capped(s, s->opt.local_epochs * fl_batches_of(s, n));
}

/* Four words of a client's own in a round. */
static void draw(const fl_session *s, uint32_t purpose, uint64_t round, uint32_t client, uint32_t step, uint32_t word[4]) {
  const uint32_t counter[4] = { 0, step, client, (purpose << 24) + (uint32_t)round };
  fl_philox(counter, s->opt.seed, word);
}
static int happens(uint32_t word, double chance) { return (double)word < chance * 0x1p32; }
static uint64_t between(uint32_t word, uint64_t least, uint64_t most) { return least + ((word * (most - least + 1)) >> 32); }

uint64_t fl_steps_of(const fl_session *s, uint64_t round, uint32_t client) {
  const fl_partial *p = &s->opt.partial;
  const uint64_t full = fl_full_steps(s, client);
  uint32_t word[4];
  if (!(p->stragglers > 0) || !full) return full;
  draw(s, FL_PURPOSE_WORK, round, client, 0, word);
  if (!happens(word[0], p->stragglers)) return full;
  const int epochs = p->straggler_unit == FL_STRAGGLE_EPOCHS;
  const uint64_t all = epochs ? s->opt.local_epochs : full, most = p->straggler_max ? p->straggler_max : all;
  if (p->straggler_min >= all) return full;
  const uint64_t got = between(word[1], p->straggler_min, most < all ? most : all);
  return epochs ? capped(s, got * fl_batches_of(s, fl_client_samples(s, client))) : got;
}

/* ---- who ------------------------------------------------------------------------------------------------------------------ */
static int is_available(const fl_session *s, uint64_t round, uint32_t client) {
  const fl_partial *p = &s->opt.partial;
  uint32_t word[4];
  if (p->availability == FL_AVAILABLE_ALWAYS) return 1;
  if (p->availability == FL_AVAILABLE_BERNOULLI) {
    draw(s, FL_PURPOSE_AVAILABLE, round, client, 0, word);
    return happens(word[0], p->available_part);
  }
  draw(s, FL_PURPOSE_AVAILABLE, 0, client, 1, word);      /* the phase, for the whole run */
  const double on = p->available_part * (double)p->available_period;
  return (double)((round + between(word[0], 0, p->available_period - 1)) % p->available_period) < on;
}

static size_t keep_available(const fl_session *s, uint64_t round, uint32_t *client, size_t n) {
  size_t kept = 0;
  for (size_t i = 0; i < n; i++)
    if (is_available(s, round, client[i])) client[kept++] = client[i];
  return kept;
}

/* Every client with probability q: the gaps between those that come are geometric, so the cost is that of the cohort. The order
 * is drawn as well, since methods may go by the position. */
static size_t draw_gaps(const fl_session *s, uint64_t round, uint32_t attempt, uint32_t *out) {
  const size_t n = s->problem.clients;
  const double q = s->opt.participation, log_stay = q < 1 ? fl_log(1 - q) : 0;
  fl_key key = { s->opt.seed, FL_PURPOSE_COHORT, (uint32_t)round, 0, 2 * attempt };
  fl_stream stream;
  size_t m = 0;
  fl_stream_init(&stream, &key);
  for (size_t at = 0; at < n && m < s->m_max; at++) {
    const uint64_t high = fl_stream_u32(&stream) >> 5, low = fl_stream_u32(&stream) >> 6;
    const double gap = q < 1 ? floor(fl_log(((double)(high << 26 | low) + 0.5) * 0x1p-53) / log_stay) : 0;
    if (gap >= (double)(n - at)) break;
    at += (size_t)gap;
    out[m++] = (uint32_t)at;
  }
  key.step++;
  fl_shuffle(out, m, &key);
  return m;
}

/* Where weights are fixed (privacy) an empty round counts as it comes; else it is drawn again, as it would teach nothing. Who is
 * drawn may still be away. */
enum { ATTEMPTS = 1000 };
static size_t draw_poisson(const fl_session *s, uint64_t round, uint32_t *out) {
  const uint32_t attempts = fl_has_fixed_weights(s) ? 1 : ATTEMPTS;
  size_t m = 0;
  for (uint32_t i = 0; !m && i < attempts; i++) m = draw_gaps(s, round, i, out);
  return keep_available(s, round, out, m);
}

/* m without replacement of those that are there: the draw goes on, in the same order, until m have been found. */
static size_t draw_uniform(const fl_session *s, uint64_t round, uint32_t *out) {
  const size_t n = s->problem.clients, m = s->m_max;
  const int fixed = s->opt.partial.sampling == FL_SAMPLE_FIXED;
  const fl_key key = { s->opt.seed, FL_PURPOSE_COHORT, fixed ? 0 : (uint32_t)round, 0, 0 };
  if (fixed || s->opt.partial.availability == FL_AVAILABLE_ALWAYS) {
    fl_sample(out, m, n, &key);
    return keep_available(s, round, out, m);
  }
  for (size_t tried = 2 * m < n ? 2 * m : n;; tried = 4 * tried < n ? 4 * tried : n) {
    uint32_t *client = malloc(tried * sizeof *client);
    if (!client) return SIZE_MAX;
    fl_sample(client, tried, n, &key);
    size_t got = 0;
    for (size_t i = 0; i < tried && got < m; i++)
      if (is_available(s, round, client[i])) out[got++] = client[i];
    free(client);
    if (got == m || tried == n) return got;
  }
}

size_t fl_draw_cohort(const fl_session *s, uint64_t round, uint32_t *out, size_t *dropped) {
  const size_t m = s->problem.cohort ? s->problem.cohort(s->problem.self, round, out, s->m_max)
                   : s->opt.partial.sampling == FL_SAMPLE_POISSON ? draw_poisson(s, round, out) : draw_uniform(s, round, out);
  size_t kept = 0;
  *dropped = 0;
  if (!(s->opt.partial.dropout > 0) || m > s->m_max) return m;
  for (size_t i = 0; i < m; i++) {
    uint32_t word[4];
    draw(s, FL_PURPOSE_DROPOUT, round, out[i], 0, word);
    if (!happens(word[0], s->opt.partial.dropout)) out[kept++] = out[i];
  }
  *dropped = m - kept;
  return kept;
}

/* ---- sizes ---------------------------------------------------------------------------------------------------------------- */
double fl_cohort_expected(const fl_session *s) {
  const double mean = (double)s->problem.clients * s->opt.participation, m = floor(mean + 1e-9);
  return s->opt.partial.sampling == FL_SAMPLE_POISSON ? mean : m < 1 ? 1 : m;
}

/* Of Poisson sampling a number that is passed with a chance below 2^-90 (Bernstein's bound), so that arrays and tree need no
 * room for all clients. */
size_t fl_cohort_room(const fl_session *s) {
  const double m = fl_cohort_expected(s), most = s->opt.partial.sampling == FL_SAMPLE_POISSON ? ceil(m + 12 * sqrt(m) + 64) : m;
  return most < (double)s->problem.clients ? (size_t)most : s->problem.clients;
}

int fl_has_fixed_weights(const fl_session *s) {
  int fixed = 0;
  for (size_t i = 0; i < s->job.n_stages; i++) fixed |= (s->job.stage[i]->acts & FL_FIXED_WEIGHTS) != 0;
  return fixed;
}

#define REFUSE(...) return snprintf(err, size, __VA_ARGS__), -1
int fl_check_partial(const fl_problem *p, const fl_options *o, char *err, size_t size) {
  const fl_partial *q = &o->partial;
  if (o->central && (q->sampling || q->availability || q->dropout > 0 || q->stragglers > 0))
    REFUSE("central: sampling, availability, drop-outs or stragglers; allowed: none of them, there are no clients");
  if (q->sampling < FL_SAMPLE_UNIFORM || q->sampling > FL_SAMPLE_FIXED) REFUSE("sampling = %d; allowed: 0 to 2", q->sampling);
  if (q->availability < FL_AVAILABLE_ALWAYS || q->availability > FL_AVAILABLE_PERIODIC)
    REFUSE("availability = %d; allowed: 0 to 2", q->availability);
  if (p->cohort && (q->sampling || q->availability))
    REFUSE("cohort beside sampling or availability; allowed: one of them, a caller's draw knows who is there");
  if (q->availability && !(q->available_part > 0 && q->available_part <= 1))
    REFUSE("available_part = %g; allowed: above 0, at most 1", q->available_part);
  if (q->availability == FL_AVAILABLE_PERIODIC && (q->available_period < 2 || q->available_period > 1000000))
    REFUSE("available_period = %llu; allowed: 2 to 1000000 rounds", (unsigned long long)q->available_period);
  if (!(q->dropout >= 0 && q->dropout <= 1)) REFUSE("client_dropout = %g; allowed: 0 to 1", q->dropout);
  if (!(q->stragglers >= 0 && q->stragglers <= 1)) REFUSE("stragglers = %g; allowed: 0 to 1", q->stragglers);
  if (!(q->stragglers > 0)) return 0;
  const int epochs = q->straggler_unit == FL_STRAGGLE_EPOCHS;
  if (!epochs && q->straggler_unit != FL_STRAGGLE_STEPS) REFUSE("straggler_unit = %d; allowed: 0 or 1", q->straggler_unit);
  if (q->straggler_min < 1 || (q->straggler_max && q->straggler_max < q->straggler_min) || q->straggler_max > 1000000000)
    REFUSE("straggler_min = %llu, straggler_max = %llu; allowed: 1 <= min <= max <= 10^9, or max 0",
           (unsigned long long)q->straggler_min, (unsigned long long)q->straggler_max);
  if (epochs && q->straggler_min >= o->local_epochs)
    REFUSE("straggler_min = %llu of %zu local_epochs; allowed: fewer epochs than the others do, or straggler_unit = steps",
           (unsigned long long)q->straggler_min, o->local_epochs);
  return 0;
}
