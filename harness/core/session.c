/* session.c - opens a run (checks, memory, threads), runs rounds, closes it. */
#include "internal.h"
#include "models/locale.h"
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const fl_time_name[FL_T_COUNT] = { "gradient", "optimizer", "aggregation", "evaluation", "idle", "other",
                                              "diagnostics" };

/* ---- checks -------------------------------------------------------------------------------------------------------------- */
#define REFUSE(...) return snprintf(err, size, __VA_ARGS__), -1
/* Tensors one after the other from 0, each as large as its shape, the trained ones first: rules and files rely on it. */
static int check_layout(const fl_layout *l, char *err, size_t size) {
  size_t at = 0;
  if (!l->d) REFUSE("layout: d = 0; allowed: at least one parameter");
  for (size_t i = 0; i < l->n; i++) {
    const fl_tensor *t = &l->tensor[i];
    const char *name = t->name ? t->name : "";
    size_t product = 1;
    if (!*name) REFUSE("layout: tensor %zu has no name", i);
    if (t->ndim < 1 || t->ndim > 4) REFUSE("layout: tensor '%s': ndim = %d; allowed: 1 to 4", name, t->ndim);
    for (int k = 0; k < t->ndim; k++)
      if (!t->shape[k] || __builtin_mul_overflow(product, t->shape[k], &product))
        REFUSE("layout: tensor '%s': shape[%d] = %zu", name, k, t->shape[k]);
    if (t->size != product)
      REFUSE("layout: tensor '%s': size = %zu; allowed: %zu, the product of its shape", name, t->size, product);
    if (t->offset != at)
      REFUSE("layout: tensor '%s': offset = %zu; allowed: %zu, where the tensor before it ends", name, t->offset, at);
    if ((t->role == FL_BUFFER) != (at >= l->d)) REFUSE("layout: tensor '%s' at %zu: buffers begin at d = %zu", name, at, l->d);
    if (__builtin_add_overflow(at, t->size, &at) || (t->offset < l->d && at > l->d))
      REFUSE("layout: tensor '%s' reaches over d = %zu", name, l->d);
  }
  if (at != l->d + l->buffers) REFUSE("layout: the tensors have %zu floats; allowed: d + buffers = %zu", at, l->d + l->buffers);
  return 0;
}

static int check_index(const fl_problem *p, char *err, size_t size) {
  if (p->offset[0] != 0) REFUSE("offset[0] = %zu; allowed: 0", p->offset[0]);
  for (size_t i = 0; i < p->clients; i++)
    if (p->offset[i + 1] < p->offset[i])
      REFUSE("offset[%zu] = %zu; allowed: at least offset[%zu] = %zu", i + 1, p->offset[i + 1], i, p->offset[i]);
  for (size_t i = 0; i < p->offset[p->clients]; i++)
    if (p->index[i] >= p->objective->n)
      REFUSE("index[%zu] = %u; allowed: below the %zu samples", i, p->index[i], p->objective->n);
  if (!p->offset[p->clients]) REFUSE("no client has a sample");
  return 0;
}

static int check_samples(const fl_problem *p, char *err, size_t size) {
  size_t some = 0;
  for (size_t i = 0; i < p->clients; i++) {
    uint32_t first = 0;
    const size_t n = p->samples(p->self, (uint32_t)i, &first);
    some |= n;
    if (n > p->objective->n || first > p->objective->n - n)
      REFUSE("samples of client %zu: %zu from %u on; allowed: below the %zu samples", i, n, first, p->objective->n);
  }
  if (!some) REFUSE("no client has a sample");
  return 0;
}

