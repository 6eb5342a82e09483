/* optimizer.h - everything between optimizers/ and harness/: how a gradient moves a vector (rule), and one layer of a
 * run, federated or central (stage). Tables are const data; every byte they work on is lent by the harness. No hook allocates,
 * threads, logs or reads a clock. Client hooks write only through their fl_local; server hooks run once, in order. That, the
 * fixed tree over the position in the draw, and fl_key make results independent of threads and processes. */
#ifndef FEDLANE_OPTIMIZER_H
#define FEDLANE_OPTIMIZER_H
#include <fedlane/objective.h>
#include <fedlane/param.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct { size_t n; const fl_run *run; } fl_blocks;            /* second-moment blocks, in order, covering 0..d */

/* ---- gradient oracle: the only view of model and data. Counts its own evaluations. ----------------------------------- */
#define FL_ALL SIZE_MAX
typedef struct {
  const float *at;                              /* point (d + buffers) */
  size_t first, count;                          /* rows of the current batch; count 0 = all of it, FL_ALL = all local data */
  const fl_key *labels;                         /* not NULL: labels drawn from the model's own softmax with this key (Sophia-G);
                                                   the objective must offer sampled_grad */
} fl_ask;
typedef struct {
  void *self; size_t n, batch;                  /* local samples; rows of the current batch */
  void (*next)(void *self, uint64_t t);         /* draw the batch of step t (0-based in the run) */
  double (*grad)(void *self, const fl_ask *, float *g);               /* mean loss and its gradient */
} fl_oracle;

/* ---- rule: how a gradient moves a vector. The same table centrally, on clients and on the server. -------------------- */
typedef struct fl_local fl_local;
typedef struct fl_server fl_server;
typedef struct fl_job fl_job;
typedef struct fl_algorithm fl_algorithm;
/* lr of the step; lr that multiplies weight_decay; k from 1 in this run of steps; t = r*local_steps + k, r the rounds that have
 * moved x; total: t of the last step of all rounds. On the server a step is such a round: k = t from 1, total = rounds. Central
 * training is one run of steps: k = t. */
typedef struct { double lr, lr_decay; uint64_t k, t, total; } fl_clock;
/* The rule uses v = ga*g + gb*y + gq[0]*q[0] + gq[1]*q[1], then y -= cd*drift, all in its one pass over y. */
typedef struct { const float *q[2], *drift; float ga, gb, gq[2]; double cd; } fl_mix;
typedef struct fl_rule {
  const char *name, *help; const fl_param *params; size_t n_params;
  double lr;                                    /* published step size, when a configuration gives none; 0: the run's default */
  /* "key other=value|value,stage NAME; ...": what such a key does, it does only with that value of another, or that stage; a key
   * that would do nothing is refused (needs.c). NULL: every key always acts. */
  const char *needs;
  /* NULL, or why this rule cannot run here. Called like a stage's setup; as_server: as the server's rule, which has no oracle. */
  const char *(*setup)(const double *h, const fl_job *, int as_server);
  int (*planned)(const double *h);              /* whether a step depends on clock.total; NULL: no */
  /* Floats; NULL = none. state lives for one run of steps; theta: the shareable second-order part (FedAdamW, FedMuon). */
  int block_means;                              /* theta is one mean a block of job.blocks */
  int lr_decay;                                 /* the weights decay by clock.lr_decay, not by clock.lr */
  size_t (*state)(const double *h, const fl_job *), (*work)(const double *h, const fl_job *),
      (*theta)(const double *h, const fl_job *);
  void (*start)(const double *h, fl_local *, const float *theta);     /* state for a new run; theta NULL: the initial one */
  void (*pack)(const double *h, const fl_local *, float *theta);      /* state -> theta */
  size_t (*packed)(const double *h, const fl_job *);                  /* floats of theta as it is sent; NULL: all of them */
  void (*step)(const double *h, fl_local *);                          /* y, state from g, mix, clock */
} fl_rule;

