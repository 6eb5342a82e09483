/* config_keys.c - see config_keys.h. */
#include "config_keys.h"
#include <stddef.h>
#include <string.h>

#define FED(field) offsetof(fl_config, field)
/* Rows of both sections; each says round(s) or epoch(s). */
#define BUDGET_KEYS(round) \
  { { "time_budget", 0, 0, 1e9, NULL, "seconds of training (evaluation not counted) after which a run stops; 0: none", 0 }, \
    FL_KEY_REAL, FED(time_budget) }, \
  { { "stop_at_target", 0, 0, 1, "no|yes", "stop a run at target_accuracy", 0 }, FL_KEY_FLAG, FED(stop_at_target) }, \
  { { "checkpoint_seconds", 10, 0, 1e9, NULL, "seconds between checkpoints, besides the one at the end; 0: after every " round, \
      0 }, FL_KEY_REAL, FED(checkpoint_seconds) }
#define DIAGNOSTIC_KEYS(rounds) \
  { { "diagnostics", 0, 0, 0, FL_DIAGNOSTICS, "what is measured besides, one name or a list (docs/diagnostics.md)", FL_LIST }, \
    FL_KEY_SET, FED(diagnostics) }, \
  { { "diagnostics_every", 0, 0, 16777215, NULL, rounds " between two of them, a multiple of eval_every; 0: at every " \
      "evaluation", FL_WHOLE }, FL_KEY_SIZE, FED(diagnostics_every) }, \
  { { "diagnostics_rows", 0, 0, 4294967295.0, NULL, "training rows, evenly spaced, that gradient, sam_gap and sharpness look " \
      "at; 0: all", FL_WHOLE }, \
    FL_KEY_SIZE, FED(diagnostics_rows) }, \
  { { "gap_rho", 0.05, 0, 1e6, NULL, "length of the step of sam_gap", FL_ABOVE }, FL_KEY_REAL, FED(gap_rho) }, \
  { { "sharpness_steps", 20, 1, 1e6, NULL, "power iterations of sharpness, two gradients each", FL_WHOLE }, FL_KEY_SIZE, \
    FED(sharpness_steps) }, \
  { { "sharpness_step", 0.01, 0, 1e6, NULL, "distance of the points whose gradients sharpness compares", FL_ABOVE }, \
    FL_KEY_REAL, FED(sharpness_step) }
