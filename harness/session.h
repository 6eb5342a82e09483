/* session.h - one run in memory, federated or central: open, rounds, parameters, metrics, close. The program is built on it, and
 * so is a user's own (docs/examples/objective). No call exits, prints or keeps a global. */
#ifndef FEDLANE_SESSION_H
#define FEDLANE_SESSION_H
#include <fedlane/optimizer.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {                                /* what is trained, by whom */
  const fl_objective *objective;
  size_t clients; const size_t *offset; const uint32_t *index;  /* samples of client i: index[offset[i] .. offset[i+1]) */
  /* In place of offset and index, of a population too large to be written out: how many samples client i has; they are numbered
   * from *first on. A pure function, called by workers, and once for every client when a session is opened. */
  size_t (*samples)(void *self, uint32_t client, uint32_t *first);
  /* The round's clients in draw order into out, returns how many: 1 to max, each below clients and none twice. NULL: uniform
   * without replacement. */
  size_t (*cohort)(void *self, uint64_t round, uint32_t *out, size_t max);
  /* Rows (sample indices below objective->n) of one batch into out, returns how many: 1 to max = batch_size. NULL: each
   * epoch a new permutation of the client's samples (FL_PURPOSE_SHUFFLE), cut into batches, the last one partial. Called
   * by workers: must be a pure function of its arguments. Never asked for the server's own samples (fltrust). */
  size_t (*batch)(void *self, uint64_t round, uint32_t client, uint64_t step, uint32_t *out, size_t max);
  void *self;
} fl_problem;
/* Who takes part in a round and how much of its work a client does. Each draw has a purpose of its own, so that changing one
 * moves no other; all are functions of (seed, round, client). All zero: m clients without replacement, each does all of it. */
/* m without replacement; each by itself with chance `participation`; the m of the first round in every round */
enum { FL_SAMPLE_UNIFORM, FL_SAMPLE_POISSON, FL_SAMPLE_FIXED };
enum { FL_AVAILABLE_ALWAYS, FL_AVAILABLE_BERNOULLI, FL_AVAILABLE_PERIODIC };
enum { FL_STRAGGLE_EPOCHS, FL_STRAGGLE_STEPS };
typedef struct {
  int sampling;
  int availability; double available_part;      /* chance of a client in a round, or its part of a period */
  uint64_t available_period;                    /* rounds of a period, whose phase is the client's own */
  double dropout;                               /* chance that a drawn client sends nothing: it does not count, its state stays */
  double stragglers;                            /* chance that a client does less in a round: straggler_min to straggler_max */
  int straggler_unit; uint64_t straggler_min, straggler_max;      /* epochs or steps; max 0: what the others do */
} fl_partial;
typedef struct {
  uint64_t seed, rounds;                        /* central: epochs */
  /* Not 0: one model is trained on all data, in place, by the algorithm's rule and those of its stages that need no clients
   * (sam, swa ...). The problem has one client, whose samples are the data, and no cohort; a round is an epoch, a cohort is
   * this client, no bytes are sent; participation and local_epochs are not looked at, local_steps caps an epoch. The rule's
   * state lives as long as the session. */
  int central;
  double participation;                         /* m = max(1, floor(clients*participation)) */
  fl_partial partial;                           /* federated runs alone */
  /* K_i = min(local_steps, local_epochs*ceil(n_i/batch_size)); local_steps 0: no cap */
  size_t local_epochs, local_steps, batch_size;
  size_t eval_every;                            /* 0: never; the last round is always evaluated */
  /* What is measured besides, bits of FL_D_*: every so many rounds (a multiple of eval_every; 0: at every evaluation) and after
   * the last. rows: samples of gradient, sam_gap and sharpness, evenly spaced; 0: all. Length of the step of sam_gap (0: 0.05);
   * of sharpness the iterations (0: 20) and the distance of the points whose gradients are compared (0: 0.01). */
  unsigned diagnostics; size_t diagnostics_every, diagnostics_rows, sharpness_steps; double gap_rho, sharpness_step;
  int threads;                                  /* 0: physical cores of the affinity mask and cgroup quota */
  const fl_kernels *kernels;                    /* NULL: fl_kernels_select(NULL) */
  /* Client states that outgrow so many bytes, or the memory, go to this file, which the session makes and a checkpoint then
   * needs; NULL: they stay in memory. The text must outlive the session. */
  const char *state_file; uint64_t state_memory;
} fl_options;

/* Diagnostics (docs/diagnostics.md); none changes a bit of a run. The names in the order of the bits. */
enum { FL_D_DRIFT = 1, FL_D_UPDATES = 2, FL_D_PRECONDITIONER = 4, FL_D_GRADIENT = 8, FL_D_SAM_GAP = 16, FL_D_SHARPNESS = 32,
       FL_D_CLIENTS = 64 };
#define FL_DIAGNOSTICS "drift|updates|preconditioner|gradient|sam_gap|sharpness|clients"