static int check(const fl_problem *p, const fl_options *o, char *err, size_t size) {
  if (!p->objective || !p->objective->layout || !p->objective->init || !p->objective->loss_grad)
    REFUSE("objective: layout, init and loss_grad are required");
  if (check_layout(p->objective->layout, err, size)) return -1;
  if (p->clients < 1 || p->clients > UINT32_MAX) REFUSE("clients = %zu; allowed: 1 to 2^32 - 1", p->clients);
  if (!p->samples == !(p->offset && p->index))
    REFUSE("problem: the clients' samples; allowed: offset and index, or the function samples");
  if (o->central && (p->clients != 1 || p->cohort))
    REFUSE("central: clients = %zu%s; allowed: 1, whose samples are the data, and no cohort", p->clients,
           p->cohort ? " and a cohort" : "");
  if (!o->central && !(o->participation > 0 && o->participation <= 1))
    REFUSE("participation = %g; allowed: above 0, at most 1", o->participation);
  if (fl_check_partial(p, o, err, size)) return -1;
  if (o->rounds < 1 || o->rounds >= (1u << 24)) REFUSE("rounds = %llu; allowed: 1 to 2^24 - 1", (unsigned long long)o->rounds);
  if (o->batch_size < 1 || o->batch_size > UINT32_MAX) REFUSE("batch_size = %zu; allowed: 1 to 2^32 - 1", o->batch_size);
  if (!o->central && !o->local_epochs && !o->local_steps)
    REFUSE("local_epochs = 0 and local_steps = 0; allowed: one of them at least 1");
  if (o->threads < 0 || o->threads > 1024) REFUSE("threads = %d; allowed: 0 (the machine's cores) to 1024", o->threads);
  return p->samples ? check_samples(p, err, size) : check_index(p, err, size);
}

/* ---- layout of the memory ------------------------------------------------------------------------------------------------ */
static size_t place_slot(size_t *end, size_t floats) {
  const size_t at = *end;
  *end += fl_padded(floats);
  return at;
}

static int place_all(fl_session *s, char *err, size_t size) {
  if (!s->opt.central) {
    s->n_up = 1;
    s->up[0] = (fl_upload){ place_slot(&s->leaf_floats, s->n), s->n, 0 };
    s->down_floats = s->n - s->problem.objective->frozen;
  }
  for (size_t i = 0; i < s->job.n_stages; i++) {
    const fl_stage *st = s->job.stage[i];
    if (st->n_slots > FL_MAX_SLOTS) REFUSE("stage %s: %zu slots; allowed: at most %d", st->name, st->n_slots, FL_MAX_SLOTS);
    for (size_t j = 0; j < st->n_slots; j++) {
      const fl_slot *slot = &st->slot[j];
      const size_t floats = slot->floats ? slot->floats(&s->job, s->job.h_stage[i]) : s->d;
      size_t *end[4] = { &s->server_floats, &s->client_floats, &s->leaf_floats, &s->work_floats };
            s->slot[i][j] = (fl_slot_at){ place_slot(fl_is_once(slot) ? &s->once_floats : end[slot->place], floats), floats };
      if (slot->place == FL_SERVER && slot->flags & FL_DOWN) s->down_floats += floats;
      if (slot->place != FL_UP) continue;
      if (s->n_up == FL_MAX_UP) REFUSE("stages: more than %d uploads", FL_MAX_UP - 1);
      s->up[s->n_up++] = (fl_upload){ s->slot[i][j].offset, floats, slot->flags };
    }
  }
  return 0;
}

static size_t rule_floats(size_t (*f)(const double *, const fl_job *), const double *h, const fl_job *job) {
  return f ? f(h, job) : 0;
}

/* Scratch of whichever rule a worker runs: the clients' and the server's. */
static size_t work_floats(const fl_session *s) {
  const fl_job *job = &s->job;
  const size_t own = rule_floats(job->rule->work, job->h_rule, job);
  const size_t server = s->opt.central ? 0 : rule_floats(job->server_rule->work, job->h_server, job);
  return own > server ? own : server;
}

/* Parts of a worker's workspace in bytes; returns their sum. A batch of "all" (batch_size above every client) needs no more room
 * than the largest client's rows, unless the caller draws the batches. */
enum { WORKER_PARTS = 10, OBJECTIVE_PART = 6 };
static size_t worker_parts(const fl_session *s, size_t bytes[WORKER_PARTS]) {
  const fl_objective *o = s->problem.objective;
  const size_t most = s->problem.batch || s->opt.batch_size < s->largest ? s->opt.batch_size : s->largest, f = sizeof(float);
  const size_t rows = most > FL_EVAL_ROWS ? most : FL_EVAL_ROWS;
  const size_t state = s->opt.central ? 0 : rule_floats(s->job.rule->state, s->job.h_rule, &s->job);
  const size_t parts[WORKER_PARTS] = { s->n * f, s->d * f, s->d * f, state * f, work_floats(s) * f, s->work_floats * f,
                                       o->work ? o->work(o->self, rows) : 0, most * sizeof(uint32_t),
                                       s->largest * sizeof(uint32_t), s->problem.samples ? most * sizeof(uint32_t) : 0 };
  size_t total = 0;
  for (size_t i = 0; i < WORKER_PARTS; i++) total += fl_arena_round(bytes[i] = parts[i]);
  return total;
}

