/* config_keys.c - see config_keys.h. */
#include "config_keys.h"
#include <stddef.h>
#include <string.h>

#define FED(field) offsetof(fl_config, field)
static const fl_key_entry federated_keys[] = {
  { { "clients", 100, 1, 4294967295.0, NULL, "clients that the training data is divided among", FL_WHOLE }, FL_KEY_SIZE,
    FED(clients) },
  { { "participation", 0.1, 0, 1, NULL, "part of the clients in a round: m = max(1, floor(clients*participation))", FL_ABOVE },
    FL_KEY_REAL, FED(participation) },
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
  { { "time_budget", 0, 0, 1e9, NULL, "seconds of training (evaluation not counted) after which a run stops; 0: none", 0 },
    FL_KEY_REAL, FED(time_budget) },
  { { "stop_at_target", 0, 0, 1, "no|yes", "stop a run at target_accuracy", 0 }, FL_KEY_FLAG, FED(stop_at_target) },
  { { "checkpoint_seconds", 10, 0, 1e9, NULL, "seconds between checkpoints, besides the one at the end; 0: after every round",
      0 }, FL_KEY_REAL, FED(checkpoint_seconds) },
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
  { { "time_budget", 0, 0, 1e9, NULL, "seconds of training (evaluation not counted) after which a run stops; 0: none", 0 },
    FL_KEY_REAL, FED(time_budget) },
  { { "stop_at_target", 0, 0, 1, "no|yes", "stop a run at target_accuracy", 0 }, FL_KEY_FLAG, FED(stop_at_target) },
  { { "checkpoint_seconds", 10, 0, 1e9, NULL, "seconds between checkpoints, besides the one at the end; 0: after every epoch",
      0 }, FL_KEY_REAL, FED(checkpoint_seconds) },
};
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
  { "model", "network (fedlane list models)" },
  { "backend", "who computes the matrix products (also --backend): native, or onednn, whose bits are not promised; default "
               "native" },
  { "federated", "clients, rounds, batches, evaluation, limits; without this block a run is central" },
  { "training", "central training, one model on all data: epochs, batches, evaluation, limits" },
  { "algorithms", "list of methods: a name, {name, parameters}, or {stack: [stages], rule, server_rule, parameters}; central: "
                  "{stack, rule, parameters}" },
};
const size_t fl_top_key_count = sizeof fl_top_keys / sizeof *fl_top_keys;
const fl_key_help fl_data_keys[] = {
  { "name", "a known set (fedlane list datasets); beside format: what results call the set" },
  { "format", "idx or npz, with train" },
  { "train", "images file, folder or prefix (idx), or the file (npz); relative to the configuration's folder" },
  { "test", "the same of the test rows (idx; npz has them inside)" },
  { "validation", "part of the training rows that replaces the test set, to choose parameters by; 0 to below 1, default 0" },
};
const size_t fl_data_key_count = sizeof fl_data_keys / sizeof *fl_data_keys;