enum { FL_T_GRADIENT, FL_T_OPTIMIZER, FL_T_AGGREGATION, FL_T_EVALUATION, FL_T_IDLE, FL_T_OTHER, FL_T_DIAGNOSTICS, FL_T_COUNT };
extern const char *const fl_time_name[FL_T_COUNT];
typedef struct {                                /* of one finished round; totals are since the start of the run */
  uint64_t round;                               /* 1 after the first */
  double train_loss;                            /* mean over the cohort (by p_i) of the clients' mean step loss */
  int evaluated; double test_loss, accuracy;    /* of fl_averaged after the round; accuracy in 0..1 */
  int diverged;                                 /* NaN or infinity in x or in the evaluation */
  double lr, update_norm;                       /* lr_r (central: of the last step); |x_{r+1} - x_r|_2 */
  uint64_t bytes_up, bytes_down;                /* this round, from the declared slots */
  uint64_t total_bytes_up, total_bytes_down, gradient_evaluations, samples; /* totals; samples: rows of gradients */
  size_t cohort;
  double seconds, seconds_evaluation;           /* totals: wall without evaluation and diagnostics; wall of evaluation */
  double seconds_diagnostics;                   /* total: wall of diagnostics; NaN: none is asked for */
  double thread_seconds[FL_T_COUNT];            /* totals; a round adds threads x its wall of all three */
  /* of this round: share of coordinates whose step sophia did not clip; NaN: no such rule */
  double unclipped;
  double local_steps, dropped;                  /* of this round: steps of all clients; drawn clients that sent nothing. NaN where
                                                   the options ask for no stragglers, no drop-outs */
  /* of this round, where a robust rule judges the uploads: how many it admitted, the parts of the malicious and of the others
   * that it rejected; NaN: no such rule, no such clients */
  double admitted, rejected_malicious, rejected_benign;
  /* What the run has spent of its privacy so far, at its delta (docs/federated-private.md), by how it draws its cohorts; and what
   * papers quote for m of n without replacement, as if each client came by itself. NaN: no such stage, no guarantee. */
  double epsilon, epsilon_as_poisson, epsilon_order;      /* order: where epsilon was found (fl_accountant_epsilon) */
  /* diagnostics of this round; NaN: not measured */
  double client_drift, update_norm_mean, update_cosine_pairs, update_cosine_mean, preconditioner_drift, global_loss,
      gradient_norm, sam_gap, sharpness, client_accuracy_mean, client_accuracy_worst, client_accuracy_std;
  /* totals: longest-first bound of the rounds' client sizes, as a speed-up over 1 thread */
  double bound;
} fl_metrics;

typedef struct fl_session fl_session;
/* 0, or -1 with a message in err. The problem, the algorithm and the kernels must outlive the session. */
int fl_open(fl_session **, const fl_problem *, const fl_algorithm *, const fl_options *, char *err, size_t err_size);
/* What fl_open would refuse of a run, without the memory that it takes: 0, or -1 with a message in err. */
int fl_check(const fl_problem *, const fl_algorithm *, const fl_options *, char *err, size_t err_size);
/* One round. 0; 1 when the run is over (rounds done, or diverged); -1, and fl_session_error says why: when the round cannot
 * begin (a cohort that is not valid, no memory for the states of clients drawn for the first time, not as many OpenMP threads
 * as the session has), nothing has changed and the call may be repeated; after a batch that is not valid, the round is
 * half-done and the session stays failed. metrics may be NULL. */
int fl_round(fl_session *, fl_metrics *);
/* Rounds until over, in one parallel region; after each, `each` is called by one thread: non-zero ends the call. 1 over, 0 ended
 * by `each`, -1 as above. */
int fl_rounds(fl_session *, int (*each)(void *self, fl_session *, const fl_metrics *), void *self);
const char *fl_session_error(const fl_session *);        /* valid until the next round */
const float *fl_params(const fl_session *, size_t *n);   /* x: d + buffers floats, valid until the next round */
/* What is evaluated and kept as the result: x, or what a stage puts in its place (the average of swa, ema). */
const float *fl_averaged(const fl_session *, size_t *n);
const fl_job *fl_session_job(const fl_session *);
int fl_session_threads(const fl_session *);
/* Threads that compute one client together, as there are fewer clients than threads, or training is central; 1: whole clients. */
int fl_session_team(const fl_session *);
uint64_t fl_session_state_bytes(const fl_session *);     /* client states, workspaces, teams' scratch, server slots */
void fl_close(fl_session *);

/* The complete state at a round's end, for checkpoints: sections of bytes in a fixed order. -1 when write says so, or when the
 * session failed inside a round. */
int fl_session_save(const fl_session *, int (*write)(void *self, const void *, size_t), void *self);
/* What was saved last will be found again, after a crash, too: states in state_file that only older saves need may go. */
void fl_session_kept(fl_session *);
int fl_session_load(fl_session *, int (*read)(void *self, void *, size_t), void *self, char *err, size_t err_size);

/* What the plan of a run is, without running it (export for an independent replay). */
/* Bytes that the clients of all rounds will send and receive, by the cohorts that will be drawn and what a run counts. -1: no
 * memory for a draw. */
int fl_session_traffic(const fl_session *, double *up, double *down);
size_t fl_session_cohort_size(const fl_session *);                       /* the most clients that a round may have */
/* Those whose updates count, without drop-outs; out: as many entries as that. SIZE_MAX: no memory for the draw. */
size_t fl_session_cohort(const fl_session *, uint64_t round, uint32_t *out);
size_t fl_session_batch(const fl_session *, uint64_t round, uint32_t client, uint64_t step, uint32_t *out);
uint64_t fl_session_steps(const fl_session *, uint64_t round, uint32_t client);              /* K_i of the round */
/* both from 0; the same for a round's steps, unless `unit` is step */
double fl_session_lr(const fl_session *, uint64_t round, uint64_t step);

/* ---- the binary interface, for a caller without the headers (docs/examples/from_python.py) --------------------------------- */
int fl_abi(void);                                        /* FL_ABI of plugin.h */
size_t fl_abi_size(const char *type);                    /* bytes of a public struct, e.g. "fl_options"; 0: none of that name */
/* Where in the struct a field lies and its bytes: 0, or -1 when there is none of that name. */
int fl_abi_field(const char *type, const char *field, size_t *offset, size_t *size);
#ifdef __cplusplus
}
#endif
#endif