/* ---- stage: one layer of a run. Stage 0 is the method; every hook may be NULL: the empty stack is FedAvg, or the rule alone. */
typedef enum { FL_SERVER, FL_CLIENT, FL_UP, FL_WORK } fl_place;       /* FL_CLIENT persists by client id, starts at 0 */
enum { FL_DOWN = 1,                             /* SERVER slot that every sampled client receives */
       FL_EQUAL = 2, FL_OVER_N = 4,             /* UP weight 1/m, 1/N; default p_i */
       FL_DERIVED = 8,                          /* UP: sum_i w_i*scale_i*up[0] as sent, formed by the server: 0 bits, no vector */
       FL_FORMED = 16,                          /* UP: what the server could form of the other uploads: 0 bits */
       FL_ONCE = 32 };                          /* WORK of server hooks alone: one for the session, not one a thread */
/* NULL = d */
typedef struct { const char *name; fl_place place; unsigned flags; size_t (*floats)(const fl_job *, const double *h); } fl_slot;
typedef struct { float *v; size_t n; double scale; } fl_up;           /* scale preset 1 */

enum { FL_MAX_STAGES = 8, FL_MAX_SLOTS = 8, FL_MAX_PARAMS = 16, FL_MAX_MILESTONES = 16 };

/* one run of `steps` steps: a client's round, an epoch, or the server rule's step */
struct fl_local {
  const fl_job *job; const fl_kernels *k;
  const fl_oracle *oracle;                      /* NULL for the server rule */
  fl_clock clock; fl_mix mix; fl_key key;       /* key: what a rule draws from in this step (Sophia); purpose set by the rule */
  double clip;      /* clip: scale found by the loop for g (<= 1), folded into mix.ga by rules */
  float *y, *g, *state, *work;
  const float *start, *theta;                   /* where y began; what the state began from, NULL: the initial state */
  uint64_t steps; double lr, loss;              /* K_i; lr_r; mean over the steps */
  double effective_steps;                       /* step sizes of the run over lr: K_i, unless a stage lets them fall (restart) */
  int malicious;                                /* this client is one of those that the stack's `malicious` counts */
  int flipped;                                  /* set in client_start: the oracle's labels are classes - 1 - y */
  int visited;                                  /* this client had a round before: its FL_CLIENT slots are what it left there */
  uint64_t elements, unclipped;                 /* what a rule that clips its step by elements looked at, and left as it was */
  double seconds_gradient, seconds_optimizer;  /* thread-seconds, filled by the loop */
  double (*now)(void);                          /* the loop's clock, or NULL */
  int infinite;                                 /* a loss or a gradient's norm was not finite: the run has diverged */
  float **at;                                   /* the calling stage's slots by index (CLIENT, UP, WORK; SERVER read-only) */
  float *(*slots)[FL_MAX_SLOTS];                /* of every stage: where the loop takes `at` from */
  const fl_algorithm *schedule;                 /* not NULL: the lr of every step is fl_lr_at's (central, unit step) */
  fl_server *server;                            /* not NULL: y is x, and `after` follows every step (central, unit step) */
  fl_up *up; size_t n_up;                       /* uploads of all stages in stack order; up[0] is the model change */
  uint64_t down_bits;                           /* that the client received; preset 32 times x and the FL_DOWN slots */
  uint32_t id, position; uint64_t round; double weight;
  uint64_t moved;                               /* rounds before this one that moved x; 0: the server has no state yet */
};
struct fl_server {                              /* one round on the server, or x itself in central training */
  const fl_job *job; const fl_kernels *k;
  uint64_t round; double lr; size_t m;          /* m: realised cohort */
  fl_key key;                                   /* as fl_local's, of the client UINT32_MAX, who does not exist */
  uint64_t t;                                   /* moves of x so far: rounds; centrally steps or epochs, as `unit` says */
  uint64_t moved;                               /* of these rounds those that somebody came to, or that have fixed weights */
  float *x;                                     /* d + buffers */
  /* the calling stage's slots; in server_finish an UP slot holds the reduced vector; WORK slots are thread 0's */
  float **at;
  float *move;                                  /* preset to the reduced up[0]; the server rule then sees g = -move */
  const float *send;                            /* preset to x: where the clients begin; server_start may point it elsewhere */
  /* In combine: up[0] of the client at position p, as sent, is at sent + p*row, the server's own at p = m. share[p], preset to
   * the client's weight, is what every one of its uploads counts with; 0: rejected, nothing of it is read any more. */
  const float *sent; size_t row; double *share;
};
enum { FL_SETS_X = 1,                           /* x itself, of the clients' models: no other server rule or step, one a stack */
       FL_NORMALISES = 2,                       /* up[0] is sent divided by something: nobody else may read it as Delta_i */
       FL_FALLS = 4,                            /* the step size changes inside a round */
       FL_BY_SAMPLES = 8,                       /* clients weigh by samples unless the configuration says (adaptive 0.5) */
       /* Clients weigh 1/job.expected, however many a round has (flat-private 12: Poisson); a round without any still has its
        * server hooks called, with uploads of 0. */
       FL_FIXED_WEIGHTS = 16,
       FL_IN_PARTS = 32,                        /* up[0] is sent in part: nobody else may read, change or weigh it */
       FL_EDITS = 64 };                         /* client_finish changes up[0]: stages before it have seen another one */
