/* partition.c - partitioners by name, their settings, index lists from owners. */
#include "harness/partition.h"
#include "harness/partition_kinds.h"
#include "models/model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALPHA(text) { "dirichlet_alpha", 0.5, 1e-3, 1e6, NULL, "concentration: " text, 0 }
#define CLASSES_PER_CLIENT { "classes_per_client", 2, 1, FL_MOST_CLASSES, NULL, "classes that a client holds", FL_WHOLE }
#define MIN_SIZE(what) { "min_size", 10, 1, 1e9, NULL, "samples of the smallest client; " what \
                         " drawn again until it holds", FL_WHOLE }
static const fl_param dirichlet_params[] = {
  ALPHA("small = few clients a class, large = iid"), MIN_SIZE("the whole partition is"),
  { "self_balancing", 1, 0, 1, "no|yes", "a client that holds n/N samples gets none of the classes that follow", 0 },
};
static const fl_param dirichlet_client_params[] = { ALPHA("small = few classes a client, large = iid") };
static const fl_param inner_dirichlet_params[] = {
  ALPHA("small = few classes a client, large = iid"),
  { "size_sigma", 0, 0, 10, NULL, "sizes are lognormal with this sigma, and sum to n; 0: all equal, n/N", 0 },
};
static const fl_param dirichlet_rounded_params[] = { ALPHA("small = few clients a class, large = iid") };
static const fl_param shard_params[] = {
  { "shards_per_client", 2, 0, 1e6, NULL, "shards of the samples sorted by label that a client gets; 0: all that there are",
    FL_WHOLE },
  { "shard_size", 0, 0, 1e9, NULL, "samples of a shard; 0: n/(N*shards_per_client)", FL_WHOLE },
  { "keep_incomplete_shard", 0, 0, 1, "no|yes", "the samples behind the last full shard are a shard too", 0 },
};
static const fl_param pathological_params[] = {
  CLASSES_PER_CLIENT,
  { "class_assignment_mode", 2, 0, 2, "random|deterministic|first-deterministic",
    "client i's classes: random distinct ones; i, i+1, ... modulo the classes; or i modulo the classes, others at random", 0 },
  { "equal_sizes", 0, 0, 1, "no|yes",
    "yes: every client draws n/N samples from its classes, samples may be shared; no: a class is cut among its owners", 0 },
};
static const fl_param distribution_params[] = {
  CLASSES_PER_CLIENT,
  { "preassigned_num_samples_per_label", 5, 0, 1e9, NULL, "samples of each of its classes that a client has at least", FL_WHOLE },
  { "rescale", 1, 0, 1, "no|yes", "yes: a row of the matrix is a class's shares; no: it is numbers of samples", 0 },
  { "lognormal_sigma", 2, 0, 10, NULL, "without path: the matrix is lognormal(0, sigma)", 0 },
};
static const fl_param group_params[] = {
  { "bias", 0.5, 0, 1, NULL, "probability that a sample goes to the group of its class; 1/classes: iid", 0 },
};
static const fl_param quantity_params[] = { ALPHA("small = a few clients have nearly all, large = equal sizes"),
                                            MIN_SIZE("sizes are") };
static const fl_param quantity_lognormal_params[] = {
  { "size_sigma", 0.5, 0, 10, NULL, "sigma of the sizes' logarithms; the sizes sum to n", FL_ABOVE },
};
static const fl_param continuous_params[] = {
  { "property", 0, 0, 1, "brightness|label", "what samples are sorted by: the sum of their pixels, or the label", 0 },
  { "strictness", 0.5, 0, 1, NULL, "weight of the property; the rest is noise: 0 = iid, 1 = sorted", 0 },
};
static const fl_param noise_params[] = {
  { "noise_sigma", 0.1, 0, 100, NULL,
    "client i's inputs get Gaussian noise of sigma*i/(N - 1), frozen by sample; of pixels scaled to 0..1", FL_ABOVE },
};

