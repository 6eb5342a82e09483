/* register.c - a program that links the library and registers a rule of its own: it trains to the bits of the built-in one by
 * name, and what is wrong is refused whole. */
#include <fedlane/plugin.h>
#include <fedlane/session.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { D = 37, SAMPLES = 40, CLIENTS = 4 };
static void fail(const char *what) {
  fprintf(stderr, "register: %s\n", what);
  exit(1);
}

/* ---- an objective: a distance to a target by sample ------------------------------------------------------------------------ */
static const fl_tensor tensor = { .name = "x", .role = FL_MATRIX, .ndim = 2, .shape = { 1, D }, .size = D };
static const fl_layout layout = { .n = 1, .d = D, .tensor = &tensor };
static void init(void *self, uint64_t seed, float *x) {
  (void)self, (void)seed;
  for (int i = 0; i < D; i++) x[i] = (float)(i % 5) - 2.0f;
}
static double loss_grad(void *self, const fl_kernels *k, const float *x, const uint32_t *index, size_t count, float *g,
                        void *work) {
  double loss = 0;
  (void)self, (void)k, (void)work;
  memset(g, 0, D * sizeof *g);
  for (size_t s = 0; s < count; s++)
    for (size_t i = 0; i < D; i++) {
      const float e = x[i] - (float)((index[s] * 31 + i * 7) % 13) / 6.0f;
      g[i] += e / (float)count;
      loss += 0.5 * e * e;
    }
  return loss / (double)count;
}

static void train(const char *rule, float *x) {
  static const fl_objective objective = { .name = "targets", .layout = &layout, .n = SAMPLES, .init = init,
                                          .loss_grad = loss_grad };
  const fl_setting settings[] = { { "rule", rule, "rule" }, { "lr", "0.1", "lr" } };
  uint32_t index[SAMPLES];
  size_t offset[CLIENTS + 1], n;
  fl_algorithm algorithm;
  fl_session *s;
  char err[1000];
  for (uint32_t i = 0; i < SAMPLES; i++) index[i] = i;
  for (size_t c = 0; c <= CLIENTS; c++) offset[c] = c * SAMPLES / CLIENTS;
  const fl_problem problem = { .objective = &objective, .clients = CLIENTS, .offset = offset, .index = index };
  const fl_options options = { .seed = 1, .rounds = 5, .participation = 0.5, .local_epochs = 1, .batch_size = 3, .threads = 2 };
  if (fl_algorithm_build(settings, 2, &algorithm, err, sizeof err)) fail(err);
  if (fl_open(&s, &problem, &algorithm, &options, err, sizeof err)) fail(err);
  if (fl_rounds(s, NULL, NULL) != 1) fail(fl_session_error(s));
  memcpy(x, fl_params(s, &n), D * sizeof *x);
  fl_close(s);
}

/* ---- rules ----------------------------------------------------------------------------------------------------------------- */
static void plain(void *arg, const fl_local *lo, size_t offset, size_t n, float *y, const float *v) {
  (void)arg, (void)offset;
  lo->k->sgd(n, y, v, 1.0f, (float)lo->clock.lr);
}
static void step(const double *h, fl_local *lo) {
  (void)h;
  fl_mixed_step(lo, 0, lo->job->layout->d, plain, NULL);
}
static const fl_rule right = { .name = "own_sgd", .help = "a copy of sgd", .step = step };

static void refused(const fl_catalogue *c, const char *told) {
  char err[1000] = "";
  const size_t before = fl_rule_count() + fl_stage_count() + fl_method_count();
  if (!fl_register(c, "a program", err, sizeof err) || !strstr(err, told) || strncmp(err, "a program: ", 11)) {
    fprintf(stderr, "told: '%s', not: '%s'\n", err, told);
    fail("not refused as it should be");
  }
  if (fl_rule_count() + fl_stage_count() + fl_method_count() != before) fail("a part of a refused catalogue has stayed");
}