static const fl_key_entry federated_keys[] = {
  { { "clients", 100, 1, 4294967295.0, NULL, "clients that the training data is divided among", FL_WHOLE }, FL_KEY_SIZE,
    FED(clients) },
  { { "participation", 0.1, 0, 1, NULL, "part of the clients in a round: m = max(1, floor(clients*participation))", FL_ABOVE },
    FL_KEY_REAL, FED(participation) },
  { { "sampling", FL_SAMPLE_UNIFORM, 0, 0, "uniform|poisson|fixed", "who is drawn: m without replacement; each client by itself "
      "with chance participation (a round may be empty); the m of the first round in every round", 0 }, FL_KEY_CHOICE,
    FED(partial.sampling) },
  { { "availability", FL_AVAILABLE_ALWAYS, 0, 0, "always|bernoulli|periodic", "who can be drawn in a round: everybody; each with "
      "a chance; each in a part of a period whose phase is its own", 0 }, FL_KEY_CHOICE, FED(partial.availability) },
  { { "available_part", 0.5, 0, 1, NULL, "chance that a client is there, or its part of the period (with availability)",
      FL_ABOVE }, FL_KEY_REAL, FED(partial.available_part) },
  { { "available_period", 24, 2, 1e6, NULL, "rounds of a period (with availability: periodic)", FL_WHOLE }, FL_KEY_U64,
    FED(partial.available_period) },
  { { "client_dropout", 0, 0, 1, NULL, "chance that a drawn client sends nothing: the others' weights add up to 1, its state "
      "stays", 0 }, FL_KEY_REAL, FED(partial.dropout) },
  { { "stragglers", 0, 0, 1, NULL, "chance that a client does less in a round than the others (1: unequal work of all)", 0 },
    FL_KEY_REAL, FED(partial.stragglers) },
  { { "straggler_unit", FL_STRAGGLE_EPOCHS, 0, 0, "epochs|steps", "what straggler_min and straggler_max count", 0 },
    FL_KEY_CHOICE, FED(partial.straggler_unit) },
  { { "straggler_min", 1, 1, 1e9, NULL, "a straggler does so much, or more up to straggler_max, all equally likely", FL_WHOLE },
    FL_KEY_U64, FED(partial.straggler_min) },
  { { "straggler_max", 0, 0, 1e9, NULL, "see straggler_min; 0: as much as the others do", FL_WHOLE }, FL_KEY_U64,
    FED(partial.straggler_max) },
  { { "rounds", 30, 1, 16777215, NULL, "rounds of communication", FL_WHOLE }, FL_KEY_U64, FED(rounds) },
  { { "local_epochs", 1, 1, 1e6, NULL, "epochs of a client in a round", FL_WHOLE }, FL_KEY_SIZE, FED(local_epochs) },
  { { "local_steps", 0, 0, 1e9, NULL, "at most so many steps of a client in a round; 0: no cap", FL_WHOLE }, FL_KEY_SIZE,
    FED(local_steps) },
  { { "batch_size", 50, 1, 1e6, NULL, "rows of a batch; the last batch of an epoch is partial", FL_WHOLE }, FL_KEY_SIZE,
    FED(batch_size) },
  { { "eval_every", 1, 0, 16777215, NULL, "rounds between evaluations on the test rows; 0: only after the last round", FL_WHOLE },
    FL_KEY_SIZE, FED(eval_every) },
  { { "target_accuracy", 0, 0, 1, NULL, "accuracy (0..1) whose first round and second are reported; 0: none", 0 }, FL_KEY_REAL,
    FED(target_accuracy) },
  BUDGET_KEYS("round"),
  { { "client_state_memory", 1024, 0, 1e9, NULL, "MiB of client states (SCAFFOLD's c_i ...) beyond which they go to states.bin "
      "in the run's folder; changes no bit", 0 }, FL_KEY_REAL, FED(client_state_memory) },
  DIAGNOSTIC_KEYS("rounds"),
};
/* An epoch is a round of one client that holds everything. */
static const fl_key_entry training_keys[] = {
  { { "epochs", 5, 1, 16777215, NULL, "passes over the training rows", FL_WHOLE }, FL_KEY_U64, FED(rounds) },
  { { "batch_size", 50, 1, 1e6, NULL, "rows of a batch; the last batch of an epoch is partial", FL_WHOLE }, FL_KEY_SIZE,
    FED(batch_size) },
  { { "epoch_steps", 0, 0, 1e9, NULL, "at most so many steps of an epoch; 0: no cap", FL_WHOLE }, FL_KEY_SIZE, FED(local_steps) },
  { { "eval_every", 1, 0, 16777215, NULL, "epochs between evaluations on the test rows; 0: only after the last epoch", FL_WHOLE },
    FL_KEY_SIZE, FED(eval_every) },
  { { "target_accuracy", 0, 0, 1, NULL, "accuracy (0..1) whose first epoch and second are reported; 0: none", 0 }, FL_KEY_REAL,
    FED(target_accuracy) },
  BUDGET_KEYS("epoch"),
  DIAGNOSTIC_KEYS("epochs"),
};
/* Keys that came after the first results: at their defaults they are not named in a resolved configuration, whose run_id stays.
 * needs: the key without which they do nothing, and its values ("": any but the default). */
