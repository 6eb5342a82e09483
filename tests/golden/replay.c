/* replay.c - runs of the program again, by the library alone: where there is no YAML, JSON, zlib or libcrypto, as in the cross
 * build for NEON, the same configurations must end on the same hashes. A plan is what replay.py makes of a run's folder.
 * usage: fedlane-replay THREADS PLAN...; prints "NAME hash trajectory_hash" for every plan, as tests/golden/runs.txt has them. */
#include "harness/bits.h"
#include "harness/population.h"
#include "models/model.h"
#include <stdio.h>
#include <stdlib.h>

enum { MOST_SETTINGS = 64, MOST_CLIENTS = 64, MOST_ROWS = 4096, MOST_TEXT = 512, MOST_LAYERS = 32, MOST_TOKENS = 1 << 14 };
typedef struct {
  fl_layer_spec layer[MOST_LAYERS];             /* of a network that no name of the list says */
  char layer_text[MOST_LAYERS][MOST_TEXT];
  size_t layers;
  char name[MOST_TEXT], model[MOST_TEXT], file[4][MOST_TEXT], key[MOST_SETTINGS][MOST_TEXT], value[MOST_SETTINGS][MOST_TEXT];
  fl_setting setting[MOST_SETTINGS];
  size_t central, n_settings, clients, offset[MOST_CLIENTS + 1], classes;
  uint32_t index[MOST_ROWS];
  double mean, std;
  fl_options options;
  fl_population_config made;                    /* max_samples 0: the rows are in files */
  size_t length, rows[2];                       /* length not 0: they are in the plan, characters and a label each */
  int32_t token[2][MOST_TOKENS];
  uint8_t label[2][MOST_TOKENS];
} plan;

static const char *const file_key[] = { "train-images", "train-labels", "test-images", "test-labels" };

static int die(const char *where, const char *what, const char *value) {
  fprintf(stderr, "fedlane-replay: %s: %s \"%s\"\n", where, what, value);
  return -1;
}

static int read_client(FILE *f, plan *p) {
  size_t n, at = p->offset[p->clients];
  if (p->clients == MOST_CLIENTS || fscanf(f, "%zu", &n) != 1 || n > MOST_ROWS - at) return -1;
  for (size_t i = 0; i < n; i++)
    if (fscanf(f, "%u", &p->index[at + i]) != 1) return -1;
  p->offset[++p->clients] = at + n;
  return 0;
}

/* length characters, each the label of the one before, and the label of the last. */
static int read_row(FILE *f, plan *p, int test) {
  const size_t at = p->rows[test] * p->length;
  unsigned character;
  if (!p->length || p->length > MOST_TOKENS - at) return -1;
  for (size_t i = 0; i <= p->length; i++) {
    if (fscanf(f, "%u", &character) != 1 || character > UINT8_MAX) return -1;
    if (i < p->length) p->token[test][at + i] = (int32_t)character;
    if (i) p->label[test][at + i - 1] = (uint8_t)character;
  }
  p->rows[test]++;
  return 0;
}

/* The rest of the line after its key: a value may be empty (the stack of FedAvg) or hold blanks (a path). */
static int rest_of_line(FILE *f, char out[MOST_TEXT]) {
  char line[MOST_TEXT];
  if (!fgets(line, sizeof line, f) || !strchr(line, '\n')) return -1;
  line[strcspn(line, "\n")] = 0;
  snprintf(out, MOST_TEXT, "%s", line + (line[0] == ' '));
  return 0;
}

static int read_setting(FILE *f, plan *p) {
  const size_t i = p->n_settings;
  if (i == MOST_SETTINGS || fscanf(f, "%511s", p->key[i]) != 1 || rest_of_line(f, p->value[i])) return -1;
  p->setting[i] = (fl_setting){ p->key[i], p->value[i], p->name };
  p->n_settings++;
  return 0;
}

/* "type; name; settings; what it reads". */
static int read_layer(FILE *f, plan *p) {
  char *part[4], *at;
  if (p->layers == MOST_LAYERS || rest_of_line(f, at = p->layer_text[p->layers])) return -1;
  for (int i = 0; i < 4; i++) {
    part[i] = at;
    at = i < 3 ? strstr(at, "; ") : at;
    if (!at) return -1;
    if (i < 3) *at = 0, at += 2;
  }
  p->layer[p->layers++] = (fl_layer_spec){ .type = part[0], .name = part[1], .settings = part[2],
                                           .from = *part[3] ? part[3] : NULL };
  return 0;
}

