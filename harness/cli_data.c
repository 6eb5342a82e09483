/* cli_data.c - fedlane info --data: what a data set is, of any format: shape, classes and their counts, natural clients, files
 * with their hashes, and one hash of the rows themselves, which does not depend on how they were stored. */
#include "cli.h"
#include "bits.h"
#include "config_context.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int is_file(const char *folder, const char *name) {
  char path[4096];
  struct stat st;
  return (size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path && !stat(path, &st) && S_ISREG(st.st_mode);
}

static int ends(const char *path, const char *with) {
  const size_t n = strlen(path), m = strlen(with);
  return n >= m && !strcmp(path + n - m, with);
}

/* What a path looks like; "": the name of a known set. */
static const char *format_of(const char *path) {
  struct stat st;
  if (fl_format_is_made(path)) return path;
  for (size_t i = 0; i < fl_dataset_known_count(); i++)
    if (!strcmp(fl_dataset_known(i, NULL), path)) return "";
  if (!stat(path, &st) && S_ISDIR(st.st_mode))
    return is_file(path, "data_batch_1.bin") ? "cifar10" : is_file(path, "train.bin") ? "cifar100"
           : is_file(path, "y_train.npy")    ? "npy" : "idx";
  if (ends(path, ".npz")) return "npz";
  if (ends(path, ".tsv") || ends(path, ".tsv.gz")) return "sentences";
  if (ends(path, ".txt") || ends(path, ".txt.gz")) return "text";
  return strstr(path, "idx3-ubyte") ? "idx" : "libsvm";
}

/* "key=value,key=value" of the format's own keys. */
static int read_keys(fl_config *c, const char *format, const char *text, char *err, size_t size) {
  context at = { .path = "--set", .err = err, .size = size };
  for (size_t i = 0; i < fl_format_key_count; i++) {
    const fl_key_entry *k = &fl_format_keys[i].key;
    char def[40];
    snprintf(def, sizeof def, "%.17g", k->param.def);
    if (!k->param.choices && fl_config_key(&at, k, c, "--set", def)) return -1;
  }
  for (const char *p = text; p && *p;) {
    char word[200], *value;
    const size_t n = strcspn(p, ",");
    snprintf(word, sizeof word, "%.*s", (int)n, p);
    p += n + (p[n] == ',');
    if (!(value = strchr(word, '='))) return snprintf(err, size, "--set %s: allowed: key=value,...", word), -1;
    *value++ = 0;
    const char *names[40];
    size_t count = 0, found = fl_format_key_count;
    for (size_t i = 0; i < fl_format_key_count; i++) {
      if (!fl_format_has(&fl_format_keys[i], format)) continue;
      names[count++] = fl_format_keys[i].key.param.name;
      if (!strcmp(names[count - 1], word)) found = i;
    }
    if (found == fl_format_key_count) return fl_unknown("--set", "key of this format", word, names, count, err, size);
    if (fl_config_key(&at, &fl_format_keys[found].key, c, "--set", value)) return -1;
  }
  return 0;
}

/* ---- the rows ------------------------------------------------------------------------------------------------------------- */
/* SHA-256 over kind, shape, inputs (numbers little-endian, sparse rows written out) and labels (bytes, or of more than 256
 * classes 32 bits), training rows first. */
static int hash_rows(const fl_dataset *d, char hex[65]) {
  const size_t in = fl_samples_row(&d->train);
  float *row = calloc(in + 1, sizeof *row);
  EVP_MD_CTX *sha = EVP_MD_CTX_new();
  unsigned char digest[EVP_MAX_MD_SIZE];
  int good = row && sha && EVP_DigestInit_ex(sha, EVP_sha256(), NULL) == 1;
  for (int test = 0; good && test < 2; test++) {
    const fl_samples *s = test ? &d->test : &d->train;
    const size_t labels = s->positions ? s->positions : 1;
    const uint64_t head[6] = { s->pixels ? 1 : s->tokens ? 3 : 2, s->n, s->c, s->h, s->w, s->positions };
    good = EVP_DigestUpdate(sha, head, sizeof head) == 1;
    for (size_t i = 0; good && i < s->n; i++) {
      const void *at = s->pixels ? (const void *)(s->pixels + i * in) : s->tokens ? (const void *)(s->tokens + i * in) : row;
      if (s->features) at = s->features + i * in;
      for (size_t j = s->begin ? s->begin[i] : 0; s->begin && j < s->begin[i + 1]; j++) row[s->column[j]] = s->value[j];
      good = EVP_DigestUpdate(sha, at, in * (s->pixels ? 1 : 4)) == 1 &&
             EVP_DigestUpdate(sha, s->label32 ? (const void *)(s->label32 + i * labels) : s->label + i * labels,
                              s->label32 ? 4 * labels : labels) == 1;
      for (size_t j = s->begin ? s->begin[i] : 0; s->begin && j < s->begin[i + 1]; j++) row[s->column[j]] = 0;
    }
  }
  good = good && EVP_DigestFinal_ex(sha, digest, NULL) == 1;
  if (good) fl_hex(digest, 32, hex);
  EVP_MD_CTX_free(sha);
  free(row);
  return good ? 0 : -1;
}

