/* state.c - the whole state at a round's end as bytes, and the plan of a run without running it. */
#include "internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Fixed order: sizes, round, totals, x, server slots, state of the rule that moves x, then what store.c keeps of the clients
 * that were visited. Native byte order: a checkpoint is read on little-endian machines, which all supported ones are. */
typedef struct { uint64_t n, server, state, client, clients, round, moved, over; double work_total, work_longest; } header;

int fl_session_save(const fl_session *s, int (*write)(void *, const void *, size_t), void *self) {
  if (s->failed) return -1;
  const header h = { s->n, s->server_floats, s->state_floats, s->client_floats, s->problem.clients, s->round, s->moved,
                     (uint64_t)s->metrics.diverged, s->work_total, s->work_longest };
  const int r = write(self, &h, sizeof h) || write(self, &s->metrics, sizeof s->metrics) ||
                write(self, s->x, s->n * sizeof(float)) ||
                write(self, s->server, s->server_floats * sizeof(float)) ||
                write(self, s->state, s->state_floats * sizeof(float));
  return r || fl_store_save(&s->store, write, self) ? -1 : 0;
}

void fl_session_kept(fl_session *s) { fl_store_kept(&s->store); }

int fl_session_load(fl_session *s, int (*read)(void *, void *, size_t), void *self, char *err, size_t size) {
  header h;
  if (read(self, &h, sizeof h)) return snprintf(err, size, "checkpoint: session state ends early"), -1;
  if (h.n != s->n || h.server != s->server_floats || h.state != s->state_floats || h.client != s->client_floats ||
      h.clients != s->problem.clients)
    return snprintf(err, size, "checkpoint: state of %llu parameters, %llu clients; this run has %zu and %zu",
                    (unsigned long long)h.n, (unsigned long long)h.clients, s->n, s->problem.clients), -1;
  const int r = read(self, &s->metrics, sizeof s->metrics) || read(self, s->x, s->n * sizeof(float)) ||
                read(self, s->server, s->server_floats * sizeof(float)) ||
                read(self, s->state, s->state_floats * sizeof(float));
  if (r) return snprintf(err, size, "checkpoint: session state is damaged"), -1;
  if (fl_store_load(&s->store, read, self, err, size)) return -1;
  s->round = h.round;
  s->moved = h.moved;
  /* totals begin where they were measured */
  if (!s->diagnosis) s->metrics.seconds_diagnostics = (double)NAN;
  else if (isnan(s->metrics.seconds_diagnostics)) s->metrics.seconds_diagnostics = 0;
  s->work_total = h.work_total;
  s->work_longest = h.work_longest;
  s->over = h.over || s->round >= s->opt.rounds;
  return 0;
}

uint64_t fl_message_bytes(const fl_session *s, uint32_t client, size_t position) {
  uint64_t change = s->opt.central ? 0 : 32 * (uint64_t)(s->n - s->problem.objective->frozen), others = 0;
  for (size_t i = 0; i < s->job.n_stages && !s->opt.central; i++) {
    const fl_stage *st = s->job.stage[i];
    uint64_t own[FL_MAX_SLOTS] = { 0 };
    for (size_t j = 0; j < st->n_slots; j++)
      if (st->slot[j].place == FL_UP && !(st->slot[j].flags & (FL_DERIVED | FL_FORMED)))
        own[j] = 32 * (uint64_t)s->slot[i][j].floats;
    if (st->message) st->message(s->job.h_stage[i], &s->job, client, position, &change, own);
    for (size_t j = 0; j < st->n_slots; j++) others += own[j];
  }
  return (change + others + 7) / 8;
}
int fl_session_traffic(const fl_session *s, double *up, double *down) {
  uint32_t *who = malloc((s->m_max + 1) * sizeof *who);
  size_t m = who ? 0 : SIZE_MAX, dropped;
  *up = *down = 0;
  for (uint64_t r = 0; r < s->opt.rounds && m != SIZE_MAX && !s->opt.central; r++) {
    m = fl_draw_cohort(s, r, who, &dropped);
    for (size_t p = 0; m != SIZE_MAX && p < m; p++) *up += (double)fl_message_bytes(s, who[p], p);
    if (m != SIZE_MAX) *down += 4.0 * (double)s->down_floats * (double)(m + dropped);
  }
  free(who);
  return m == SIZE_MAX ? -1 : 0;
}
size_t fl_session_cohort_size(const fl_session *s) { return s->m_max; }
size_t fl_session_cohort(const fl_session *s, uint64_t round, uint32_t *out) {
  size_t dropped;
  return fl_draw_cohort(s, round, out, &dropped);
}
uint64_t fl_session_steps(const fl_session *s, uint64_t round, uint32_t client) { return fl_steps_of(s, round, client); }
size_t fl_session_batch(const fl_session *s, uint64_t round, uint32_t client, uint64_t step, uint32_t *out) {
  uint64_t known = 0;
  uint32_t *perm = malloc((fl_client_samples(s, client) + 1) * sizeof *perm);
  const size_t n = perm ? fl_draw_batch(s, round, client, step, perm, &known, out) : 0;
  free(perm);
  return n;
}