#define PARAMS(p) (p), sizeof(p) / sizeof *(p)
static const fl_partitioner partitioners[] = {
  { "iid", "a random permutation cut into near-equal parts", NULL, 0, NULL },
  { "dirichlet", "every class spread over clients by Dirichlet proportions, balanced, with a smallest size; disjoint",
    PARAMS(dirichlet_params), NULL },
  { "dirichlet_client", "every client draws n/N labels from its own Dirichlet proportions; equal sizes, samples may be shared",
    PARAMS(dirichlet_client_params), NULL },
  { "inner_dirichlet", "every client fills its size from its own Dirichlet proportions, while classes last; disjoint",
    PARAMS(inner_dirichlet_params), NULL },
  { "dirichlet_rounded", "round(q*n0) samples of every class, n0 the size of class 0; the rest is dropped, clients may be empty",
    PARAMS(dirichlet_rounded_params), NULL },
  { "shard", "samples sorted by label, cut into equal shards, a few shards a client", PARAMS(shard_params),
    "keep_incomplete_shard shards_per_client=0" },
  { "pathological", "exactly k classes a client; each class is cut among its owners, or drawn from with equal sizes",
    PARAMS(pathological_params), NULL },
  { "distribution", "k following classes a client, sizes by a matrix (path: JSON, {\"distribution\": a row a class}; else drawn)",
    PARAMS(distribution_params), "preassigned_num_samples_per_label rescale=yes" },
  { "group", "a group of clients for every class, to which its samples go with probability bias", PARAMS(group_params), NULL },
  { "linear", "iid, client i (from 1) has a part of the samples proportional to i", NULL, 0, NULL },
  { "square", "iid, client i (from 1) has a part of the samples proportional to i^2", NULL, 0, NULL },
  { "exponential", "iid, client i (from 1) has a part of the samples proportional to e^i", NULL, 0, NULL },
  { "quantity", "iid, sizes by one Dirichlet draw, with a smallest size", PARAMS(quantity_params), NULL },
  { "quantity_lognormal", "iid, lognormal sizes", PARAMS(quantity_lognormal_params), NULL },
  { "continuous", "sorted by a property of the sample, mixed with noise, cut into near-equal parts",
    PARAMS(continuous_params), NULL },
  { "noise", "iid, and inputs with Gaussian noise that grows with the client's number", PARAMS(noise_params), NULL },
  { "natural", "the clients that the data names (client_train, speakers), in ascending order of their numbers", NULL, 0, NULL },
  { "file", "index lists saved as JSON (path)", NULL, 0, NULL },
};
static fl_partition_kind *const make[] = {
  fl_partition_iid, fl_partition_dirichlet, fl_partition_dirichlet_client, fl_partition_inner_dirichlet,
  fl_partition_dirichlet_rounded, fl_partition_shard, fl_partition_pathological, fl_partition_distribution, fl_partition_group,
  fl_partition_linear, fl_partition_square, fl_partition_exponential, fl_partition_quantity, fl_partition_quantity_lognormal,
  fl_partition_continuous, fl_partition_iid, fl_partition_natural, NULL };
enum { COUNT = sizeof partitioners / sizeof *partitioners };

size_t fl_partitioner_count(void) { return COUNT; }
const fl_partitioner *fl_partitioner_at(size_t i) { return i < COUNT ? &partitioners[i] : NULL; }

/* ---- settings ------------------------------------------------------------------------------------------------------------ */
static const char *where_of(const fl_setting *s) { return s->where && *s->where ? s->where : "partition"; }

static int set_kind(const fl_setting *s, fl_partition_config *out, char *err, size_t size) {
  const char *names[COUNT];
  for (size_t i = 0; i < COUNT; i++) {
    names[i] = partitioners[i].name;
    if (!strcmp(s->value, names[i])) {
      out->kind = &partitioners[i];
      return 0;
    }
  }
  return fl_unknown(where_of(s), "partitioner", s->value, names, COUNT, err, size);
}

static int set_seed(const fl_setting *s, uint64_t *seed, char *err, size_t size) {
  /* 2^53, as of the run's seeds: every JSON reader gives such a number back. */
  static const fl_param p = { "seed", 0, 0, 9007199254740992.0, NULL, "", FL_WHOLE };
  const fl_setting at = { s->key, s->value, where_of(s) };
  double v;
  if (fl_param_read(&p, &at, &v, err, size)) return -1;
  *seed = (uint64_t)v;
  return 0;
}

static int set_path(const fl_setting *s, fl_partition_config *out, char *err, size_t size) {
  if (!*s->value || strlen(s->value) >= sizeof out->path) {
    snprintf(err, size, "%s: path = '%.64s%s'; allowed: a file name of 1 to %zu characters", where_of(s), s->value,
             strlen(s->value) > 64 ? "..." : "", sizeof out->path - 1);
    return -1;
  }
  strcpy(out->path, s->value);
  return 0;
}

static int is(const fl_partition_config *c, const char *name) { return !strcmp(c->kind->name, name); }