typedef struct fl_stage {
  const char *name, *help; const fl_param *params; size_t n_params;
  const fl_slot *slot; size_t n_slots;
  const char *needs;                            /* as a rule's */
  /* NULL, or why this stack / rule / data cannot run: key, value, what is allowed (fl_why). Called with the algorithm alone (job:
   * rule and stages, layout NULL) when a configuration is read, and by fl_check and fl_open with all of the job. */
  const char *(*setup)(const double *h, const fl_job *);
  size_t terms, drifts;                         /* terms of the mix (q) and drifts that the stage takes: 2 and 1 are there */
  size_t (*terms_of)(const double *h);          /* terms, where they depend on the parameters */
  unsigned acts;                                /* what it does that others must know */
  void (*server_start)(const double *h, fl_server *);   /* before the clients of a round: at[] has the SERVER slots */
  void (*client_start)(const double *h, fl_local *);    /* y = send, mix = plain, clock.lr = lr_r; change what differs. The rule
                                                           then starts from lo->theta */
  void (*client_finish)(const double *h, fl_local *);   /* up[0] = y - start is there already; fill the other uploads */
  /* The bits that a client sends, `position` its place in the draw: *change is the model's change (preset to 32 a float, or what
   * a stage before said), own[i] the UP slot i (preset to 32 a float). What a run counts and what a plan says. */
  void (*message)(const double *h, const fl_job *, uint32_t client, size_t position, uint64_t *change, uint64_t *own);
  /* With all uploads at hand: how much each counts (robust rules); one a stack. The session keeps m uploads for it, which its
   * server_finish sees, too. at[]: SERVER and WORK slots. */
  void (*combine)(const double *h, fl_server *);
  void (*server_finish)(const double *h, fl_server *);  /* states, move */
  /* How many clients of the population are malicious (drawn from the seed); one a stack. How many samples the server holds itself
   * (drawn from all clients'): in every round they are trained on as a client's are, number job.clients, for combine alone. */
  size_t (*malicious)(const double *h, const fl_job *), (*own)(const double *h, const fl_job *);
  /* What a step is made of, on clients and in central training. */
  void (*before_step)(const double *h, fl_local *);     /* the batch is drawn: change clock.lr, the mix (for this step), y */
  double (*grad)(const double *h, fl_local *);          /* makes g, returns the loss, in place of the oracle at y; one a stack */
  /* What becomes of x. */
  void (*after)(const double *h, fl_server *);          /* x has moved for the t-th time; also once at the start, with t = 0 */
  const float *(*model)(const double *h, const fl_server *); /* d + buffers floats that are evaluated and saved as the result in
                                                           place of x, NULL: x; one a stack */
  /* The noise multiplier of a round, by which the session accounts for privacy, and the delta at which epsilon is told; 0: there
   * is no guarantee (federated-flat-private 17). */
  double (*privacy)(const double *h, const fl_job *, double *delta);
} fl_stage;

