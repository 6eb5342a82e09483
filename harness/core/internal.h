/* internal.h - the session's memory: what a run keeps, a worker's workspace, the pending nodes of the fixed tree. */
#ifndef FEDLANE_SESSION_INTERNAL_H
#define FEDLANE_SESSION_INTERNAL_H
#include "store.h"
#include "team.h"
#include <fedlane/divide.h>
#include <fedlane/privacy.h>
#include <fedlane/session.h>

enum { FL_MAX_UP = 1 + FL_MAX_STAGES * 2, FL_MAX_LEVELS = 33 };

/* Where a slot's vector lies inside its place's block. */
typedef struct { size_t offset, floats; } fl_slot_at;
typedef struct { size_t offset, floats; unsigned flags; } fl_upload;   /* inside a leaf */
static inline size_t fl_padded(size_t floats) { return (floats + 15) / 16 * 16; }   /* to 64 bytes */
static inline int fl_is_once(const fl_slot *slot) { return slot->place == FL_WORK && slot->flags & FL_ONCE; }

/* The fixed tree over positions 0..m-1: a finished leaf waits for its sibling, then left = left + right goes up. */
typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t freed;
  size_t m, leaf_floats, n_buffers, n_free;
  float **free_list, *memory;
  size_t memory_bytes, level_first[FL_MAX_LEVELS];
  float **node, *root;
  size_t n_nodes;
} fl_tree;
int fl_tree_open(fl_tree *, size_t max_m, size_t leaf_floats, size_t buffers);
void fl_tree_close(fl_tree *);
void fl_tree_begin(fl_tree *, size_t m);
float *fl_tree_leaf(fl_tree *);                           /* waits while every buffer is pending */
void fl_tree_return(fl_tree *, float *leaf);              /* a leaf that is not pushed */
void fl_tree_push(fl_tree *, const fl_kernels *, size_t position, float *leaf);
void fl_tree_release(fl_tree *);                          /* the root's buffer, after the server used it */

/* All uploads of a round, for a stage that judges them: up holds m leaves, then the server's own (keep.c). */
typedef struct { fl_arena arena; float *up; double *scale, *share; double admitted, caught, wronged; } fl_keep;
typedef struct { double p, equal, over_n; } fl_weights;   /* of an upload, by its flags */

typedef struct {                                          /* one thread */
  fl_arena arena;
  float *y, *g, *all, *state, *rule_work, *slots;         /* slots: WORK slots of all stages */
  void *objective;                                        /* the objective's scratch */
  fl_division alone, shared;                              /* share.c: this thread's own kernels; over its team */
  fl_crew *crew;
  fl_arena parts;
  uint32_t *rows, *perm, *all_rows;                       /* all_rows: of a batch of all local data */
  float *client;                                          /* the state of the client at hand */
  double seconds[FL_T_COUNT], arrived;                    /* arrived: at the last barrier */
  double keeping;                                         /* of the round: seconds that diagnostics took among the clients */
  uint64_t bits_down;                                     /* of the round, to the clients of this worker */
  uint64_t evaluations, samples, elements, unclipped;     /* of the round; the last two as fl_local's */
  int infinite;                                           /* as fl_local's, of the round's clients */
  /* the oracle of the client at hand */
  struct fl_session *s;
  fl_oracle oracle;
  size_t position;
  uint32_t id, round, epoch_known; size_t n, count; uint64_t epoch;
  int flipped;                                            /* as fl_local's */
  uint64_t step; uint32_t asked;                          /* of the client's run: the batch's step, gradients so far */
  int broken;                                             /* this client had a batch that is not valid */
  float *buffers; int fresh;                              /* of the parameters in training; no gradient on this batch yet */
  size_t bad_position; char error[500];                   /* the first such client of this worker in the draw; "": none */
} fl_worker;

typedef struct fl_diagnosis fl_diagnosis;                 /* diagnostics.c; NULL: none is asked for */