static const struct { const char *name, *needs, *values; } later[] = {
  { "sampling", NULL, NULL }, { "availability", NULL, NULL }, { "available_part", "availability", "" },
  { "available_period", "availability", "periodic" }, { "client_dropout", NULL, NULL }, { "stragglers", NULL, NULL },
  { "straggler_unit", "stragglers", "" }, { "straggler_min", "stragglers", "" }, { "straggler_max", "stragglers", "" },
};
enum { N_LATER = sizeof later / sizeof *later };
static size_t find_later(const char *key) {
  size_t i = 0;
  while (i < N_LATER && strcmp(later[i].name, key)) i++;
  return i;
}
int fl_key_is_later(const char *key) { return find_later(key) < N_LATER; }
double fl_key_get(const fl_key_entry *k, const fl_config *c) {
  const char *field = (const char *)c + k->offset;
  switch (k->kind) {
    case FL_KEY_REAL: return *(const double *)(const void *)field;
    case FL_KEY_SIZE: return (double)*(const size_t *)(const void *)field;
    case FL_KEY_U64: return (double)*(const uint64_t *)(const void *)field;
    default: return (double)*(const int *)(const void *)field;
  }
}
/* Whether the value of a choice, by its index, is that name. */
static int has_value(const char *choices, int index, const char *value) {
  for (; index > 0; index--) choices = strchr(choices, '|') + 1;
  const size_t n = strcspn(choices, "|");
  return strlen(value) == n && !strncmp(choices, value, n);
}
const char *fl_key_idle(const fl_section_keys *own, const fl_config *run, char *needs, size_t size) {
  for (size_t i = 0; i < own->n; i++) {
    const fl_key_entry *k = &own->key[i], *other = own->key;
    const size_t l = find_later(k->param.name);
    const unsigned of = k->kind == FL_KEY_SET ? 0 : fl_key_needs(k->param.name);
    if (of && fl_key_get(k, run) != k->param.def && !(run->diagnostics & of)) {
      char names[80];
      fl_key_set_text(FL_DIAGNOSTICS, of, " or ", names, sizeof names);
      snprintf(needs, size, "diagnostics: %s", names);
      return k->param.name;
    }
    if (l == N_LATER || !later[l].needs || fl_key_get(k, run) == k->param.def) continue;
    while (strcmp(other->param.name, later[l].needs)) other++;
    const double v = fl_key_get(other, run);
    if (*later[l].values ? has_value(other->param.choices, (int)v, later[l].values) : v != other->param.def) continue;
    snprintf(needs, size, "%s%s%s", later[l].needs, *later[l].values ? " = " : "", later[l].values);
    return k->param.name;
  }
  return NULL;
}
const fl_section_keys *fl_section_of(int central) {
  static const fl_section_keys section[2] = {
    { "federated", federated_keys, sizeof federated_keys / sizeof *federated_keys },
    { "training", training_keys, sizeof training_keys / sizeof *training_keys } };
  return &section[central != 0];
}
const char *fl_section_with(const char *key, int central) {
  const fl_section_keys *own = fl_section_of(central);
  for (size_t i = 0; i < own->n; i++)
    if (!strcmp(key, own->key[i].param.name)) return own->name;
  for (size_t i = 0; i < FL_H_COUNT; i++)
    if (!strcmp(key, fl_run_params[i].name)) return "algorithms";
  for (size_t r = 0; r < fl_rule_count(); r++)
    for (size_t i = 0; i < fl_rule_at(r)->n_params; i++)
      if (!strcmp(key, fl_rule_at(r)->params[i].name)) return "algorithms";
  for (size_t p = 0; p < fl_partitioner_count(); p++)
    for (size_t i = 0; i < fl_partitioner_at(p)->n_params; i++)
      if (!strcmp(key, fl_partitioner_at(p)->params[i].name)) return "partition";
  return NULL;
}
const fl_key_help fl_top_keys[] = {
  { "seeds", "list of seeds, one run each (also --seeds); default [1]" },
  { "data", "data set: a known name, or {format, train, test}" },
  { "partition", "how the training rows are divided among clients: a partitioner's name, or {name, seed, and its parameters}" },
  { "model", "network (fedlane list models), FILE.yaml, or {name, blocks, layers} (docs/add-a-model.md)" },
  { "init", "parameters to begin from, in place of random ones: a safetensors file with the model's tensors (of a model with "
            "adapters, with those or without); default none" },
  { "backend", "who computes products, convolutions, pools and norms (also --backend): native, or onednn, whose bits are not "
               "promised; default native" },
  { "federated", "clients, rounds, batches, evaluation, limits; without this block a run is central" },
  { "training", "central training, one model on all data: epochs, batches, evaluation, limits" },
  { "published", "a CSV of published figures that `fedlane report` joins (docs/results.md); relative to the configuration's "
                 "folder" },
  { "tune", "search for parameters (fedlane tune): trials, space, validation, metric, seed" },
  { "plugins", "shared objects with rules, stages and methods of your own (also --plugin; docs/add-a-method.md); relative to the "
               "configuration's folder" },
  { "algorithms", "list of methods: a name, {name, parameters}, or {stack: [stages], rule, server_rule, parameters}; central: "
                  "{stack, rule, parameters}" },
};
const size_t fl_top_key_count = sizeof fl_top_keys / sizeof *fl_top_keys;
const fl_key_help fl_data_keys[] = {
  { "name", "a known set (fedlane list datasets); beside format: what results call the set" },
  { "format", "idx, npz, npy, cifar10, cifar100, libsvm, text or sentences, with train (docs/data.md); alpha_beta or blobs, "
    "which are made; or synthetic: clients of a population, made when they are drawn, no partition" },
  { "train", "images file, folder or prefix (idx), the file (npz, libsvm, text, sentences), the folder of the arrays (npy) or of "
    "the binary version (cifar10, cifar100); relative to the configuration's folder" },
  { "test", "the same of the test rows (idx, libsvm, text, sentences; the others have them inside)" },
  { "validation", "part of the training rows that replaces the test set, to choose parameters by; 0 to below 1, default 0" },
  { "validation_from", "what validation takes its part of: rows (all of them, before they are divided; default), or clients "
                       "(of each, after that)" },
  { "scaling", "inputs from pixels: standard (minus the set's mean, over its deviation; default), unit (0 to 1), symmetric "
               "(-1 to 1)" },
  { "augment", "what training rows of pixels go through when they are drawn: none (default), crop (4 pixels of padding, a random "
               "part of the old size), flip (a random half is mirrored), crop_flip" },
};
const fl_key_help fl_tune_keys[] = {
  { "trials", "of every method, whatever its space; 1 to 10000" },
  { "space", "what is tried: `algorithms.KEY`, of every method that has the key, or `algorithms.METHOD.KEY`, of that one in its "
             "place; a list of values, {log: [lo, hi]} or {linear: [lo, hi]}, with `points: N` (evenly spaced, both ends "
             "included) or without (drawn), and `whole: yes`" },
  { "validation", "part of each client's training rows (centrally: of all) that the choice goes by; above 0 to below 1, default "
                  "0.1; not beside `data.validation`, which is used as it is" },
  { "metric", "accuracy (mean of the last 5 evaluations; default), best_accuracy, or loss (of the last evaluation)" },
  { "seed", "of the draws; 0 to 2^53, default 1" },
};
const size_t fl_tune_key_count = sizeof fl_tune_keys / sizeof *fl_tune_keys;
const fl_format_key fl_format_keys[] = {
  { "synthetic|alpha_beta|blobs", { { "seed", 1, 0, 9007199254740992.0, NULL, "of what is made; every seed of a run sees the "
    "same", FL_WHOLE }, FL_KEY_U64, FED(data_options.seed) } },
  { "synthetic", { { "min_samples", 1, 1, 1e6, NULL, "of a client; sizes up to max_samples are equally likely", FL_WHOLE },
    FL_KEY_SIZE, FED(population.min_samples) } },
  { "synthetic", { { "max_samples", 200, 1, 1e6, NULL, "see min_samples", FL_WHOLE }, FL_KEY_SIZE,
    FED(population.max_samples) } },
  { "synthetic", { { "label_skew", 0.5, 0, 1, NULL, "chance that a sample has its client's favourite class", 0 }, FL_KEY_REAL,
    FED(population.label_skew) } },
  { "cifar100", { { "labels", 0, 0, 1, "fine|coarse", "classes: the 100 fine ones, or the 20 coarse ones of five each", 0 },
    FL_KEY_CHOICE, FED(data_options.coarse) } },
  { "libsvm", { { "index_base", FL_INDEX_AUTO, 0, 0, FL_INDEX_CHOICES, "first index: zero, one, or auto (zero if an index is 0)",
    0 }, FL_KEY_CHOICE, FED(data_options.index_base) } },
  { "text|sentences", { { "length", 80, 1, 65536, NULL, "positions of a row: characters, or bytes of a sentence, which is cut or "
    "filled up with 0", FL_WHOLE }, FL_KEY_SIZE, FED(data_options.length) } },
  { "text", { { "stride", 0, 0, 1e9, NULL, "characters between the beginnings of two rows; 0: as many as length", FL_WHOLE },
    FL_KEY_SIZE, FED(data_options.stride) } },
  { "text", { { "predict", FL_PREDICT_EVERY, 0, 0, FL_PREDICT_CHOICES, "labels: the next character of every position, or of the "
    "last one", 0 }, FL_KEY_CHOICE, FED(data_options.predict) } },
  { "text", { { "clients", 0, 0, 1, "none|speakers", "clients for partition natural: who speaks (a line 'NAME:' after an empty "
    "one)", 0 }, FL_KEY_FLAG, FED(data_options.speakers) } },
  { "text|alpha_beta|blobs", { { "test_part", 0, 0, 1, NULL, "so much of the text or the rows, at the end (of each speaker's, "
    "user's), is for testing", FL_BELOW }, FL_KEY_REAL, FED(data_options.test_part) } },
  { "alpha_beta", { { "users", 30, 1, 1e6, NULL, "natural clients", FL_WHOLE }, FL_KEY_SIZE, FED(data_options.users) } },
  { "alpha_beta", { { "alpha", 1, 0, 1e6, NULL, "deviation between users of how labels follow from features", 0 }, FL_KEY_REAL,
    FED(data_options.alpha) } },
  { "alpha_beta", { { "beta", 1, 0, 1e6, NULL, "deviation between users of the features", 0 }, FL_KEY_REAL,
    FED(data_options.beta) } },
  { "alpha_beta", { { "iid", 0, 0, 1, "no|yes", "all users alike; alpha and beta do nothing", 0 }, FL_KEY_FLAG,
    FED(data_options.iid) } },
  { "blobs", { { "rows", 1000, 2, 1e9, NULL, "as many of each class", FL_WHOLE }, FL_KEY_SIZE, FED(data_options.rows) } },
  { "blobs", { { "features", 2, 1, 1e6, NULL, "numbers of a row", FL_WHOLE }, FL_KEY_SIZE, FED(data_options.features) } },
  { "blobs", { { "classes", 3, 2, 65536, NULL, "blobs; their centres are uniform in -10 to 10", FL_WHOLE }, FL_KEY_SIZE,
    FED(data_options.classes) } },
  { "blobs", { { "spread", 1, 0, 1e6, NULL, "deviation of a blob", 0 }, FL_KEY_REAL, FED(data_options.spread) } },
};
const size_t fl_format_key_count = sizeof fl_format_keys / sizeof *fl_format_keys;
int fl_format_has(const fl_format_key *k, const char *format) {
  const size_t n = strlen(format);
  for (const char *at = k->formats; *at; at += strcspn(at, "|"), at += *at == '|')
    if (strcspn(at, "|") == n && !strncmp(at, format, n)) return 1;
  return 0;
}
const size_t fl_data_key_count = sizeof fl_data_keys / sizeof *fl_data_keys;

const fl_net *fl_net_named(const char *where, const char *name, fl_net_sized *room, char *err, size_t size) {
  const char *names[64];
  size_t n = fl_net_count() < 60 ? fl_net_count() : 60;
  for (size_t i = 0; i < n; i++) names[i] = fl_net_at(i)->name;
  names[n++] = "mlp_WIDTH_..._WIDTH", names[n++] = "NAME_direct";
  names[n++] = "NAME_loraRANK[_alphaALPHA][_on_PART[+PART..]]", names[n++] = "FILE.yaml";
  const fl_net *net = fl_net_find(name, room);
  if (!net) fl_unknown(where, "model", name, names, n, err, size);
  return net;
}
