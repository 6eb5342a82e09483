/* partition.c - partitioners by name, index lists from owners, and their JSON form. */
#include "harness/partition.h"
#include "harness/data.h"
#include "harness/partition_kinds.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const fl_param dirichlet_params[] = {
  { "dirichlet_alpha", 0.5, 1e-3, 1e6, NULL, "concentration: small = few clients a class, large = iid", 0 },
  { "min_size", 10, 1, 1e9, NULL, "samples of the smallest client; the whole partition is drawn again until it holds", FL_WHOLE },
};
static const fl_param dirichlet_client_params[] = {
  { "dirichlet_alpha", 0.5, 1e-3, 1e6, NULL, "concentration: small = few classes a client, large = iid", 0 },
};
static const fl_param inner_dirichlet_params[] = {
  { "dirichlet_alpha", 0.5, 1e-3, 1e6, NULL, "concentration: small = few classes a client, large = iid", 0 },
  { "size_sigma", 0, 0, 10, NULL, "sizes are lognormal with this sigma, and sum to n; 0: all equal, n/N", 0 },
};
static const fl_param shard_params[] = {
  { "shards_per_client", 2, 1, 1e6, NULL, "shards of the samples sorted by label that a client gets", FL_WHOLE },
};
static const fl_param pathological_params[] = {
  { "classes_per_client", 2, 1, 256, NULL, "classes that a client holds", FL_WHOLE },
  { "class_assignment_mode", 2, 0, 2, "random|deterministic|first-deterministic",
    "client i's classes: random distinct ones; i, i+1, ... modulo the classes; or i modulo the classes, others at random", 0 },
  { "equal_sizes", 0, 0, 1, "no|yes",
    "yes: every client draws n/N samples from its classes, samples may be shared; no: a class is cut among its owners", 0 },
};

#define PARAMS(p) (p), sizeof(p) / sizeof *(p)
static const fl_partitioner partitioners[] = {
  { "iid", "a random permutation cut into near-equal parts", NULL, 0 },
  { "dirichlet", "every class spread over clients by Dirichlet proportions, balanced, with a smallest size; disjoint",
    PARAMS(dirichlet_params) },
  { "dirichlet_client", "every client draws n/N labels from its own Dirichlet proportions; equal sizes, samples may be shared",
    PARAMS(dirichlet_client_params) },
  { "inner_dirichlet", "every client fills its size from its own Dirichlet proportions, while classes last; disjoint",
    PARAMS(inner_dirichlet_params) },
  { "shard", "samples sorted by label, cut into equal shards, a few shards a client", PARAMS(shard_params) },
  { "pathological", "exactly k classes a client; each class is cut among its owners, or drawn from with equal sizes",
    PARAMS(pathological_params) },
  { "natural", "the clients that the data names (NPZ client_train), in ascending order of their numbers", NULL, 0 },
  { "file", "index lists saved as JSON (path)", NULL, 0 },
};
static int (*const make[])(fl_partition_job *) = { fl_partition_iid, fl_partition_dirichlet, fl_partition_dirichlet_client,
                                                   fl_partition_inner_dirichlet, fl_partition_shard, fl_partition_pathological,
                                                   fl_partition_natural, NULL };
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

static int set_key(const fl_setting *s, fl_partition_config *out, char *err, size_t size) {
  const fl_partitioner *kind = out->kind;
  const int file = !strcmp(kind->name, "file");
  const char *names[FL_MAX_PARAMS + 2] = { "name", file ? "path" : "seed" };
  if (!strcmp(s->key, "name"))
    return 0;
  if (!strcmp(s->key, "seed")) /* harmless with a file: `name=file` may be set over a configuration that has a seed */
    return set_seed(s, &out->seed, err, size);
  if (file && !strcmp(s->key, "path"))
    return set_path(s, out, err, size);
  for (size_t i = 0; i < kind->n_params; i++) {
    names[i + 2] = kind->params[i].name;
    if (!strcmp(s->key, names[i + 2])) {
      const fl_setting at = { s->key, s->value, where_of(s) };
      return fl_param_read(&kind->params[i], &at, &out->h[i], err, size);
    }
  }
  char what[64];
  snprintf(what, sizeof what, "key of partition %s", kind->name);
  return fl_unknown(where_of(s), what, s->key, names, kind->n_params + 2, err, size);
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
  if (!strcmp(out->kind->name, "file") && !*out->path) {
    snprintf(err, size, "%s: 'path' is missing beside name = file", n ? where_of(&set[0]) : "partition");
    return -1;
  }
  return 0;
}

/* ---- lists --------------------------------------------------------------------------------------------------------------- */
void fl_split_free(fl_split *s) {
  free(s->offset);
  free(s->index);
  memset(s, 0, sizeof *s);
}

static int split_alloc(fl_split *s, size_t clients, size_t total) {
  memset(s, 0, sizeof *s);
  s->offset = calloc(clients + 1, sizeof *s->offset);
  s->index = malloc((total ? total : 1) * sizeof *s->index);
  s->clients = clients;
  if (s->offset && s->index)
    return 0;
  fl_split_free(s);
  return -1;
}