struct fl_session {
  fl_problem problem;
  fl_algorithm algorithm;
  fl_options opt;
  fl_job job;
  const fl_kernels *k;
  size_t d, n, m_max, largest;                            /* n = d + buffers; largest: samples of the largest client */
  int threads, teams, team;                               /* teams of `team` threads; a client has one */
  const fl_kernels *parts;                                /* of what a team divides */
  fl_kernels divided;                                     /* k, where a team is more than one */

  fl_slot_at slot[FL_MAX_STAGES][FL_MAX_SLOTS];
  fl_upload up[FL_MAX_UP];
  size_t n_up, leaf_floats, server_floats, client_floats, work_floats, once_floats;
  size_t down_floats;                                     /* that one client receives */
  fl_arena home;                                          /* x, SERVER slots, state, once */
  float *x, *server, *once;                               /* once: WORK slots with FL_ONCE */
  fl_store store;                                         /* of the clients */
  /* of the rule that moves x: the server's, or the only one of central training */
  float *state; size_t state_floats;
  const float *point, *send;                              /* what is evaluated; where the clients of the round begin */
  char error[500];                                        /* why the last call failed */
  uint8_t *malicious;                                     /* by client, the server's own last; NULL without an attack */
  uint32_t *own; size_t own_n;                            /* the server's own samples */
  fl_keep keep;
  fl_worker *worker;
  fl_tree tree;
  fl_barrier barrier;
  fl_run *block_runs;

  /* the round at hand */
  uint64_t round, limit, moved;                           /* moved: rounds before that moved x, empty ones not */
  size_t m, dropped, runs;                                /* runs: m and the server's own */
  uint32_t *cohort, *order;
  uint64_t *drawn;                                        /* a bit a client, when the caller draws the cohort */
  uint64_t *steps;
  fl_place_of *place;                                     /* of the cohort's states */
  double *weight, *loss, lr, equal;                       /* equal: weight of an FL_EQUAL upload */
  atomic_size_t next_client, next_chunk;
  size_t eval_chunks;
  fl_eval *eval;
  int evaluate, stop, over, failed;                       /* failed: inside a round, so for good */
  /* Of this round: the clients' changes are kept; what is measured after it. A thread may read `diagnose` until the next barrier,
   * so it is only set between two of the same round. */
  int keeps, diagnose; fl_diagnosis *diagnosis;
  double work_total, work_longest;                        /* for the bound */
  double begin;                                           /* when the round began: what came before is not its time */
  fl_metrics metrics;
  fl_accountant spends, as_poisson;                       /* of a round with noise (private.c); delta 0: nothing told */
  double delta;
  int told_as_poisson;
};

static inline size_t fl_batches_of(const fl_session *s, size_t n) {
  return (n + s->opt.batch_size - 1) / s->opt.batch_size;
}
size_t fl_window(const fl_session *);                      /* positions handed out longest first: max(16, 4*workers) */
/* cohort.c: K_i of a round; of a round in which the client does all of its work; the round's clients without the `dropped`. */
uint64_t fl_steps_of(const fl_session *, uint64_t round, uint32_t client);
uint64_t fl_full_steps(const fl_session *, uint32_t client);
size_t fl_draw_cohort(const fl_session *, uint64_t round, uint32_t *out, size_t *dropped);
int fl_check_partial(const fl_problem *, const fl_options *, char *err, size_t err_size);
/* The most clients that a round can have, and how many to expect. */
size_t fl_cohort_room(const fl_session *);
double fl_cohort_expected(const fl_session *);
uint64_t fl_message_bytes(const fl_session *, uint32_t client, size_t position);       /* that it sends */
int fl_has_fixed_weights(const fl_session *);              /* a stage has FL_FIXED_WEIGHTS */
/* private.c: what a round of a stage with noise spends, once; the epsilons after so many rounds. */
void fl_plan_privacy(fl_session *);
void fl_tell_privacy(const fl_session *, uint64_t rounds, fl_metrics *);
/* Rows of a batch; perm: room for the client's samples; *known: epoch + 1 that perm holds, 0 none. */
size_t fl_draw_batch(const fl_session *, uint64_t round, uint32_t client, uint64_t step, uint32_t *perm, uint64_t *known,
                     uint32_t *out);
