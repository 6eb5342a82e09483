/* results.c - the folder of a run while it runs: run.json, partition.json, rounds.jsonl. The end is in summary.c. */
#include "harness/atomic.h"
#include "harness/plugin.h"
#include "harness/record.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *const role_name[] = {"matrix", "conv", "bias", "norm", "embed", "head", "q", "k", "v", "qkv", "o", "lora_a",
                                        "lora_b", "token", "buffer"};

static void path_in(const fl_result *r, const char *name, char out[4096]) { snprintf(out, 4096, "%s/%s", r->dir, name); }

static json_t *now(void) {
  char text[32];
  struct tm utc;
  time_t t = time(NULL);
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &utc));
  return json_string(text);
}

static json_t *data_json(const fl_dataset *data) {
  json_t *files = json_array();
  for (size_t i = 0; i < data->n_files; i++)
    json_array_append_new(files, json_pack("{s:s, s:s}", "path", data->file[i].path, "sha256", data->file[i].sha256));
  json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:f, s:f, s:o}", "name", data->name, "train", (json_int_t)data->train.n, "test",
                   (json_int_t)data->test.n, "classes", (json_int_t)data->train.classes, "mean", data->mean, "std", data->std,
                   "files", files);
  json_t *channel = json_array();
  for (size_t i = 0; i < 6; i++) json_array_append_new(channel, json_real(data->channel[i]));
  if (data->train.channel) json_object_set(o, "channels", channel);
  json_t *values = json_array();
  for (size_t i = 0; i < data->n_values; i++) json_array_append_new(values, json_integer(data->value[i]));
  if (data->n_values) json_object_set(o, "class_values", values);
  json_decref(values);
  json_decref(channel);
  return o;
}

static json_t *layout_json(const fl_layout *layout) {
  json_t *tensors = json_array();
  for (size_t i = 0; i < layout->n; i++) {
    const fl_tensor *t = &layout->tensor[i];
    json_t *shape = json_array();
    for (int k = 0; k < t->ndim; k++) json_array_append_new(shape, json_integer((json_int_t)t->shape[k]));
    const char *role = (size_t)t->role < sizeof role_name / sizeof *role_name ? role_name[t->role] : "unknown";
    json_array_append_new(tensors, json_pack("{s:s, s:s, s:o, s:I}", "name", t->name, "role", role, "shape", shape, "offset",
                                             (json_int_t)t->offset));
  }
  return json_pack("{s:I, s:I, s:o}", "parameters", (json_int_t)layout->d, "buffers", (json_int_t)layout->buffers, "tensors",
                   tensors);
}

/* "a; b" as a list. */
static json_t *reasons_json(const char *text) {
  json_t *list = json_array();
  while (text && *text) {
    const char *end = strstr(text, "; ");
    size_t n = end ? (size_t)(end - text) : strlen(text);
    json_array_append_new(list, json_stringn(text, n));
    text += end ? n + 2 : n;
  }
  return list;
}

/* Samples of each class on each client, for the figure: a committed result needs no data set to be drawn. Not where they are
 * more than a figure shows. */
enum { MOST_COUNTS = 1 << 22 };
static json_t *class_counts_json(const fl_dataset *data, const fl_split *split) {
  const fl_split_data rows = fl_dataset_split(data);
  const size_t classes = rows.classes;
  json_t *all = json_array();
  if (!split->index || split->clients * classes > MOST_COUNTS) return all;
  uint32_t *counts = calloc(split->clients * classes + 1, sizeof *counts);
  const int known = (rows.label || rows.label32) && !data->train.positions;     /* one class a row */
  if (counts && known) fl_split_counts(split, &rows, counts);
  for (size_t i = 0; counts && known && i < split->clients; i++) {
    json_t *row = json_array();
    for (size_t c = 0; c < classes; c++) json_array_append_new(row, json_integer(counts[i * classes + c]));
    json_array_append_new(all, row);
  }
  free(counts);
  return all;
}