static int read_number(plan *p, const char *key, const char *text) {
  fl_options *o = &p->options;
  fl_partial *q = &o->partial;
  const struct { const char *key; double *real; size_t *size; uint64_t *word; int *choice; } field[] = {
    { .key = "clients", .size = &p->clients }, { .key = "length", .size = &p->length },
    { .key = "population", .word = &p->made.seed },
    { .key = "min_samples", .size = &p->made.min_samples }, { .key = "max_samples", .size = &p->made.max_samples },
    { .key = "label_skew", .real = &p->made.label_skew },
    { .key = "mean", .real = &p->mean }, { .key = "std", .real = &p->std }, { .key = "classes", .size = &p->classes },
    { .key = "central", .size = &p->central }, { .key = "seed", .word = &o->seed }, { .key = "rounds", .word = &o->rounds },
    { .key = "participation", .real = &o->participation }, { .key = "local_epochs", .size = &o->local_epochs },
    { .key = "local_steps", .size = &o->local_steps }, { .key = "batch_size", .size = &o->batch_size },
    { .key = "eval_every", .size = &o->eval_every }, { .key = "sampling", .choice = &q->sampling },
    { .key = "availability", .choice = &q->availability }, { .key = "available_part", .real = &q->available_part },
    { .key = "available_period", .word = &q->available_period }, { .key = "client_dropout", .real = &q->dropout },
    { .key = "stragglers", .real = &q->stragglers }, { .key = "straggler_unit", .choice = &q->straggler_unit },
    { .key = "straggler_min", .word = &q->straggler_min }, { .key = "straggler_max", .word = &q->straggler_max } };
  for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
    char *end;
    if (strcmp(field[i].key, key)) continue;
    if (field[i].real) *field[i].real = strtod(text, &end);
    else if (field[i].size) *field[i].size = strtoul(text, &end, 10);
    else if (field[i].choice) *field[i].choice = (int)strtol(text, &end, 10);
    else *field[i].word = strtoull(text, &end, 10);
    return end == text || *end ? -1 : 0;
  }
  return -1;
}

static int read_plan(const char *path, plan *p) {
  char key[64] = "", text[MOST_TEXT];
  FILE *f = fopen(path, "r");
  int bad = !f;
  while (!bad && fscanf(f, "%63s", key) == 1) {
    size_t file = 0;
    while (file < 4 && strcmp(key, file_key[file])) file++;
    if (file < 4) bad = rest_of_line(f, p->file[file]);
    else if (!strcmp(key, "client")) bad = read_client(f, p);
    else if (!strcmp(key, "train-row") || !strcmp(key, "test-row")) bad = read_row(f, p, key[1] == 'e');
    else if (!strcmp(key, "set")) bad = read_setting(f, p);
    else if (!strcmp(key, "layer")) bad = read_layer(f, p);
    else if (!strcmp(key, "run")) bad = rest_of_line(f, p->name);
    else if (!strcmp(key, "model")) bad = rest_of_line(f, p->model);
    else bad = rest_of_line(f, text) || read_number(p, key, text);
  }
  if (f) fclose(f);
  return bad ? die(path, f ? "bad line" : "cannot read", key) : 0;
}

/* A raw IDX file: dimensions into dim, the bytes after the header, or NULL. */
static uint8_t *read_idx(const char *path, size_t dims, size_t *dim) {
  unsigned char head[16];
  size_t total = 1;
  uint8_t *bytes = NULL;
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  if (fread(head, 1, 4 + 4 * dims, f) == 4 + 4 * dims && head[2] == 8 && head[3] == dims) {
    for (size_t i = 0; i < dims; i++) {
      const unsigned char *p = head + 4 + 4 * i;
      total *= dim[i] = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    }
    bytes = malloc(total + 1);
    if (bytes && fread(bytes, 1, total + 1, f) != total) free(bytes), bytes = NULL;
  }
  fclose(f);
  return bytes;
}