size_t fl_client_samples(const fl_session *, uint32_t client);
/* Sample numbers from the i-th of a client on: in the caller's table, or count of them made in `room`. */
const uint32_t *fl_client_rows(const fl_session *, uint32_t client, size_t i, size_t count, uint32_t *room);
uint64_t fl_memory_available(void);                        /* bytes that this process may still take */
/* -1, with the message that `more` client states of `each` bytes do not fit. */
int fl_states_refuse(const char *what, size_t more, size_t each, uint64_t available, char *err, size_t err_size);
void fl_run_client(fl_session *, fl_worker *, size_t position);
void fl_weigh(fl_session *, const fl_weights *, const float *from, const double *scale, float *leaf);
/* keep.c: what a stage with `combine`, `malicious` or `own` needs: draws and their sizes, memory, the judgement of a round. */
int fl_keep_plan(fl_session *, char *err, size_t err_size);
size_t fl_keep_bytes(const fl_session *);
int fl_keep_open(fl_session *);
void fl_keep_close(fl_session *);
static inline int fl_keeps(const fl_session *s) { return s->keep.up != NULL; }
void fl_keep_begin(fl_session *);                          /* the server's own samples join the round */
void fl_keep_judge(fl_session *);                          /* uploads into the tree, as the stage says */
/* The worker takes the client: its batches and gradients come from the oracle. */
const fl_oracle *fl_client_oracle(fl_session *, fl_worker *, uint32_t client, size_t position);
typedef struct { float *v[FL_MAX_STAGES][FL_MAX_SLOTS]; } fl_slot_table;
void fl_place_slots(fl_session *, fl_worker *, float *leaf, fl_slot_table *);
/* The rule that moves x (the server's; centrally the run's own), and its fl_local with y = x and t moves done. */
const fl_rule *fl_mover(const fl_session *, const double **h);
fl_local fl_mover_local(fl_session *, uint64_t t);
/* As the stages see the server after so many rounds: without slots, or with a stage's, their addresses in the caller's at. */
fl_server fl_server_of(const fl_session *, uint64_t rounds);
fl_server fl_server_at(const fl_session *, uint64_t rounds, size_t stage, float **at);
void fl_run_epoch(fl_session *, fl_worker *);              /* central.c */
/* share.c: how many threads a client has; the clients of a round, of the threads that lead, and what the others do. */
void fl_share_plan(fl_session *);
int fl_share_open(fl_session *, int id, size_t work);      /* by the thread; work: bytes of the objective's scratch */
size_t fl_share_bytes(const fl_session *, size_t work);    /* of all teams, beside the workers' own; 0 without teams */
void fl_share_close(fl_session *);
void fl_share_enter(const fl_session *, const fl_worker *);/* what the thread calls is its own, until NULL */
void fl_share_clients(fl_session *, fl_worker *, int id);
/* Moves of x after so many rounds, as the stages' `after` counts them; the stages' `after` and `model` at that time. */
uint64_t fl_moves(const fl_session *, uint64_t rounds);
void fl_after(fl_session *, uint64_t rounds);
const float *fl_point(const fl_session *, uint64_t rounds);
/* diagnostics.c: what is measured besides. Nothing of it reaches the training. */
int fl_diagnosis_due(const fl_session *, uint64_t round);  /* rounds from 1 */
int fl_diagnosis_refuse(const fl_session *, char *err, size_t err_size);
int fl_diagnosis_open(fl_session *);                       /* 0, or -1: no memory */
void fl_diagnosis_close(fl_session *);
uint64_t fl_diagnosis_bytes(const fl_session *);
void fl_diagnosis_begin(fl_session *);                     /* before the clients of a round */
void fl_diagnosis_clear(fl_metrics *);                     /* the columns of a round: not measured */
void fl_diagnosis_keep(fl_session *, fl_worker *, const fl_local *, const float *change);   /* a client has made its steps */
void fl_diagnose(fl_session *, fl_worker *, int id);       /* every thread, after the evaluation */
void fl_run_worker(fl_session *, int worker, int (*each)(void *, fl_session *, const fl_metrics *), void *self);
#endif