/* What made the rounds from `first` on. */
static json_t *part_json(const json_t *run, uint64_t first) {
  const json_t *machine = json_object_get(run, "machine");
  return json_pack("{s:O, s:O, s:O, s:I, s:O*}", "threads", json_object_get(run, "threads"), "isa",
                   json_object_get(machine, "isa_used"), "cpu", json_object_get(machine, "cpu"), "from_round", (json_int_t)first,
                   "timing", json_object_get(run, "timing"));
}

static int same_maker(const json_t *a, const json_t *b) {
  static const char *const key[] = {"threads", "isa", "cpu", "timing"};
  for (size_t i = 0; i < sizeof key / sizeof *key; i++) {
    const json_t *x = json_object_get(a, key[i]), *y = json_object_get(b, key[i]);
    if (x != y && !json_equal(x, y)) return 0;
  }
  return 1;
}

/* The parts of the rounds that are kept, and this one if another machine or number of threads makes it. */
static json_t *parts_json(const json_t *previous, const json_t *run, uint64_t rounds) {
  json_t *parts = json_array(), *part, *mine = part_json(run, rounds + 1);
  json_t *last = NULL;
  size_t i;
  json_array_foreach(json_object_get(previous, "parts"), i, part)
    if (json_integer_value(json_object_get(part, "from_round")) <= (json_int_t)rounds) json_array_append(parts, last = part);
  if (!last || !same_maker(last, mine)) json_array_append(parts, mine);
  json_decref(mine);
  return parts;
}

static json_t *run_json(const fl_config *config, const fl_dataset *data, const fl_split *split, const fl_layout *layout,
                        const fl_kernels *kernels, const fl_onednn_backend *backend, int threads, int team, int shared,
                        const char *not_reproducible) {
  char run_id[17];
  fl_run_id(config, data, split, run_id);
  json_t *run = json_object();
  json_object_set_new(run, "schema", json_integer(1));
  json_object_set_new(run, "run_id", json_string(run_id));
  json_object_set_new(run, "label", json_string(config->label));
  json_object_set_new(run, "config", fl_config_json(config));
  json_object_set_new(run, "seeds", json_pack("{s:I, s:I}", "run", (json_int_t)config->seed, "partition",
                                              (json_int_t)config->partition.seed));
  json_object_set_new(run, "data", data_json(data));
  json_object_set_new(run, "partition",
                      json_pack("{s:I, s:s, s:o}", "clients", (json_int_t)split->clients, "sha256", split->sha256,
                                                  "class_counts", class_counts_json(data, split)));
  json_object_set_new(run, "layout", layout_json(layout));
  json_object_set_new(run, "machine", fl_machine_json(kernels, threads));
  json_object_set_new(run, "backend", fl_backend_json(backend));
  json_t *plugins = fl_plugins_json(&config->algorithm);
  if (plugins) json_object_set_new(run, "plugins", plugins);
  json_object_set_new(run, "threads", json_integer(threads));
  json_object_set_new(run, "threads_per_client", json_integer(team));
  if (shared) json_object_set_new(run, "timing", json_string("shared"));
  json_object_set_new(run, "parts", parts_json(NULL, run, 0));
  json_object_set_new(run, "reproducible", json_boolean(!not_reproducible));
  json_object_set_new(run, "reasons", reasons_json(not_reproducible));
  json_object_set_new(run, "started_at", now());
  json_object_set_new(run, "resumed_at", json_array());
  return run;
}

/* run.json and partition.json. */
static int describe(fl_result *r, char *err, size_t err_size) {
  char path[4096], temporary[4104];
  path_in(r, "partition.json", path);
  snprintf(temporary, sizeof temporary, "%s.tmp", path);
  const int listed = r->split->index != NULL;   /* not of clients that are made from the configuration */
  if (listed && (fl_split_save(r->split, temporary, err, err_size) || fl_file_commit(path, err, err_size))) return -1;
  path_in(r, "run.json", path);
  return fl_file_write_json(path, r->run, err, err_size);
}

