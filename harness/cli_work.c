/* cli_work.c - data set, partition, model and session of a run, kept from one run to the next. */
#include "cli.h"
#include "config_keys.h"
#include "config_net.h"
#include "safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *fl_human_bytes(double bytes, char out[32]) {
  static const char *const unit[] = { "B", "kB", "MB", "GB", "TB", "PB" };
  int u = 0;
  for (; bytes >= 1000 && u < 5; u++) bytes /= 1000;
  snprintf(out, 32, u && bytes < 100 ? "%.3g %s" : "%.0f %s", bytes, unit[u]);
  return out;
}

int fl_work_start(fl_work *w, const char *isa, int threads, char *err, size_t size) {
  const char *why = NULL;
  memset(w, 0, sizeof *w);
  w->native = fl_kernels_select(isa, &why);
  if (!w->native)
    return snprintf(err, size, "%s%s%s%s", isa ? "--isa '" : "", isa ? isa : "", isa ? "': " : "",
                    why ? why : "no instruction set can run here"), -1;
  w->threads = threads;
  w->not_reproducible = fl_kernels_self_test(w->native);
  return 0;
}

/* Before the first run: a suite must not end in the middle for want of a library. */
int fl_work_backends(fl_work *w, const fl_suite *suite, char *err, size_t size) {
  char why[2200];
  for (size_t i = 0; i < suite->n && !w->onednn; i++)
    if (suite->run[i].backend == FL_BACKEND_ONEDNN && !(w->onednn = fl_onednn_load(w->native, why, sizeof why)))
      return snprintf(err, size, "backend = 'onednn': %s; allowed here: native", why), -1;
  return 0;
}

const fl_onednn_backend *fl_work_backend(const fl_work *w, const fl_config *c) {
  return c->backend == FL_BACKEND_ONEDNN ? w->onednn : NULL;
}

const fl_kernels *fl_work_kernels(const fl_work *w, const fl_config *c) {
  const fl_onednn_backend *b = fl_work_backend(w, c);
  return w->counting ? w->counting : b ? &b->kernels : w->native;
}

static int is_made(const fl_config *c) { return !strcmp(c->data_format, "synthetic"); }

static int same_options(const fl_config *a, const fl_config *b) {
  for (size_t i = 0; i < fl_format_key_count; i++)
    if (fl_key_get(&fl_format_keys[i].key, a) != fl_key_get(&fl_format_keys[i].key, b)) return 0;
  return 1;
}

static int same_data(const fl_config *a, const fl_config *b) {
  if (is_made(a) && a->clients != b->clients) return 0;
  return !strcmp(a->data_name, b->data_name) && !strcmp(a->data_format, b->data_format) &&
      !strcmp(a->data_train, b->data_train) &&
         !strcmp(a->data_test, b->data_test) && a->validation == b->validation &&
         a->validation_from == b->validation_from && a->scaling == b->scaling && a->augment == b->augment && same_options(a, b);
}

static int same_split(const fl_config *a, const fl_config *b) {
  const fl_partition_config *p = &a->partition, *q = &b->partition;
  if (a->central || b->central) return a->central == b->central;
  return a->clients == b->clients && p->kind == q->kind && p->seed == q->seed && !strcmp(p->path, q->path) &&
      !memcmp(p->h, q->h, sizeof p->h);
}

static int same_model(const fl_config *a, const fl_config *b) {
  return !strcmp(a->model, b->model) && !strcmp(a->init_sha256, b->init_sha256) &&
         !a->net == !b->net && (!a->net || a->net == b->net || fl_net_same(a->net, b->net));
}

static void drop_model(fl_work *w) {
  if (w->model_of) fl_model_free(w->model);
  free(w->begin);
  w->begin = NULL;
  w->model_of = NULL;
}
static void drop_split(fl_work *w) {
  if (w->split_of) fl_split_free(&w->split);
  free(w->sigma);
  w->sigma = NULL;
  w->split_of = NULL;
}

/* A file of a model with adapters may have them, or the network's own tensors alone. */
static int begin_from(fl_work *w, const fl_net *net, const char *path, char *err, size_t size) {
  const fl_layout *own = fl_model_layout(w->model), *whole = fl_model_objective(w->model)->layout;
  fl_safetensors file;
  if (fl_safetensors_read(&file, path, err, size)) return -1;
  const int adapted = whole != own && json_object_get(file.header, whole->tensor[0].name);
  const fl_layout *l = adapted ? whole : own;
  w->begin = malloc((l->d + l->buffers) * sizeof *w->begin);
  if (!w->begin) snprintf(err, size, "out of memory for %zu parameters", l->d + l->buffers);
  const int bad = !w->begin || fl_safetensors_fill(&file, path, l, w->begin, err, size) ||
                  (adapted && fl_safetensors_alpha(&file, path, net, err, size));
  fl_safetensors_free(&file);
  if (bad) return -1;
  if (adapted) fl_model_begin_adapted(w->model, w->begin);
  else fl_model_begin(w->model, w->begin);
  return 0;
}

void fl_work_end(fl_work *w) {
  drop_model(w);
  drop_split(w);
  if (w->data_of) fl_dataset_free(&w->data);
  w->data_of = NULL;
}