static const char *kind_of(const fl_samples *s) {
  return s->pixels ? "pixels" : s->tokens ? "tokens" : s->begin ? "sparse features" : "features";
}

static json_t *split_json(const fl_samples *s) {
  uint64_t *counts = calloc(s->classes, sizeof *counts);
  if (!counts) return NULL;
  json_t *list = json_array(), *o = json_pack("{s:I, s:s, s:[I,I,I], s:I}", "rows", (json_int_t)s->n, "kind", kind_of(s), "shape",
                                              (json_int_t)s->c, (json_int_t)s->h, (json_int_t)s->w, "labels_a_row",
                                              (json_int_t)(s->positions ? s->positions : 1));
  for (size_t i = 0; i < s->n * (s->positions ? s->positions : 1); i++) counts[fl_samples_label(s, i)]++;
  for (size_t k = 0; k < s->classes; k++) json_array_append_new(list, json_integer((json_int_t)counts[k]));
  free(counts);
  json_object_set_new(o, "class_counts", list);
  if (s->begin) json_object_set_new(o, "stored_entries", json_integer((json_int_t)s->begin[s->n]));
  uint64_t other = 0;                           /* than 0 */
  for (size_t i = 0; s->begin && i < s->begin[s->n]; i++) other += s->value[i] != 0;
  for (size_t i = 0; s->features && i < s->n * fl_samples_row(s); i++) other += s->features[i] != 0;
  if (s->begin || s->features) json_object_set_new(o, "not_zero", json_integer((json_int_t)other));
  return o;
}