static int set_key(const fl_setting *s, fl_partition_config *out, char *err, size_t size) {
  const fl_partitioner *kind = out->kind;
  const int takes_path = is(out, "file") || is(out, "distribution");
  const char *names[FL_MAX_PARAMS + 3] = { "name", is(out, "file") ? "path" : "seed", "path" };
  const size_t fixed = 2 + is(out, "distribution");
  if (!strcmp(s->key, "name"))
    return 0;
  if (!strcmp(s->key, "seed")) /* harmless with a file: `name=file` may be set over a configuration that has a seed */
    return set_seed(s, &out->seed, err, size);
  if (takes_path && !strcmp(s->key, "path"))
    return set_path(s, out, err, size);
  for (size_t i = 0; i < kind->n_params; i++) {
    names[i + fixed] = kind->params[i].name;
    if (!strcmp(s->key, names[i + fixed])) {
      const fl_setting at = { s->key, s->value, where_of(s) };
      return fl_param_read(&kind->params[i], &at, &out->h[i], err, size);
    }
  }
  char what[64];
  snprintf(what, sizeof what, "key of partition %s", kind->name);
  return fl_unknown(where_of(s), what, s->key, names, kind->n_params + fixed, err, size);
}

/* The text of a parameter's value, as a condition in `needs` has it. */
static void value_text(const fl_partition_config *c, const char *key, char out[64]) {
  const fl_param *p = c->kind->params;
  while (strcmp(p->name, key))
    p++;
  const double v = c->h[p - c->kind->params];
  const char *choice = p->choices;
  for (int i = 0; choice && i < (int)v; i++)
    choice = strchr(choice, '|') + 1;
  if (choice)
    snprintf(out, 64, "%.*s", (int)strcspn(choice, "|"), choice);
  else
    snprintf(out, 64, "%.16g", v);
}

enum { RESCALE = 2 }; /* of distribution_params */
/* A key that would do nothing. */
static int refuse_idle(const fl_setting *s, const fl_partition_config *c, char *err, size_t size) {
  for (const char *p = c->kind->needs; p && *p; p += strcspn(p, ";"), p += strspn(p, "; ")) {
    char key[64], other[64], wanted[64], value[64];
    if (sscanf(p, "%63[^ ] %63[^=]=%63[^;]", key, other, wanted) != 3 || strcmp(key, s->key))
      continue;
    value_text(c, other, value);
    if (strcmp(value, wanted))
      return snprintf(err, size, "%s: %s = '%s'; allowed: only with %s = %s", where_of(s), key, s->value, other, wanted), -1;
  }
  if (is(c, "distribution") && *c->path && !strcmp(s->key, "lognormal_sigma"))
    return snprintf(err, size, "%s: lognormal_sigma = '%s'; allowed: only without path, whose matrix is taken", where_of(s),
                    s->value), -1;
  if (is(c, "distribution") && !*c->path && !strcmp(s->key, "rescale") && c->h[RESCALE] <= 0)
    return snprintf(err, size, "%s: rescale = '%s'; allowed: only with path, since the drawn matrix is no numbers of samples",
                    where_of(s), s->value), -1;
  return 0;
}

int fl_partition_build(const fl_setting *set, size_t n, fl_partition_config *out, char *err, size_t size) {
  memset(out, 0, sizeof *out);
  out->kind = &partitioners[0];
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < i; j++)
      if (!strcmp(set[i].key, set[j].key)) {
        snprintf(err, size, "%s: key '%s' given twice", where_of(&set[i]), set[i].key);
        return -1;
      }
    if (!strcmp(set[i].key, "name") && set_kind(&set[i], out, err, size))
      return -1;
  }
  for (size_t i = 0; i < out->kind->n_params; i++)
    out->h[i] = out->kind->params[i].def;
  for (size_t i = 0; i < n; i++)
    if (set_key(&set[i], out, err, size))
      return -1;
  for (size_t i = 0; i < n; i++)
    if (refuse_idle(&set[i], out, err, size))
      return -1;
  if (!strcmp(out->kind->name, "file") && !*out->path) {
    snprintf(err, size, "%s: 'path' is missing beside name = file", n ? where_of(&set[0]) : "partition");
    return -1;
  }
  return 0;
}

/* ---- lists --------------------------------------------------------------------------------------------------------------- */
/* Lists by client from (pool, owner), keeping the order of pool: a counting sort. */
static int split_from_owners(fl_split *out, const fl_partition_job *j) {
  size_t total = 0;
  for (size_t p = 0; p < j->n; p++)
    total += j->owner[p] != FL_NOBODY;
  size_t *next = malloc(j->clients * sizeof *next);
  if (!next || fl_split_alloc(out, j->clients, total)) {
    free(next);
    return -1;
  }
  for (size_t p = 0; p < j->n; p++)
    if (j->owner[p] != FL_NOBODY)
      out->offset[j->owner[p] + 1]++;
  for (size_t i = 0; i < j->clients; i++) {
    out->offset[i + 1] += out->offset[i];
    next[i] = out->offset[i];
  }
  for (size_t p = 0; p < j->n; p++)
    if (j->owner[p] != FL_NOBODY)
      out->index[next[j->owner[p]]++] = j->pool[p];
  free(next);
  return 0;
}