int fl_work_prepare(fl_work *w, const fl_config *c, char *err, size_t size) {
  if (!w->data_of || !same_data(w->data_of, c)) {
    fl_work_end(w);
    if (is_made(c) && fl_population_open(&w->data, &c->population, c->clients, err, size)) return -1;
    if (is_made(c)) snprintf(w->data.name, sizeof w->data.name, "%s", c->data_name);
    const char *format = c->data_format[0] ? c->data_format : NULL;
    if (!is_made(c) && fl_dataset_load(&w->data, c->data_name, format, c->data_train[0] ? c->data_train : NULL,
                        c->data_test[0] ? c->data_test : NULL, &c->data_options, err, size)) return -1;
    if (!w->data.train.pixels && !w->data.population && (c->scaling != FL_SCALING_STANDARD || c->augment))
      return fl_dataset_free(&w->data), snprintf(err, size, "data.%s would do nothing; allowed: only with data of pixels",
                                                 c->augment ? "augment" : "scaling"), -1;
    w->data.train.augment = c->augment;
    fl_dataset_scale(&w->data, c->scaling);
    w->data_of = c;
    if (c->validation > 0 && c->validation_from == FL_VALIDATION_ROWS &&
        fl_dataset_holdout(&w->data, c->validation, err, size)) return -1;
  }
  if (!w->split_of || !same_split(w->split_of, c)) {
    drop_split(w);
    const fl_samples *t = &w->data.train;
    const fl_split_data d = fl_dataset_split(&w->data);
    if (w->data.population ? fl_population_split(w->data.population, &w->split, err, size)
        : c->central ? fl_split_whole(&w->split, t->n, err, size)
                     : fl_split_make(&w->split, &c->partition, c->clients, &d, err, size))
      return -1;
    w->split_of = c;
    if (c->validation_from == FL_VALIDATION_CLIENTS) {
      drop_model(w);                            /* it looks at the test rows that are replaced */
      if (fl_split_holdout(&w->split, &w->data, c->validation, err, size)) return drop_split(w), -1;
    }
    if (w->split.sigma && !t->pixels)
      return drop_split(w), snprintf(err, size, "partition %s: its noise is of pixels; allowed: data of pixels",
                                     c->partition.kind->name), -1;
    if (w->split.sigma) {
      if (!(w->sigma = malloc(t->n * sizeof *w->sigma))) return snprintf(err, size, "out of memory for %zu samples", t->n), -1;
      fl_split_noise(&w->split, w->sigma);
    }
  }
  if (c->target_accuracy > 0 && !w->data.test.n)
    return snprintf(err, size, "target_accuracy = %g; allowed: only with test rows, and data '%s' has none", c->target_accuracy,
                    w->data.name), -1;
  if (!w->model_of || !same_model(w->model_of, c)) {
    drop_model(w);
    fl_net_sized room;
    const fl_net *net = c->net ? c->net : fl_net_find(c->model, &room);
    w->model = fl_model_new(net, &w->data.train, w->data.test.n ? &w->data.test : NULL, w->data.mean,
                            w->data.std, err, size);
    if (!w->model) return -1;
    if (w->data.population) fl_model_make_rows(w->model, fl_population_row, w->data.population);
    w->model_of = c;
    if (c->init[0] && begin_from(w, net, c->init, err, size)) return drop_model(w), -1;
  }
  const fl_key key = fl_split_noise_key(&w->split);
  fl_model_noise(w->model, w->sigma, &key);
  return 0;
}

/* Opens the run's session, or with s NULL asks only whether it could be opened. What the configuration is to blame for comes with
 * its place in the file. */
static int open_or_check(fl_work *w, const fl_config *c, int threads, const char *states, fl_session **s, char *err,
                         size_t size) {
  if (fl_work_prepare(w, c, err, size)) return -1;
  const fl_problem p = { .objective = fl_model_objective(w->model), .clients = w->split.clients, .offset = w->split.offset,
                         .index = w->split.index, .samples = w->data.population ? fl_population_samples : NULL,
                         .self = w->data.population };
  const fl_options o = { .seed = c->seed, .rounds = c->rounds, .central = c->central, .participation = c->participation,
                         .partial = c->partial, .local_epochs = c->local_epochs, .local_steps = c->local_steps,
                         .batch_size = c->batch_size, .eval_every = c->eval_every, .threads = threads,
                         .diagnostics = c->diagnostics, .diagnostics_every = c->diagnostics_every,
                         .diagnostics_rows = c->diagnostics_rows, .gap_rho = c->gap_rho,
                         .sharpness_steps = c->sharpness_steps, .sharpness_step = c->sharpness_step,
                         .kernels = fl_work_kernels(w, c), .state_file = states,
                         .state_memory = (uint64_t)(c->client_state_memory * 1048576) };
  char why[FL_ERR - 1000];
  if (fl_check(&p, &c->algorithm, &o, why, sizeof why)) return snprintf(err, size, "%s: %s", c->where, why), FL_WORK_REFUSED;
  return s && fl_open(s, &p, &c->algorithm, &o, err, size) ? -1 : 0;
}

int fl_work_open(fl_work *w, const fl_config *c, int threads, const char *states, fl_session **s, char *err, size_t size) {
  return open_or_check(w, c, threads, states, s, err, size);
}

/* Before the first run: what the data, the model or the length of a run make impossible must not come up after hours. */
int fl_work_check(fl_work *w, const fl_suite *suite, char *err, size_t size) {
  char why[FL_ERR - 400];
  for (size_t i = 0; i < suite->n; i++) {
    const fl_config *c = &suite->run[i];
    const int bad = open_or_check(w, c, w->threads, NULL, NULL, why, sizeof why);
    if (bad) return snprintf(err, size, "%s (%s, seed %llu)", why, c->label, (unsigned long long)c->seed), bad;
  }
  return 0;
}