static int open_worker(fl_session *s, fl_worker *w) {
  size_t bytes[WORKER_PARTS];
  void *at[WORKER_PARTS];
  if (fl_arena_open(&w->arena, worker_parts(s, bytes))) return -1;
  for (size_t i = 0; i < WORKER_PARTS; i++) at[i] = fl_arena_take(&w->arena, bytes[i]);
  w->s = s;
  w->y = at[0], w->g = at[1], w->all = at[2], w->state = at[3], w->rule_work = at[4], w->slots = at[5];
  w->objective = at[6], w->rows = at[7], w->perm = at[8], w->all_rows = at[9];
  memset(w->arena.base, 0, w->arena.size);      /* first touch by the thread that will use it */
  return fl_share_open(s, (int)(w - s->worker), bytes[OBJECTIVE_PART]);
}

static int open_home(fl_session *s) {
  const double *h;
  const fl_rule *mover = fl_mover(s, &h);
  s->state_floats = rule_floats(mover->state, h, &s->job);
  const size_t floats[4] = { s->n, s->server_floats, s->state_floats, s->once_floats };
  size_t bytes[4], all = 0;
  for (int i = 0; i < 4; i++) all += fl_arena_round(bytes[i] = floats[i] * sizeof(float));
  if (fl_arena_open(&s->home, all)) return -1;
  s->x = fl_arena_take(&s->home, bytes[0]);
  s->server = fl_arena_take(&s->home, bytes[1]);
  s->state = fl_arena_take(&s->home, bytes[2]);
  s->once = fl_arena_take(&s->home, bytes[3]);
  return 0;
}

static int open_memory(fl_session *s) {
  size_t buffers = fl_window(s) + (size_t)s->threads + FL_MAX_LEVELS;
  if (buffers > s->m_max) buffers = s->m_max;
  const size_t m = s->m_max + 1;                /* one more: the server's own samples */
  s->cohort = calloc(m, sizeof *s->cohort);
  s->order = calloc(m, sizeof *s->order);
  s->steps = calloc(m, sizeof *s->steps);
  s->weight = calloc(m, sizeof *s->weight);
  s->loss = calloc(m, sizeof *s->loss);
  s->place = calloc(m, sizeof *s->place);
  s->eval = calloc(s->eval_chunks + 1, sizeof *s->eval);
  s->worker = calloc((size_t)s->threads, sizeof *s->worker);
  if (!s->cohort || !s->order || !s->steps || !s->weight || !s->loss || !s->place || !s->eval || !s->worker)
    return -1;
  if (s->problem.cohort && !(s->drawn = calloc(s->problem.clients / 64 + 1, sizeof *s->drawn))) return -1;
  if (open_home(s) || fl_keep_open(s)) return -1;
  if (!s->opt.central && fl_tree_open(&s->tree, s->m_max, s->leaf_floats, buffers)) return -1;
  if (fl_diagnosis_open(s)) return -1;
  if (fl_store_open(&s->store, s->problem.clients, s->client_floats, (size_t)s->threads, s->opt.state_memory, s->opt.state_file))
    return -1;
  return 0;
}

static int open_job(fl_session *s, char *err, size_t size) {
  fl_job *job = &s->job;
  const fl_algorithm *a = &s->algorithm;
  *job = (fl_job){ .layout = s->problem.objective->layout, .clients = s->problem.clients, .rounds = s->opt.rounds,
                   .adapter_scale = s->problem.objective->adapter_scale,
                   .rule = a->rule, .central = s->opt.central != 0, .server_rule = a->server_rule, .h_rule = a->h_rule,
                   .h_server = a->h_server, .n_stages = a->n_stages, .sampled_labels = s->problem.objective->sampled_grad != NULL,
                   .flipped_labels = s->problem.objective->flipped_grad != NULL, .cohort = s->m_max,
                   .expected = fl_cohort_expected(s),
                   .poisson = s->opt.partial.sampling == FL_SAMPLE_POISSON, .server_lr = a->h_run[FL_H_SERVER_LR] };
  for (size_t i = 0; i < a->n_stages; i++) job->stage[i] = a->stage[i], job->h_stage[i] = a->h_stage[i];
  for (size_t i = 0; i < s->problem.clients; i++) {
    const uint64_t k = fl_full_steps(s, (uint32_t)i);
    if (k > job->local_steps) job->local_steps = k;
    const size_t n = fl_client_samples(s, (uint32_t)i);
    if (n > s->largest) s->largest = n;
    job->samples += n;
  }
  const int rule = (int)a->h_run[FL_H_BLOCK_RULE];
  job->blocks.n = fl_blocks_of(job->layout, rule, NULL);
  s->block_runs = calloc(job->blocks.n + 1, sizeof *s->block_runs);
  if (!s->block_runs) REFUSE("no memory for %zu blocks", job->blocks.n);
  fl_blocks_of(job->layout, rule, s->block_runs);
  job->blocks.run = s->block_runs;
  job->moves = fl_moves(s, s->opt.rounds);
  return fl_schedule_refuse(a, s->opt.central, job->moves, err, size) || fl_job_refuse(job, err, size) ? -1 : 0;
}