/* rounds.jsonl, locked: two programs that write the same folder would mix their rounds. */
static int open_rounds(fl_result *r, char *err, size_t err_size) {
  char path[4096];
  path_in(r, "rounds.jsonl", path);
  r->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (r->fd < 0) {
    snprintf(err, err_size, "cannot write '%s': %s", path, strerror(errno));
    return -1;
  }
  if (flock(r->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
    snprintf(err, err_size, "'%s' is in use by another running fedlane", r->dir);
    return -1;
  }
  return 0;
}

fl_result *fl_result_open(const char *dir, const fl_config *config, const fl_dataset *data, const fl_split *split,
                          const fl_layout *layout, const fl_kernels *kernels, const fl_onednn_backend *backend, int threads,
                          int team, int shared, const char *not_reproducible, char *err, size_t err_size) {
  fl_result *r = calloc(1, sizeof *r);
  if (!r || strlen(dir) >= sizeof r->dir) {
    snprintf(err, err_size, "cannot open result folder '%s': %s", dir, strerror(r ? ENAMETOOLONG : ENOMEM));
    free(r);
    return NULL;
  }
  snprintf(r->dir, sizeof r->dir, "%s", dir);
  r->fd = -1;
  r->config = config;
  r->layout = layout;
  r->split = split;
  r->threads = threads;
  r->trajectory = EVP_MD_CTX_new();
  char path[4096], ignored[16];
  struct stat s;
  if (!r->trajectory || fl_folder_make(dir, err, err_size) || open_rounds(r, err, err_size)) {
    if (!r->trajectory) snprintf(err, err_size, "cannot open result folder '%s': out of memory", dir);
    fl_result_close(r);
    return NULL;
  }
  fl_result_reset(r);
  r->backend = backend;
  if (backend) fl_backend_count(backend, r->native_before);
  r->run = run_json(config, data, split, layout, kernels, backend, threads, team, shared, not_reproducible);
  path_in(r, "run.json", path);
  /* What an earlier start left stays until fl_result_cut knows whether this run continues it. A run.json that cannot be
   * read describes nothing that could be continued. */
  r->previous = stat(path, &s) == 0 ? fl_file_read_json(path, ignored, sizeof ignored) : NULL;
  if (!r->previous && describe(r, err, err_size)) {
    fl_result_close(r);
    return NULL;
  }
  return r;
}

/* Rounds of other data must not be continued: the sums in the files decide, not their paths. */
static int same_data(const fl_result *r, char *err, size_t err_size) {
  const json_t *was = json_object_get(r->previous, "partition"), *is = json_object_get(r->run, "partition");
  const char *a = json_string_value(json_object_get(was, "sha256")), *b = json_string_value(json_object_get(is, "sha256"));
  was = json_object_get(json_object_get(r->previous, "data"), "files");
  is = json_object_get(json_object_get(r->run, "data"), "files");
  for (size_t i = 0; i < json_array_size(is); i++) {
    const json_t *f = json_array_get(is, i);
    const char *old = json_string_value(json_object_get(json_array_get(was, i), "sha256"));
    const char *new = json_string_value(json_object_get(f, "sha256"));
    if (old && new && strcmp(old, new) == 0) continue;
    snprintf(err, err_size, "cannot resume '%s': data file '%s' has SHA-256 %s, was %s", r->dir,
             json_string_value(json_object_get(f, "path")), new ? new : "?", old ? old : "none");
    return -1;
  }
  if (a && b && strcmp(a, b) == 0) return 0;
  snprintf(err, err_size, "cannot resume '%s': the partition has SHA-256 %s, was %s", r->dir, b ? b : "?", a ? a : "none");
  return -1;
}

static int remove_stale(const fl_result *r, const char *name, char *err, size_t err_size) {
  char path[4096];
  path_in(r, name, path);
  if (unlink(path) == 0 || errno == ENOENT) return 0;
  snprintf(err, err_size, "cannot remove '%s': %s", path, strerror(errno));
  return -1;
}

static int take_line(void *self, const fl_metrics *m) {
  fl_result *r = self;
  fl_record_digest(r->trajectory, m);
  fl_result_count(r, m);
  r->rounds++;
  return 0;
}

int fl_result_cut(fl_result *r, uint64_t rounds, char *err, size_t err_size) {
  char path[4096];
  uint64_t bytes = 0;
  path_in(r, "rounds.jsonl", path);
  if (rounds && r->previous && same_data(r, err, err_size)) return -1;
  fl_result_reset(r);
  if (rounds) {
    int64_t seen = fl_record_each(path, rounds, take_line, r, &bytes, err, err_size);
    if (seen < 0) return -1;
    if ((uint64_t)seen < rounds) {
      snprintf(err, err_size, "'%s' has %" PRId64 " complete lines, the checkpoint is of round %" PRIu64, path, seen, rounds);
      return -1;
    }
  }
  /* The end of an earlier run must not be taken for the end of this one, nor its checkpoint for rounds that are gone. So they
   * go first, and for good: a kill between any two of these steps leaves a folder that a resume can start from. */
  if (remove_stale(r, "summary.json", err, err_size) || remove_stale(r, "params.safetensors", err, err_size) ||
      (!rounds && remove_stale(r, "checkpoint.bin", err, err_size)) || fl_folder_sync(r->dir, err, err_size)) return -1;
  if (!rounds && remove_stale(r, "states.bin", err, err_size)) return -1;  /* nothing refers to it any more */
  if (ftruncate(r->fd, (off_t)bytes) || fsync(r->fd)) {
    snprintf(err, err_size, "cannot cut '%s': %s", path, strerror(errno));
    return -1;
  }
  if (r->previous) {
    if (rounds) {
      json_t *started = json_object_get(r->previous, "started_at"), *resumed = json_object_get(r->previous, "resumed_at");
      if (started) json_object_set(r->run, "started_at", started);
      resumed = json_is_array(resumed) ? json_copy(resumed) : json_array();
      json_array_append_new(resumed, now());
      json_object_set_new(r->run, "resumed_at", resumed);
      json_object_set_new(r->run, "parts", parts_json(r->previous, r->run, rounds));
    }
    if (describe(r, err, err_size)) return -1;
    json_decref(r->previous);
    r->previous = NULL;
  }
  r->ready = 1;
  return 0;
}

int fl_result_ready(fl_result *r, uint64_t rounds, char *err, size_t err_size) {
  return r->ready ? 0 : fl_result_cut(r, rounds, err, err_size);
}

int fl_result_round(fl_result *r, const fl_metrics *m, char *err, size_t err_size) {
  char line[FL_RECORD_LINE];
  if (fl_result_ready(r, m->round ? m->round - 1 : 0, err, err_size)) return -1;
  if (m->round != r->rounds + 1) {
    snprintf(err, err_size, "'%s/rounds.jsonl': round %" PRIu64 " cannot follow round %" PRIu64, r->dir, m->round, r->rounds);
    return -1;
  }
  size_t n = fl_record_line(m, line);
  off_t before = lseek(r->fd, 0, SEEK_END);
  if (before < 0 || fl_file_write_all(r->fd, line, n)) {
    snprintf(err, err_size, "cannot write '%s/rounds.jsonl': %s", r->dir, strerror(errno));
    /* No half line stays; if even that fails, resume drops it. */
    if (before >= 0 && ftruncate(r->fd, before)) return -1;
    return -1;
  }
  take_line(r, m);
  return 0;
}

void fl_result_close(fl_result *r) {
  if (!r) return;
  if (r->fd >= 0) close(r->fd);
  EVP_MD_CTX_free(r->trajectory);
  json_decref(r->run);
  json_decref(r->previous);
  free(r);
}