static int read_samples(const plan *p, size_t first, fl_samples *out) {
  size_t dim[3], labels = 0;
  uint8_t *pixels = read_idx(p->file[first], 3, dim), *label = read_idx(p->file[first + 1], 1, &labels);
  *out = (fl_samples){ .n = pixels ? dim[0] : 0, .c = 1, .h = pixels ? dim[1] : 0, .w = pixels ? dim[2] : 0,
                       .classes = p->classes, .pixels = pixels, .label = label };
  if (!pixels || !label || labels != out->n) return die(p->name, "no raw IDX pair", p->file[first]);
  return 0;
}

static int each_round(void *sha, fl_session *s, const fl_metrics *m) {
  (void)s;
  fl_record_digest(sha, m);
  return 0;
}

static int train(const plan *p, const fl_samples *train_rows, const fl_samples *test_rows, fl_population *made) {
  char err[512] = "", hash[65], trajectory[65];
  unsigned char raw[EVP_MAX_MD_SIZE];
  size_t n;
  fl_algorithm algorithm;
  fl_session *s = NULL;
  EVP_MD_CTX *sha = EVP_MD_CTX_new();
  fl_net_sized room;
  const fl_net own = { .name = p->name, .help = "", .n = p->layers, .layer = p->layer };
  const fl_net *net = p->layers ? &own : fl_net_find(p->model, &room);
  fl_model *model = fl_model_new(net, train_rows, test_rows, p->mean, p->std, err, sizeof err);
  int bad = !sha || !model || EVP_DigestInit_ex(sha, EVP_sha256(), NULL) != 1 ||
            fl_algorithm_build(p->setting, p->n_settings, &algorithm, err, sizeof err);
  if (!bad) {
    const fl_problem problem = { .objective = fl_model_objective(model), .clients = p->clients,
                                 .offset = made ? NULL : p->offset, .index = made ? NULL : p->index,
                                 .samples = made ? fl_population_samples : NULL, .self = made };
    if (made) fl_model_make_rows(model, fl_population_row, made);
    bad = fl_open(&s, &problem, &algorithm, &p->options, err, sizeof err);
  }
  if (bad) {
    die(p->name, "cannot run:", err);
  } else {
    fl_rounds(s, each_round, sha);
    const float *x = fl_averaged(s, &n);
    fl_params_hash(x, n, hash);
    EVP_DigestFinal_ex(sha, raw, NULL);
    fl_hex(raw, 32, trajectory);
    printf("%s %s %s\n", p->name, hash, trajectory);
    fflush(stdout);
    fl_close(s);
  }
  fl_model_free(model);
  EVP_MD_CTX_free(sha);
  return bad;
}

static int train_on_files(const plan *p) {
  fl_samples rows[2] = { { 0 } };
  const int bad = read_samples(p, 0, &rows[0]) || read_samples(p, 2, &rows[1]) || train(p, &rows[0], &rows[1], NULL);
  for (int k = 0; k < 2; k++) free((void *)rows[k].pixels), free((void *)rows[k].label);
  return bad;
}
static int train_on_rows(const plan *p) {
  fl_samples rows[2];
  for (int k = 0; k < 2; k++)
    rows[k] = (fl_samples){ .n = p->rows[k], .c = 1, .h = 1, .w = p->length, .classes = p->classes, .tokens = p->token[k],
                            .label = p->label[k], .positions = p->length };
  return train(p, &rows[0], &rows[1], NULL);
}
static int train_on_made(const plan *p) {
  char err[512];
  fl_dataset data;
  if (fl_population_open(&data, &p->made, p->clients, err, sizeof err)) return die(p->name, "cannot run:", err);
  const int bad = train(p, &data.train, &data.test, data.population);
  fl_dataset_free(&data);
  return bad;
}

int main(int argc, char **argv) {
  const int threads = argc > 2 ? atoi(argv[1]) : 0;
  int bad = 0;
  if (threads < 1) {
    fprintf(stderr, "usage: fedlane-replay THREADS PLAN...\n");
    return 2;
  }
  for (int i = 2; i < argc && !bad; i++) {
    static plan p;
    memset(&p, 0, sizeof p);
    bad = read_plan(argv[i], &p);
    p.options.threads = threads;
    p.options.central = p.central != 0;
    bad = bad || (p.made.max_samples ? train_on_made(&p) : p.length ? train_on_rows(&p) : train_on_files(&p));
  }
  return bad ? 1 : 0;
}
