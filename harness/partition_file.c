/* partition_file.c - partitions and matrices of sizes as JSON: written, and read with every field checked. */
#include "harness/partition_kinds.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1 };

static json_t *noise_json(const fl_split *s) {
  json_t *sigma = json_array();
  for (size_t i = 0; i < s->clients; i++)
    json_array_append_new(sigma, json_real(s->sigma[i]));
  return json_pack("{s:o, s:I}", "sigma", sigma, "seed", (json_int_t)s->noise_seed);
}

/* What the lists say of themselves, for the reader to check. */
static int add_facts(json_t *root, const fl_split *s) {
  int bad = json_object_set_new(root, "version", json_integer(VERSION)) ||
            json_object_set_new(root, "clients", json_integer((json_int_t)s->clients)) ||
            json_object_set_new(root, "samples", json_integer((json_int_t)s->n)) ||
            json_object_set_new(root, "disjoint", json_boolean(s->disjoint)) ||
            json_object_set_new(root, "complete", json_boolean(s->complete));
  if (*s->labels_sha256)
    bad |= json_object_set_new(root, "labels_sha256", json_string(s->labels_sha256));
  if (s->sigma)
    bad |= json_object_set_new(root, "noise", noise_json(s));
  return bad;
}

int fl_split_save(const fl_split *s, const char *path, char *err, size_t size) {
  json_t *root = json_object(), *lists = json_array();
  int bad = !root || !lists || add_facts(root, s);
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

/* ---- reading ------------------------------------------------------------------------------------------------------------- */
typedef struct { const char *path; const json_t *root; const fl_split_data *data; char *err; size_t size; } reader;

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

static int load_lists(fl_split *s, const reader *r) {
  const json_t *clients = json_object_get(r->root, "clients"), *lists = json_object_get(r->root, "index");
  if (!json_is_integer(clients) || json_integer_value(clients) < 1)
    return snprintf(r->err, r->size, "%s: clients: allowed: an integer of at least 1", r->path), -1;
  if (!json_is_array(lists) || (json_int_t)json_array_size(lists) != json_integer_value(clients))
    return snprintf(r->err, r->size, "%s: index: %zu lists; allowed: a list of %lld lists, one for each of 'clients'", r->path,
                    json_array_size(lists), (long long)json_integer_value(clients)), -1;
  size_t total = 0;
  for (size_t i = 0; i < json_array_size(lists); i++)
    total += json_array_size(json_array_get(lists, i));
  if (total >= UINT32_MAX)
    return snprintf(r->err, r->size, "%s: index: %zu sample numbers; allowed: at most %u", r->path, total, UINT32_MAX - 1), -1;
  if (fl_split_alloc(s, json_array_size(lists), total))
    return snprintf(r->err, r->size, "%s: out of memory for %zu sample numbers", r->path, total), -1;
  for (size_t i = 0; i < s->clients; i++)
    if (load_list(s, r->path, i, json_array_get(lists, i), r->data->n, r->err, r->size))
      return -1;
  if (!total)
    return snprintf(r->err, r->size, "%s: index: no sample number in any list; allowed: at least one", r->path), -1;
  return 0;
}

static int load_noise(fl_split *s, const reader *r) {
  const json_t *noise = json_object_get(r->root, "noise"), *sigma = json_object_get(noise, "sigma");
  const json_t *seed = json_object_get(noise, "seed");
  if (!noise)
    return 0;
  if (!json_is_integer(seed) || json_integer_value(seed) < 0)
    return snprintf(r->err, r->size, "%s: noise.seed: allowed: an integer of at least 0", r->path), -1;
  if (!json_is_array(sigma) || json_array_size(sigma) != s->clients)
    return snprintf(r->err, r->size, "%s: noise.sigma: allowed: a list of %zu numbers, one a client", r->path, s->clients), -1;
  if (!(s->sigma = malloc(s->clients * sizeof *s->sigma)))
    return snprintf(r->err, r->size, "%s: out of memory for %zu clients", r->path, s->clients), -1;
  s->noise_seed = (uint64_t)json_integer_value(seed);
  for (size_t i = 0; i < s->clients; i++) {
    const json_t *v = json_array_get(sigma, i);
    s->sigma[i] = json_number_value(v);
    if (!json_is_number(v) || !(s->sigma[i] >= 0 && s->sigma[i] <= 100))
      return snprintf(r->err, r->size, "%s: noise.sigma[%zu]: allowed: a number from 0 to 100", r->path, i), -1;
  }
  return 0;
}

/* The first sample that is in two places, or in none. */
static int refuse_lists(const fl_split *s, const reader *r, const char *said) {
  uint32_t *owner = calloc(r->data->n, sizeof *owner);
  if (!owner)
    return snprintf(r->err, r->size, "%s: out of memory for %zu samples", r->path, r->data->n), -1;
  for (size_t i = 0; i < s->clients; i++)
    for (size_t p = s->offset[i]; p < s->offset[i + 1]; p++) {
      uint32_t *o = &owner[s->index[p]];
      if (*o && !strcmp(said, "disjoint")) {
        snprintf(r->err, r->size, "%s: index[%zu][%zu] = %u, which client %u has already, and 'disjoint' is true; allowed: every "
                 "sample once", r->path, i, p - s->offset[i], s->index[p], *o - 1);
        return free(owner), -1;
      }
      *o = (uint32_t)i + 1;
    }
  size_t missing = 0;
  while (missing < r->data->n && owner[missing])
    missing++;
  snprintf(r->err, r->size, "%s: index: sample %zu is in no list, and 'complete' is true; allowed: all samples from 0 to %zu",
           r->path, missing, r->data->n - 1);
  return free(owner), -1;
}

/* The data that the file was made for. */
static int check_data(const reader *r, const char *labels_sha256) {
  const json_t *version = json_object_get(r->root, "version"), *samples = json_object_get(r->root, "samples");
  const json_t *labels = json_object_get(r->root, "labels_sha256");
  if (version && json_integer_value(version) != VERSION)
    return snprintf(r->err, r->size, "%s: version: allowed: %d", r->path, VERSION), -1;
  if (samples && (!json_is_integer(samples) || (uint64_t)json_integer_value(samples) != r->data->n))
    return snprintf(r->err, r->size, "%s: samples: %lld, but the data have %zu", r->path, (long long)json_integer_value(samples),
                    r->data->n), -1;
  if (labels && !json_is_string(labels))
    return snprintf(r->err, r->size, "%s: labels_sha256: allowed: a text of 64 hexadecimal digits", r->path), -1;
  if (labels && *labels_sha256 && strcmp(json_string_value(labels), labels_sha256))
    return snprintf(r->err, r->size, "%s: labels_sha256: %.64s, but the labels of the data have %s: another data set, or another "
                    "part held out by data.validation", r->path, json_string_value(labels), labels_sha256), -1;
  return 0;
}

static int load_root(fl_split *s, const reader *r) {
  static const char *const names[] = { "version", "clients", "samples", "labels_sha256", "disjoint", "complete", "noise",
                                       "index" };
  enum { NAMES = sizeof names / sizeof *names };
  if (!json_is_object(r->root))
    return snprintf(r->err, r->size, "%s: allowed: an object {\"clients\": N, \"index\": [[...], ...]}", r->path), -1;
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)r->root, key, value) {
    size_t i = 0;
    while (i < NAMES && strcmp(key, names[i]))
      i++;
    if (i == NAMES)
      return fl_unknown(r->path, "field", key, names, NAMES, r->err, r->size);
  }
  const json_t *samples = json_object_get(r->root, "samples");
  if (samples && check_data(r, ""))
    return -1;
  if (load_lists(s, r) || load_noise(s, r))
    return -1;
  if (fl_split_finish(s, r->data))
    return snprintf(r->err, r->size, "%s: out of memory for %zu samples", r->path, r->data->n), -1;
  if (check_data(r, s->labels_sha256))
    return -1;
  static const char *const fact[] = { "disjoint", "complete" };
  for (size_t i = 0; i < 2; i++) {
    const json_t *said = json_object_get(r->root, fact[i]);
    if (said && !json_is_boolean(said))
      return snprintf(r->err, r->size, "%s: %s: allowed: true, false", r->path, fact[i]), -1;
    if (json_is_true(said) && !(i ? s->complete : s->disjoint))
      return refuse_lists(s, r, fact[i]);
  }
  if (s->sigma && !s->disjoint)
    return snprintf(r->err, r->size, "%s: noise: allowed: only where no sample has two clients", r->path), -1;
  return 0;
}