/* Whether OpenMP gave the team that the workers and their barrier are made for. */
static int check_team(int got, int want, char *err, size_t size) {
  if (got == want) return 0;
  REFUSE("%d threads are needed, OpenMP gave %d; allowed: a call outside of other parallel regions (or omp_set_max_active_levels "
         "for one more level), OMP_DYNAMIC off (omp_set_dynamic(0)), OMP_THREAD_LIMIT of %d or more; or open with threads = %d",
         want, got, want, got);
}

/* The rule that moves x and the stages begin from the initial x. */
static void start_mover(fl_session *s) {
  const double *h;
  const fl_rule *mover = fl_mover(s, &h);
  fl_local lo = fl_mover_local(s, 0);
  lo.work = s->worker[0].rule_work;
  if (mover->start) mover->start(h, &lo, NULL);
  fl_after(s, 0);
  s->point = fl_point(s, 0);
}

/* ---- public -------------------------------------------------------------------------------------------------------------- */
static int refuse_workspaces(const fl_session *s, char *err, size_t size) {
  size_t parts[WORKER_PARTS];
  char teams[120] = "";
  const double workspace = 1e-9 * (double)worker_parts(s, parts), available = 1e-9 * (double)fl_memory_available();
  const double shared = 1e-9 * (double)fl_share_bytes(s, parts[OBJECTIVE_PART]);
  if (workspace * s->threads + shared <= available) return 0;
  if (shared > 0)
    snprintf(teams, sizeof teams, ", and teams of %d share %.3f GB beside it", s->team, shared);
  REFUSE("batch_size = %zu: each of %d threads needs a workspace of %.3f GB%s; %.3f GB of memory are available; smaller batches "
         "or fewer threads", s->opt.batch_size, s->threads, workspace, teams, available);
}

/* Everything that can be refused before memory is taken. */
static int plan(fl_session *s, char *err, size_t size) {
  const char *why = NULL;
  const fl_objective *o = s->problem.objective;
  s->k = s->opt.kernels ? s->opt.kernels : fl_kernels_select(NULL, &why);
  if (!s->k) REFUSE("%s", why ? why : "no kernels for this machine");
  s->d = o->layout->d;
  s->n = s->d + o->layout->buffers;
  s->threads = s->opt.threads ? s->opt.threads : fl_default_threads();
  if (s->opt.central) s->opt.participation = 1, s->opt.local_epochs = 1;
  s->m_max = fl_cohort_room(s);
  s->eval_chunks = o->evaluate ? (o->n_test + FL_EVAL_ROWS - 1) / FL_EVAL_ROWS : 0;
  if (open_job(s, err, size) || place_all(s, err, size) || fl_keep_plan(s, err, size) ||
      fl_diagnosis_refuse(s, err, size)) return -1;
  fl_share_plan(s);
  return refuse_workspaces(s, err, size);
}

static int open_all(fl_session *s, char *err, size_t size) {
  const fl_objective *o = s->problem.objective;
  if (plan(s, err, size)) return -1;
  if (open_memory(s))
    REFUSE("no memory: states of %zu clients x %zu bytes (address space; memory when first visited), %d workers with about %zu "
           "bytes", s->problem.clients, s->client_floats * sizeof(float), s->threads, 4 * s->d * sizeof(float));
  fl_barrier_init(&s->barrier, s->threads);
  int failed = 0, team = 0;
#pragma omp parallel num_threads(s->threads)
  {
    const int got = omp_get_num_threads();
    if (omp_get_thread_num() == 0) team = got;
    if (got == s->threads && open_worker(s, &s->worker[omp_get_thread_num()])) {
#pragma omp atomic write
      failed = 1;
    }
  }
  if (check_team(team, s->threads, err, size)) return -1;
  if (failed) REFUSE("%d threads with their workspaces could not be had", s->threads);
  const uint64_t env = fl_fpenv_enter();
  o->init(o->self, s->opt.seed, s->x);
  fl_fpenv_enter();
  fl_share_enter(s, &s->worker[0]);
  start_mover(s);
  fl_share_enter(s, NULL);
  fl_plan_privacy(s);
  fl_diagnosis_clear(&s->metrics);
  if (!s->diagnosis) s->metrics.seconds_diagnostics = (double)NAN;
  fl_fpenv_restore(env);
  return 0;
}