static int check_data(const fl_partition_job *j) {
  if (j->clients < 1 || j->clients >= UINT32_MAX)
    return snprintf(j->err, j->err_size, "partition: clients = %zu; allowed: 1 to %u", j->clients, UINT32_MAX - 1), -1;
  if (j->n < 1 || j->n >= UINT32_MAX)
    return snprintf(j->err, j->err_size, "partition: %zu samples; allowed: 1 to %u", j->n, UINT32_MAX - 1), -1;
  if (j->clients > j->n)
    return snprintf(j->err, j->err_size, "partition %s: clients = %zu; allowed: 1 to %zu, the samples of the data",
                    j->config->kind->name, j->clients, j->n), -1;
  const size_t most = j->data->label32 ? FL_MOST_CLASSES : FL_BYTE_CLASSES;
  if (j->classes < 1 || j->classes > most)
    return snprintf(j->err, j->err_size, "partition: %zu classes; allowed: 1 to %zu", j->classes, most), -1;
  for (size_t i = 0; i < j->n; i++)
    if (fl_split_label(j->data, i) >= j->classes)
      return snprintf(j->err, j->err_size, "partition: label[%zu] = %u; allowed: 0 to %zu", i, fl_split_label(j->data, i),
                      j->classes - 1), -1;
  return 0;
}

static int make_from_file(fl_split *out, const fl_partition_config *c, size_t clients, const fl_split_data *d, char *err,
                          size_t size) {
  if (fl_split_load(out, c->path, d, err, size))
    return -1;
  if (out->clients == clients)
    return 0;
  snprintf(err, size, "%s: clients: %zu, but the configuration has %zu", c->path, out->clients, clients);
  fl_split_free(out);
  return -1;
}

/* P9, "level": client 0 is clean, the last one has the full sigma. */
static int add_noise(fl_split *s, const fl_partition_job *j) {
  s->sigma = malloc(j->clients * sizeof *s->sigma);
  for (size_t i = 0; s->sigma && i < j->clients; i++)
    s->sigma[i] = j->clients > 1 ? fl_part_value(j, "noise_sigma") * (double)i / (double)(j->clients - 1) : 0;
  s->noise_seed = j->config->seed;
  return s->sigma ? 0 : 1;
}

static int check_empty(const fl_split *s, const fl_partition_job *j) {
  if (!s->offset[j->clients])
    return fl_part_fail(j, "no client would have a sample; the data have none of class 0");
  for (size_t i = 0; !is(j->config, "dirichlet_rounded") && i < j->clients; i++)
    if (s->offset[i] == s->offset[i + 1])
      return fl_part_fail(j, "client %zu of %zu would have no sample; lower the number of clients or "
                          "change seed = %llu", i, j->clients, (unsigned long long)j->config->seed);
  return 0;
}

int fl_split_make(fl_split *out, const fl_partition_config *config, size_t clients, const fl_split_data *data, char *err,
                  size_t err_size) {
  memset(out, 0, sizeof *out);
  fl_partition_job j = { .config = config, .data = data, .n = data->n, .classes = data->classes, .clients = clients, .err = err,
                         .err_size = err_size };
  if (check_data(&j))
    return -1;
  fl_partition_kind *const kind = make[config->kind - partitioners];
  if (!kind)
    return make_from_file(out, config, clients, data, err, err_size);
  j.pool = malloc(j.n * sizeof *j.pool);
  j.owner = malloc(j.n * sizeof *j.owner);
  j.class_at = malloc((j.classes + 1) * sizeof *j.class_at);
  j.next = malloc(j.classes * sizeof *j.next);
  j.pass = malloc(j.classes * sizeof *j.pass);
  j.empty = malloc(j.classes);
  int status = j.pool && j.owner && j.class_at && j.next && j.pass && j.empty ? kind(&j) : 1;
  if (!status && split_from_owners(out, &j))
    status = 1;
  if (!status && is(config, "noise"))
    status = add_noise(out, &j);
  if (!status)
    status = fl_split_finish(out, data) ? 1 : check_empty(out, &j);
  if (status > 0)
    snprintf(err, err_size, "partition %s: out of memory for %zu samples", config->kind->name, j.n);
  free(j.pool);
  free(j.owner);
  free(j.class_at);
  free(j.next);
  free(j.pass);
  free(j.empty);
  if (status)
    fl_split_free(out);
  return status ? -1 : 0;
}