static json_t *load_json(const char *path, char *err, size_t size) {
  json_error_t e;
  json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &e);
  if (!root && e.line > 0)
    snprintf(err, size, "%s:%d:%d: %s", path, e.line, e.column, e.text);
  else if (!root)
    snprintf(err, size, "%s", e.text); /* names the file already */
  return root;
}

int fl_split_load(fl_split *s, const char *path, const fl_split_data *data, char *err, size_t size) {
  memset(s, 0, sizeof *s);
  json_t *root = load_json(path, err, size);
  if (!root)
    return -1;
  const reader r = { path, root, data, err, size };
  const int status = load_root(s, &r);
  json_decref(root);
  if (status)
    fl_split_free(s);
  return status;
}

/* ---- a matrix ------------------------------------------------------------------------------------------------------------ */
static int load_row(const char *path, size_t i, const json_t *row, size_t columns, double *out, char *err, size_t size) {
  if (!json_is_array(row) || json_array_size(row) != columns)
    return snprintf(err, size, "%s: distribution[%zu]: %zu numbers; allowed: a list of %zu, one for each client that holds the "
                    "class", path, i, json_array_size(row), columns), -1;
  for (size_t k = 0; k < columns; k++) {
    const json_t *v = json_array_get(row, k);
    out[k] = json_number_value(v);
    if (!json_is_number(v) || !(out[k] >= 0 && out[k] <= 1e300))
      return snprintf(err, size, "%s: distribution[%zu][%zu]: allowed: a number from 0 to 1e300", path, i, k), -1;
  }
  return 0;
}

int fl_distribution_load(const char *path, size_t rows, size_t columns, double *out, char *err, size_t size) {
  json_t *root = load_json(path, err, size);
  if (!root)
    return -1;
  const json_t *m = json_object_get(root, "distribution");
  int status = 0;
  if (json_object_size(root) != 1 || !json_is_array(m) || json_array_size(m) != rows)
    status = -1, snprintf(err, size, "%s: allowed: an object {\"distribution\": [[...], ...]} with %zu rows, one a class", path,
                          rows);
  for (size_t i = 0; !status && i < rows; i++)
    status = load_row(path, i, json_array_get(m, i), columns, out + i * columns, err, size);
  json_decref(root);
  return status;
}