static void refuse_all(void) {
  static const fl_param beta = { .name = "beta", .def = 1, .hi = 1, .help = "a decay", .flags = FL_BELOW },
                        lr = { .name = "lr", .hi = 1, .help = "taken" },
                        choice = { .name = "kind", .def = 2, .choices = "a|b", .help = "" };
  static const fl_slot slot = { "at_clients", FL_CLIENT, FL_DOWN, NULL };
  const fl_rule no_step = { .name = "own", .help = "" }, upper = { .name = "Own", .help = "", .step = step },
                range = { .name = "own", .help = "", .step = step, .params = &beta, .n_params = 1 },
                key = { .name = "own", .help = "", .step = step, .params = &lr, .n_params = 1 },
                chosen = { .name = "own", .help = "", .step = step, .params = &choice, .n_params = 1 },
                needs = { .name = "own", .help = "", .step = step, .needs = "beta beta=1" },
                taken = { .name = "sgd", .help = "", .step = step };
  const fl_stage hookless = { .name = "own", .help = "" }, slotted = { .name = "own", .help = "", .slot = &slot, .n_slots = 1 };
  const fl_method unknown[] = { { "own", "scaffoldd", "sgd", "", "equal", "" }, { "own", "", "sgd", "lr", "equal", "" },
                                { "own", "", "sgd", "", "half", "" }, { "fedavg", "", "sgd", "", "equal", "" } };
  const struct { const fl_rule *rule; const char *told; } wrong[] = {
    { NULL, "rule 1: no table" }, { &no_step, "rule 'own': no step" }, { &upper, "allowed: a to z" },
    { &range, "parameter 'beta': def = 1; allowed: a number from 0 to below 1" }, { &key, "parameter 'lr' is a key of every" },
    { &chosen, "def = 2 of the choices 'a|b'; allowed: an index, from 0 to 1" }, { &needs, "needs = 'beta beta=1'" },
    { &taken, "rule 'sgd' is there already" } };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    const fl_rule *both[] = { &right, wrong[i].rule };
    const int first = wrong[i].rule == NULL;    /* the others behind one that is right, which must not stay */
    refused(&(fl_catalogue){ .rule = both + first, .n_rules = first ? 1 : 2 }, wrong[i].told);
  }
  const fl_stage *stage[] = { &hookless, &slotted };
  refused(&(fl_catalogue){ .stage = stage, .n_stages = 1 }, "stage 'own': no hook that acts");
  refused(&(fl_catalogue){ .stage = stage + 1, .n_stages = 1 }, "slot 'at_clients': flags = 1; allowed: FL_DOWN of FL_SERVER");
  refused(&(fl_catalogue){ .method = unknown, .n_methods = 1 }, "did you mean 'scaffold'?");
  refused(&(fl_catalogue){ .method = unknown + 1, .n_methods = 1 }, "defaults = 'lr' at 'lr'");
  refused(&(fl_catalogue){ .method = unknown + 2, .n_methods = 1 }, "weights = 'half'; allowed: samples|equal");
  refused(&(fl_catalogue){ .method = unknown + 3, .n_methods = 1 }, "method 'fedavg' is there already");
  refused(&(fl_catalogue){ 0 }, "an empty catalogue");
  refused(&(fl_catalogue){ .n_rules = 1 }, "a count and no table");
}

int main(void) {
  static const fl_rule *const rules[] = { &right };
  float built_in[D], own[D];
  char err[1000];
  refuse_all();
  if (fl_register(&(fl_catalogue){ .rule = rules, .n_rules = 1 }, "a program", err, sizeof err)) fail(err);
  refused(&(fl_catalogue){ .rule = rules, .n_rules = 1 }, "rule 'own_sgd' is there already");
  train("sgd", built_in);
  train("own_sgd", own);
  if (memcmp(built_in, own, sizeof own)) fail("a copy of sgd has other bits");
  return 0;
}