static int ascending(const void *a, const void *b) {
  const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

static json_t *clients_json(const fl_dataset *d) {
  const size_t n = d->train.n;
  int32_t *id = malloc(n * sizeof *id);
  if (!id) return json_null();
  memcpy(id, d->client, n * sizeof *id);
  qsort(id, n, sizeof *id, ascending);
  size_t clients = 0, least = n, most = 0;
  for (size_t i = 0, from = 0; i < n; i++) {
    if (i + 1 < n && id[i + 1] == id[i]) continue;
    const size_t rows = i + 1 - from;
    clients++, from = i + 1;
    if (rows < least) least = rows;
    if (rows > most) most = rows;
  }
  free(id);
  return json_pack("{s:I, s:I, s:I}", "clients", (json_int_t)clients, "fewest_rows", (json_int_t)least, "most_rows",
                   (json_int_t)most);
}

static json_t *data_json(const fl_dataset *d, const char *format) {
  char hex[65];
  json_t *files = json_array(), *values = json_array();
  if (hash_rows(d, hex)) return json_decref(files), json_decref(values), NULL;
  for (size_t i = 0; i < d->n_files; i++)
    json_array_append_new(files, json_pack("{s:s, s:s}", "path", d->file[i].path, "sha256", d->file[i].sha256));
  for (size_t i = 0; i < d->n_values; i++) json_array_append_new(values, json_integer(d->value[i]));
  json_t *train = split_json(&d->train), *test = d->test.n ? split_json(&d->test) : NULL;
  if (!train || (d->test.n && !test)) return json_decref(files), json_decref(values), json_decref(train), NULL;
  json_t *o = json_pack("{s:s, s:s, s:I, s:o, s:o}", "name", d->name, "format", *format ? format : "known set", "classes",
                        (json_int_t)d->train.classes, "train", train, "files", files);
  if (test) json_object_set_new(o, "test", test);
  if (d->n_values) json_object_set(o, "class_values", values);
  json_decref(values);
  if (d->client) json_object_set_new(o, "natural", clients_json(d));
  if (d->train.pixels && !d->train.channel)
    json_object_set_new(o, "mean", json_real(d->mean)), json_object_set_new(o, "std", json_real(d->std));
  json_t *channel = json_array();
  for (size_t i = 0; i < 6; i++) json_array_append_new(channel, json_real(d->channel[i]));
  if (d->train.channel) json_object_set(o, "channels", channel);
  json_decref(channel);
  json_object_set_new(o, "rows_sha256", json_string(hex));
  return o;
}

/* ---- as a table ----------------------------------------------------------------------------------------------------------- */
static void print_split(const char *name, const fl_samples *s, const json_t *o) {
  printf("%-12s %zu rows of %zux%zux%zu %s, %zu label%s a row", name, s->n, s->c, s->h, s->w, kind_of(s),
         s->positions ? s->positions : 1, s->positions > 1 ? "s" : "");
  const json_t *other = json_object_get(o, "not_zero");
  if (other) printf(", %lld numbers not 0", (long long)json_integer_value(other));
  putchar('\n');
}

/* What a table of more classes than a byte has would be too long for. */
static void print_many(const char *name, const json_t *o) {
  const json_t *list = json_object_get(o, "class_counts");
  const size_t n = json_array_size(list);
  json_int_t least = json_integer_value(json_array_get(list, 0)), most = least;
  size_t none = 0;
  for (size_t k = 0; k < n; k++) {
    const json_int_t count = json_integer_value(json_array_get(list, k));
    none += !count;
    if (count < least) least = count;
    if (count > most) most = count;
  }
  printf("%-12s %lld to %lld rows a class, %zu classes without one (--json has all counts)\n", name, (long long)least,
         (long long)most, none);
}

static void print_class(const fl_dataset *d, const char *format, size_t k) {
  char text[24] = "";
  const int v = d->n_values ? d->value[k] : 0;
  if (d->n_values && !strcmp(format, "text")) snprintf(text, sizeof text, v > 32 && v < 127 ? "'%c'" : "0x%02x", v);
  else if (d->n_values) snprintf(text, sizeof text, "%d", v);
  printf("%6zu %-8s", k, text);
}

static void print_data(const fl_dataset *d, const char *format, const json_t *o) {
  const json_t *train = json_object_get(o, "train"), *test = json_object_get(o, "test"), *of = json_object_get(o, "natural");
  printf("%-12s %s, %zu classes\n", d->name, json_string_value(json_object_get(o, "format")), d->train.classes);
  print_split("train", &d->train, train);
  if (test) print_split("test", &d->test, test);
  if (of)
    printf("%-12s %lld, of %lld to %lld rows\n", "clients", (long long)json_integer_value(json_object_get(of, "clients")),
           (long long)json_integer_value(json_object_get(of, "fewest_rows")),
           (long long)json_integer_value(json_object_get(of, "most_rows")));
  if (d->train.pixels && !d->train.channel)
    printf("%-12s mean %.6g, deviation %.6g (of pixels scaled to 0..1)\n", "pixels", d->mean, d->std);
  const double *c = d->train.channel;
  if (c) printf("%-12s means %.4g, %.4g, %.4g; deviations %.4g, %.4g, %.4g\n", "channels", c[0], c[1], c[2], c[3], c[4], c[5]);
  printf("%-12s %s\n", "rows SHA-256", json_string_value(json_object_get(o, "rows_sha256")));
  for (size_t i = 0; i < d->n_files; i++) printf("%-12s %s  %s\n", i ? "" : "files", d->file[i].sha256, d->file[i].path);
  if (d->train.classes > FL_BYTE_CLASSES) {
    print_many("train", train);
    if (test) print_many("test", test);
    return;
  }
  printf("\n%6s %-8s %10s%s\n", "class", d->n_values ? "is" : "", "train", test ? "       test" : "");
  for (size_t k = 0; k < d->train.classes; k++) {
    print_class(d, format, k);
    printf(" %10lld", (long long)json_integer_value(json_array_get(json_object_get(train, "class_counts"), k)));
    if (test) printf(" %10lld", (long long)json_integer_value(json_array_get(json_object_get(test, "class_counts"), k)));
    putchar('\n');
  }
}

int fl_info_data(const fl_info_data_options *o) {
  char err[FL_ERR];
  fl_dataset d;
  static fl_config c;                           /* all of it 0 */
  const char *format = o->format ? o->format : format_of(o->path);
  if (read_keys(&c, *format ? format : o->path, o->set, err, sizeof err))
    return fprintf(stderr, "fedlane: %s\n", err), FL_EXIT_USAGE;
  if (fl_dataset_load(&d, *format ? NULL : o->path, *format ? format : NULL, *format ? o->path : NULL, o->test,
                      &c.data_options, err, sizeof err)) {
    const char *guessed = o->format || !*format ? "" : " (no known set: read as this format by its name; --format says another)";
    return fprintf(stderr, "fedlane: %s%s%s%s%s\n", *format ? "format " : "", format, *format ? ": " : "", err, guessed),
           FL_EXIT_FAILED;
  }
  if (!*format) snprintf(d.name, sizeof d.name, "%s", o->path);
  json_t *out = data_json(&d, format);
  if (out && o->json) json_dumpf(out, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12)), putchar('\n');
  else if (out) print_data(&d, format, out);
  else fputs("fedlane: out of memory\n", stderr);
  const int code = out ? FL_EXIT_DONE : FL_EXIT_FAILED;
  json_decref(out);
  fl_dataset_free(&d);
  return code;
}