struct fl_job {                                 /* fixed for the run */
  const fl_layout *layout; size_t clients; uint64_t rounds, local_steps; /* local_steps: K of the largest client */
  int central;                                  /* one model on all data: rounds are epochs, local_steps the steps of one */
  uint64_t moves;                               /* of x in the whole run, as fl_server.t counts them */
  size_t samples; double server_lr;             /* of all clients together */
  double expected;                              /* clients in a round: m; of Poisson sampling participation*clients */
  int poisson;                                  /* clients are sampled each by itself */
  size_t cohort;                                /* the most clients that a round has */
  const fl_rule *rule, *server_rule; const double *h_rule, *h_server;
  const fl_stage *stage[FL_MAX_STAGES]; const double *h_stage[FL_MAX_STAGES]; size_t n_stages;
  int sampled_labels, flipped_labels;           /* the objective offers sampled_grad, flipped_grad */
  double adapter_scale;                         /* the objective's */
  fl_blocks blocks;                             /* block_rule's partition of the flat vector */
  char *why;                                    /* where fl_why writes, FL_WHY bytes */
};
enum { FL_WHY = 400 };
/* How many terms of the mix a stage takes. */
static inline size_t fl_terms_of(const fl_stage *s, const double *h) { return s->terms_of ? s->terms_of(h) : s->terms; }
/* What a setup returns: the text, printed into the job's room for it. */
const char *fl_why(const fl_job *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One more term of the mix: weight*q joins the gradient (the job was refused if there are too many). */
void fl_mix_add(fl_local *, const float *q, double weight);
/* A proximal term: mu*(y - start) joins the gradient; one term of the mix. */
void fl_mix_pull(fl_local *, double mu);
/* Floats of a slot that holds all of x: d + buffers. */
size_t fl_whole_floats(const fl_job *, const double *h);
/* next, before_step, grad, clip, rule->step, after for the `steps` steps from clock.k + 1 on: the only training loop. clip_norm
 * infinite = off. clock: monotonic seconds, NULL = untimed. */
void fl_local_run(fl_local *, double clip_norm, int clip_late, double (*clock)(void));
/* A gradient that a rule asks for inside its step: its time is the gradient's, not the optimizer's. */
double fl_ask_more(fl_local *, const fl_ask *, float *g);
/* The rule's one pass: calls `plain` on blocks of 1,024 elements with the mixed gradient, then the drift. For element-wise
 * rules. */
typedef void fl_plain_step(void *arg, const fl_local *, size_t offset, size_t n, float *y, const float *v);
void fl_mixed_step(fl_local *, size_t offset, size_t n, fl_plain_step *plain, void *arg);
/* Blocks of a layout: "head" | "neuron" | "tensor" | "full" (federated-adaptive 13). Returns the count; out may be NULL. */
size_t fl_blocks_of(const fl_layout *, int block_rule, fl_run *out);

/* ---- catalogue.c: everything by name ------------------------------------------------------------------------------------ */
size_t fl_rule_count(void), fl_stage_count(void), fl_method_count(void);
const fl_rule *fl_rule_at(size_t); const fl_stage *fl_stage_at(size_t);
/* A published method: a stack of stages over a rule with that paper's defaults. stack: names joined by '+', "" for none. */
typedef struct { const char *name, *stack, *rule, *defaults, *weights, *source; } fl_method; /* defaults "key=value,key=value" */
const fl_method *fl_method_at(size_t);

/* Hyper-parameters of every method: index into fl_algorithm.h_run. */
enum { FL_H_LR, FL_H_LR_SCHEDULE, FL_H_LR_DECAY, FL_H_LR_MIN, FL_H_STEP_GAMMA, FL_H_STEP_SIZE, FL_H_MILESTONES, FL_H_WARMUP,
       FL_H_LR_OFFSET, FL_H_UNIT, FL_H_CLIP_NORM, FL_H_CLIP, FL_H_SERVER_LR, FL_H_WEIGHTS, FL_H_BLOCK_RULE, FL_H_COUNT };
extern const fl_param fl_run_params[FL_H_COUNT];

struct fl_algorithm {
  char name[64], label[96];                     /* method's name ("custom" for a stack); label: as in tables */
  const fl_rule *rule, *server_rule;
  const fl_stage *stage[FL_MAX_STAGES]; size_t n_stages;
  double h_run[FL_H_COUNT], h_rule[FL_MAX_PARAMS], h_server[FL_MAX_PARAMS], h_stage[FL_MAX_STAGES][FL_MAX_PARAMS];
  double milestone[FL_MAX_MILESTONES];          /* as many as h_run[FL_H_MILESTONES] says */
};
/* From settings: name = METHOD, or stack = "a+b" and rule = R; server_rule = R; then any parameter of the run, the rule, the
 * stages, and the server rule (its own names with server_ before).
 * Returns 0, or -1 with one message in err that names key, value, what is allowed, and the nearest valid name. */
int fl_algorithm_build(const fl_setting *, size_t n, fl_algorithm *out, char *err, size_t err_size);
/* All parameters as resolved, in order: calls each(self, key, value as text: choices by name, numbers with %.17g
 * and a point in any locale). */
void fl_algorithm_each(const fl_algorithm *, void (*each)(void *self, const char *key, const char *value, int is_number),
                       void *self);
/* 0, or -1 and why the job cannot run: its rule, its server rule, a stage, or two stages that exclude each other. */
int fl_job_refuse(const fl_job *, char *err, size_t err_size);
/* The same of an algorithm that is not in a job yet. central: in central training, which has no clients and no server. */
int fl_algorithm_refuse(const fl_algorithm *, int central, char *err, size_t err_size);
/* The rule's hyper-parameter of that name; 0 when it has none. */
double fl_of_rule(const fl_job *, const char *name);
/* The first stage behind this one that changes up[0] before it is sent; NULL: what it left or saw there is sent. */
const fl_stage *fl_edited_after(const fl_job *, const char *stage);
/* Whether a key of an algorithm means anything in central training (else: in a federated run). */
int fl_key_applies(const char *key, int central);
/* ---- needs.c ---- */
/* 0, or -1 and what it would need: a setting that differs from `standard`, the algorithm without it, and would do nothing. */
int fl_setting_idle(const fl_algorithm *, const fl_algorithm *standard, const fl_setting *, char *err, size_t err_size);
/* What a key of a table with these needs depends on, "only with X = A or B" into out; 0: it always acts. */
int fl_needs_text(const char *needs, const char *key, char *out, size_t size);
extern const char fl_run_needs[];              /* of fl_run_params */
/* ---- schedule.c: lr of round, step or epoch t of `total`, from 0 (federated-adaptive 0.3, deep-first-order 20, 29); a pure
 * function. ---- */
/* Whether `unit` is the epoch where a configuration does not say. */
int fl_counts_epochs(const fl_algorithm *);
double fl_lr_at(const fl_algorithm *, uint64_t t, uint64_t total);
/* Whether a move of x is a step, not a round or epoch: what schedules, warm-up and averages count. */
int fl_counts_steps(const fl_algorithm *, int central);
/* 0, or -1 and what the schedule lacks. moves: of x in the whole run, 0 while that is not known. */
int fl_schedule_refuse(const fl_algorithm *, int central, uint64_t moves, char *why, size_t size);
int fl_milestones_read(const fl_setting *, fl_algorithm *, char *err, size_t err_size);
void fl_milestones_text(const fl_algorithm *, char *out, size_t size);
#ifdef __cplusplus
}
#endif
#endif