static void put32(unsigned char **p, size_t v) {
  for (int b = 0; b < 4; b++)
    *(*p)++ = (unsigned char)(v >> 8 * b);
}

static int split_hash(fl_split *s) {
  const size_t total = s->offset[s->clients], bytes = 4 * (2 + s->clients + total);
  unsigned char *text = malloc(bytes), *p = text;
  if (!text)
    return -1;
  put32(&p, s->clients);
  for (size_t i = 0; i <= s->clients; i++)
    put32(&p, s->offset[i]);
  for (size_t i = 0; i < total; i++)
    put32(&p, s->index[i]);
  fl_sha256(text, bytes, s->sha256);
  free(text);
  return 0;
}

/* Lists by client from (pool, owner), keeping the order of pool: a counting sort. */
static int split_from_owners(fl_split *out, const fl_partition_job *j) {
  size_t total = 0;
  for (size_t p = 0; p < j->n; p++)
    total += j->owner[p] != FL_NOBODY;
  size_t *next = malloc(j->clients * sizeof *next);
  if (!next || split_alloc(out, j->clients, total)) {
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
  return split_hash(out);
}

static int check_data(const fl_partition_job *j) {
  if (j->clients < 1 || j->clients >= UINT32_MAX)
    return snprintf(j->err, j->err_size, "partition: clients = %zu; allowed: 1 to %u", j->clients, UINT32_MAX - 1), -1;
  if (j->n < 1 || j->n >= UINT32_MAX)
    return snprintf(j->err, j->err_size, "partition: %zu samples; allowed: 1 to %u", j->n, UINT32_MAX - 1), -1;
  if (j->clients > j->n)
    return snprintf(j->err, j->err_size, "partition %s: clients = %zu; allowed: 1 to %zu, the samples of the data",
                    j->config->kind->name, j->clients, j->n), -1;
  if (j->classes < 1 || j->classes > 256)
    return snprintf(j->err, j->err_size, "partition: %zu classes; allowed: 1 to 256", j->classes), -1;
  for (size_t i = 0; i < j->n; i++)
    if (j->label[i] >= j->classes)
      return snprintf(j->err, j->err_size, "partition: label[%zu] = %u; allowed: 0 to %zu", i, j->label[i], j->classes - 1), -1;
  return 0;
}

static int make_from_file(fl_split *out, const fl_partition_config *c, size_t clients, size_t n, char *err, size_t size) {
  if (fl_split_load(out, c->path, n, err, size))
    return -1;
  if (out->clients == clients)
    return 0;
  snprintf(err, size, "%s: clients: %zu, but the configuration has %zu", c->path, out->clients, clients);
  fl_split_free(out);
  return -1;
}

int fl_split_whole(fl_split *out, size_t n, char *err, size_t err_size) {
  memset(out, 0, sizeof *out);
  if (n < 1 || n >= UINT32_MAX)
    return snprintf(err, err_size, "%zu samples; allowed: 1 to %u", n, UINT32_MAX - 1), -1;
  if (split_alloc(out, 1, n))
    return snprintf(err, err_size, "out of memory for %zu samples", n), -1;
  out->offset[1] = n;
  for (size_t i = 0; i < n; i++)
    out->index[i] = (uint32_t)i;
  return split_hash(out) ? snprintf(err, err_size, "out of memory for %zu samples", n), -1 : 0;
}

int fl_split_make(fl_split *out, const fl_partition_config *config, size_t clients, const uint8_t *label, const int32_t *client,
                  size_t n, size_t classes, char *err, size_t err_size) {
  memset(out, 0, sizeof *out);
  fl_partition_job j = { .config = config, .label = label, .client = client, .n = n, .classes = classes, .clients = clients,
                         .err = err, .err_size = err_size };
  if (check_data(&j))
    return -1;
  int (*const kind)(fl_partition_job *) = make[config->kind - partitioners];
  if (!kind)
    return make_from_file(out, config, clients, n, err, err_size);
  j.pool = malloc(n * sizeof *j.pool);
  j.owner = malloc(n * sizeof *j.owner);
  j.class_at = malloc((classes + 1) * sizeof *j.class_at);
  int status = j.pool && j.owner && j.class_at ? kind(&j) : 1;
  if (!status && split_from_owners(out, &j))
    status = 1;
  if (status > 0)
    snprintf(err, err_size, "partition %s: out of memory for %zu samples", config->kind->name, n);
  for (size_t i = 0; !status && i < clients; i++)
    if (out->offset[i] == out->offset[i + 1]) {
      snprintf(err, err_size, "partition %s: client %zu of %zu would have no sample; lower the number of clients or change "
               "seed = %llu", config->kind->name, i, clients, (unsigned long long)config->seed);
      status = -1;
    }
  free(j.pool);
  free(j.owner);
  free(j.class_at);
  if (status)
    fl_split_free(out);
  return status ? -1 : 0;
}

void fl_split_counts(const fl_split *s, const uint8_t *label, size_t classes, uint32_t *counts) {
  memset(counts, 0, s->clients * classes * sizeof *counts);
  for (size_t i = 0; i < s->clients; i++)
    for (size_t p = s->offset[i]; p < s->offset[i + 1]; p++)
      counts[i * classes + label[s->index[p]]]++;
}

/* ---- JSON ---------------------------------------------------------------------------------------------------------------- */
int fl_split_save(const fl_split *s, const char *path, char *err, size_t size) {
  json_t *root = json_object(), *lists = json_array();
  int bad = !root || !lists || json_object_set_new(root, "clients", json_integer((json_int_t)s->clients));
  for (size_t i = 0; !bad && i < s->clients; i++) {
    json_t *list = json_array();
    for (size_t p = s->offset[i]; !bad && p < s->offset[i + 1]; p++)
      bad = json_array_append_new(list, json_integer(s->index[p]));
    bad |= json_array_append_new(lists, list);
  }
  bad |= json_object_set_new(root, "index", lists);
  if (bad)
    snprintf(err, size, "%s: out of memory for %zu index lists", path, s->clients);
  else if ((bad = json_dump_file(root, path, JSON_COMPACT)))
    snprintf(err, size, "%s: cannot be written", path);
  json_decref(root);
  return bad ? -1 : 0;
}

static int load_list(fl_split *s, const char *path, size_t i, const json_t *list, size_t n, char *err, size_t size) {
  if (!json_is_array(list)) {                   /* an empty one is a client without data: it takes part with no step */
    snprintf(err, size, "%s: index[%zu]: allowed: a list of sample numbers", path, i);
    return -1;
  }
  size_t p = s->offset[i];
  for (size_t k = 0; k < json_array_size(list); k++) {
    const json_t *v = json_array_get(list, k);
    const json_int_t x = json_integer_value(v);
    if (!json_is_integer(v) || x < 0 || (uint64_t)x >= n) {
      char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
      snprintf(err, size, "%s: index[%zu][%zu] = %.40s; allowed: a sample number from 0 to %zu", path, i, k, text ? text : "?",
               n - 1);
      free(text);
      return -1;
    }
    s->index[p++] = (uint32_t)x;
  }
  s->offset[i + 1] = p;
  return 0;
}

static int load_root(fl_split *s, const char *path, json_t *root, size_t n, char *err, size_t size) {
  const json_t *clients = json_object_get(root, "clients"), *lists = json_object_get(root, "index");
  const char *const names[] = { "clients", "index" };
  const char *key;
  json_t *value;
  if (!json_is_object(root))
    return snprintf(err, size, "%s: allowed: an object {\"clients\": N, \"index\": [[...], ...]}", path), -1;
  json_object_foreach(root, key, value)
    if (strcmp(key, "clients") && strcmp(key, "index"))
      return fl_unknown(path, "field", key, names, 2, err, size);
  if (!json_is_integer(clients) || json_integer_value(clients) < 1)
    return snprintf(err, size, "%s: clients: allowed: an integer of at least 1", path), -1;
  if (!json_is_array(lists) || (json_int_t)json_array_size(lists) != json_integer_value(clients))
    return snprintf(err, size, "%s: index: %zu lists; allowed: a list of %lld lists, one for each of 'clients'", path,
                    json_array_size(lists), (long long)json_integer_value(clients)), -1;
  size_t total = 0;
  for (size_t i = 0; i < json_array_size(lists); i++)
    total += json_array_size(json_array_get(lists, i));
  if (total >= UINT32_MAX)
    return snprintf(err, size, "%s: index: %zu sample numbers; allowed: at most %u", path, total, UINT32_MAX - 1), -1;
  if (split_alloc(s, json_array_size(lists), total))
    return snprintf(err, size, "%s: out of memory for %zu sample numbers", path, total), -1;
  for (size_t i = 0; i < s->clients; i++)
    if (load_list(s, path, i, json_array_get(lists, i), n, err, size))
      return -1;
  if (!total)
    return snprintf(err, size, "%s: index: no sample number in any list; allowed: at least one", path), -1;
  if (split_hash(s))
    return snprintf(err, size, "%s: out of memory for %zu sample numbers", path, total), -1;
  return 0;
}

int fl_split_load(fl_split *s, const char *path, size_t n, char *err, size_t size) {
  memset(s, 0, sizeof *s);
  json_error_t e;
  json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &e);
  if (!root) {
    if (e.line > 0)
      snprintf(err, size, "%s:%d:%d: %s", path, e.line, e.column, e.text);
    else
      snprintf(err, size, "%s", e.text); /* names the file already */
    return -1;
  }
  const int status = load_root(s, path, root, n, err, size);
  json_decref(root);
  if (status)
    fl_split_free(s);
  return status;
}