static fl_session *new_session(const fl_problem *p, const fl_algorithm *a, const fl_options *o, char *err, size_t size) {
  const locale_t before = fl_locale_enter();
  const int bad = check(p, o, err, size);
  fl_locale_leave(before);
  if (bad) return NULL;
  fl_session *s = calloc(1, sizeof *s);
  if (!s) return snprintf(err, size, "no memory"), NULL;
  s->problem = *p;
  s->algorithm = *a;
  s->opt = *o;
  return s;
}

int fl_check(const fl_problem *p, const fl_algorithm *a, const fl_options *o, char *err, size_t size) {
  fl_session *s = new_session(p, a, o, err, size);
  const int bad = !s || plan(s, err, size);
  fl_close(s);
  return bad ? -1 : 0;
}

int fl_open(fl_session **out, const fl_problem *p, const fl_algorithm *a, const fl_options *o, char *err, size_t size) {
  *out = NULL;
  fl_session *s = new_session(p, a, o, err, size);
  if (!s) return -1;
  if (open_all(s, err, size)) return fl_close(s), -1;
  *out = s;
  return 0;
}

static int run_until(fl_session *s, uint64_t limit, int (*each)(void *, fl_session *, const fl_metrics *), void *self) {
  if (s->failed) return -1;
  s->limit = limit;
  s->stop = 0;
  s->error[0] = 0;
  if (s->over) return 1;
  int team = 0;
#pragma omp parallel num_threads(s->threads)
  {
    const int got = omp_get_num_threads();      /* before the first barrier: a smaller team would wait there for ever */
    if (omp_get_thread_num() == 0) team = got;
    if (got == s->threads) fl_run_worker(s, omp_get_thread_num(), each, self);
  }
  if (check_team(team, s->threads, s->error, sizeof s->error)) return -1;
  return s->error[0] ? -1 : s->over;
}

int fl_round(fl_session *s, fl_metrics *m) {
  if (s->over) return 1;
  if (run_until(s, s->round + 1, NULL, NULL) < 0) return -1;
  if (m) *m = s->metrics;
  return 0;
}

int fl_rounds(fl_session *s, int (*each)(void *, fl_session *, const fl_metrics *), void *self) {
  return run_until(s, s->opt.rounds, each, self);
}

const float *fl_params(const fl_session *s, size_t *n) {
  if (n) *n = s->n;
  return s->x;
}
const float *fl_averaged(const fl_session *s, size_t *n) {
  if (n) *n = s->n;
  return fl_point(s, s->round);
}
const char *fl_session_error(const fl_session *s) { return s->error; }
const fl_job *fl_session_job(const fl_session *s) { return &s->job; }
int fl_session_threads(const fl_session *s) { return s->threads; }
int fl_session_team(const fl_session *s) { return s->team; }
uint64_t fl_session_state_bytes(const fl_session *s) {
  uint64_t bytes = (uint64_t)s->store.memory_bytes + s->tree.memory_bytes + s->home.size + s->keep.arena.size +
                   fl_diagnosis_bytes(s);
  for (int w = 0; w < s->threads; w++) bytes += s->worker[w].arena.size + s->worker[w].parts.size;
  return bytes;
}

void fl_close(fl_session *s) {
  if (!s) return;
  for (int w = 0; s->worker && w < s->threads; w++) fl_arena_close(&s->worker[w].arena);
  fl_share_close(s);
  fl_diagnosis_close(s);
  fl_tree_close(&s->tree);
  fl_keep_close(s);
  fl_arena_close(&s->home);
  if (s->barrier.n) fl_barrier_free(&s->barrier);
  fl_store_close(&s->store);
  void *const blocks[] = { s->cohort, s->order, s->steps, s->weight, s->loss, s->eval, s->worker, s->place,
                           s->drawn, s->block_runs };
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
  free(s);
}
