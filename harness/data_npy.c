/* data_npy.c - NPY arrays as a data set, with the keys of Keras's: bytes are pixels, other numbers features, and tokens_train in
 * the place of x_train has tokens. */
#include "harness/data_array.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { uint8_t *memory; const uint8_t *data; char kind; size_t item, ndim, shape[4], count; } array;
enum { MOST_WHOLE = 1 << 24, MOST_TOKEN = (1 << 20) - 1 };

static int fail(const fl_archive *a, const char *key, const char *what) {
  return snprintf(a->err, a->err_size, "%s, array %s: %s", a->path, key, what), -1;
}

/* The value of 'name' in the dictionary text, or NULL. */
static const char *field(const char *text, const char *name) {
  const char *p = strstr(text, name);
  if (!p) return NULL;
  p += strlen(name);
  while (*p == ' ' || *p == ':') p++;
  return p;
}

static int parse_shape(const char *shape, size_t size, array *x) {
  x->count = 1;
  for (shape++; *shape && *shape != ')' && x->ndim < 4;) {
    char *end;
    const unsigned long long d = strtoull(shape, &end, 10);
    if (end == shape || d > size || (d && x->count > size / d)) break;
    x->shape[x->ndim++] = (size_t)d;
    x->count *= (size_t)d;
    for (shape = end; *shape == ',' || *shape == ' ';) shape++;
  }
  return *shape != ')' || !x->ndim || x->count * x->item != size;
}

static int is_type(const char *descr) {
  if (!descr || descr[0] != '\'' || !strchr("|<", descr[1]) || !descr[2] || !descr[3] || descr[4] != '\'') return 0;
  return descr[2] == 'f' ? strchr("48", descr[3]) != NULL : strchr("ui", descr[2]) && strchr("1248", descr[3]);
}

/* NPY header: dtype, order, shape. 0, or -1 with a message. */
static int parse_npy(const fl_archive *a, const char *key, array *x, size_t size) {
  const uint8_t *p = x->memory;
  char text[512], what[200];
  size_t length = 0, begin = 0;
  if (size >= 12 && !memcmp(p, "\x93NUMPY", 6) && p[6] >= 1 && p[6] <= 3) {
    begin = p[6] == 1 ? 10 : 12;
    length = p[6] == 1 ? (size_t)(p[8] | p[9] << 8) : (size_t)(p[8] | p[9] << 8 | p[10] << 16) | (size_t)p[11] << 24;
  }
  if (!begin || length > size - begin || length >= sizeof text) return fail(a, key, "not an NPY array (versions 1 to 3)");
  memcpy(text, p + begin, length);
  text[length] = 0;
  const char *descr = field(text, "'descr'"), *order = field(text, "'fortran_order'"), *shape = field(text, "'shape'");
  if (!is_type(descr)) {
    snprintf(what, sizeof what, "dtype is %.*s; allowed are little-endian integers and floats (|u1, <i4, <i8, <f4, <f8 ...)",
             descr ? (int)strcspn(descr, ",}") : 7, descr ? descr : "missing");
    return fail(a, key, what);
  }
  if (!order || strncmp(order, "False", 5) || !shape || *shape != '(')
    return fail(a, key, "fortran_order must be False and a shape given");
  x->kind = descr[2];
  x->item = (size_t)(descr[3] - '0');
  if (parse_shape(shape, size - begin - length, x)) {
    snprintf(what, sizeof what, "the shape (1 to 4 dimensions) does not fit %zu bytes of data", size - begin - length);
    return fail(a, key, what);
  }
  x->data = p + begin + length;
  return 0;
}

/* 1 read, 0 not there, -1 with a message. */
static int read_array(const fl_archive *a, const char *key, array *x) {
  size_t size;
  *x = (array){ 0 };
  const int found = fl_archive_read(a, key, &x->memory, &size);
  if (found != 1) return found;
  if (!parse_npy(a, key, x, size)) return 1;
  free(x->memory);
  x->memory = NULL;
  return -1;
}

/* ---- numbers --------------------------------------------------------------------------------------------------------------- */
static int64_t integer(const array *x, size_t i) {
  const uint8_t *p = x->data + i * x->item;
  uint64_t v = 0;
  for (size_t b = 0; b < x->item; b++) v |= (uint64_t)p[b] << 8 * b;
  if (x->kind == 'i' && x->item < 8 && v >> (8 * x->item - 1)) v -= UINT64_C(1) << 8 * x->item;
  return (int64_t)v;                            /* u8 beyond 2^63 becomes negative, which no caller allows */
}

static float real(const array *x, size_t i) {
  float f;
  double d;
  memcpy(&f, x->data + i * x->item, sizeof f);
  if (x->item == 4) return f;
  memcpy(&d, x->data + i * x->item, sizeof d);
  return (float)d;
}

/* Number i as a feature; 0, or -1 with a message. */
static int feature(const fl_archive *a, const char *key, const array *x, size_t i, float *out) {
  char what[160];
  const size_t row = i / (x->count / x->shape[0]);
  if (x->kind == 'f') {
    *out = real(x, i);
    if (isfinite(*out)) return 0;
    snprintf(what, sizeof what, "a number of row %zu is not finite, or beyond 32 bits; allowed: finite numbers", row);
  } else {
    const int64_t v = integer(x, i);
    *out = (float)v;
    if (v >= -MOST_WHOLE && v <= MOST_WHOLE) return 0;
    snprintf(what, sizeof what, "value %lld at row %zu; allowed: -2^24 to 2^24, which 32-bit floats hold", (long long)v, row);
  }
  return fail(a, key, what);
}

/* All integers, from 0 to most. 0, or -1 with a message. */
static int take_integers(const fl_archive *a, const char *key, const array *x, int64_t most, int32_t *out) {
  char what[160];
  if (x->kind == 'f') return fail(a, key, "floating-point numbers; allowed: integers");
  for (size_t i = 0; i < x->count; i++) {
    const int64_t v = integer(x, i);
    if (v < 0 || v > most) {
      snprintf(what, sizeof what, "value %lld at row %zu; allowed 0 to %lld", (long long)v, i / (x->count / x->shape[0]),
               (long long)most);
      return fail(a, key, what);
    }
    out[i] = (int32_t)v;
  }
  return 0;
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------ */
/* (n, h, w), (n, features), or (n, h, w, c) with 1 to 4 channels at the end (as in Keras), else (n, c, h, w). */
static int take_inputs(const fl_archive *a, const char *key, const array *x, fl_part *part) {
  const size_t *s = x->shape, last = x->ndim == 4 && s[3] <= 4;
  const int bytes = x->kind == 'u' && x->item == 1;
  if (x->ndim < 2 || !x->count)
    return fail(a, key, "not a non-empty array of shape (n, h, w), (n, h, w, c), (n, c, h, w) or (n, features), of uint8 "
                        "(pixels) or of other numbers (features)");
  part->n = s[0];
  part->c = x->ndim < 4 ? 1 : last ? s[3] : s[1];
  part->h = x->ndim == 2 ? 1 : x->ndim == 3 || last ? s[1] : s[2];
  part->w = x->ndim == 2 ? s[1] : x->ndim == 3 || last ? s[2] : s[3];
  if (bytes) part->pixels = fl_pixels_alloc(x->count);
  else part->features = fl_pixels_alloc(x->count * sizeof *part->features);
  if (!part->pixels && !part->features) return fail(a, key, "no memory for its rows");
  const size_t plane = part->h * part->w, c = part->c, row = c * plane;
  if (bytes && !(last && c > 1)) return memcpy(part->pixels, x->data, x->count), 0;
  for (size_t i = 0; i < x->count; i++) {
    const size_t j = i % row, to = last && c > 1 ? i - j + j % c * plane + j / c : i;
    if (bytes) part->pixels[to] = x->data[i];
    else if (feature(a, key, x, i, &part->features[to])) return -1;
  }
  return 0;
}

static int take_tokens(const fl_archive *a, const char *key, const array *x, fl_part *part) {
  if (x->ndim != 2 || !x->count) return fail(a, key, "not a non-empty array of shape (n, positions)");
  part->n = x->shape[0], part->c = part->h = 1, part->w = x->shape[1];
  part->tokens = fl_pixels_alloc(x->count * sizeof *part->tokens);
  if (!part->tokens) return fail(a, key, "no memory for its rows");
  return take_integers(a, key, x, MOST_TOKEN, part->tokens);
}

/* A label a row, or of tokens one a position. */
static int take_labels(const fl_archive *a, const char *key, const array *x, fl_part *part) {
  char what[160];
  const int each = part->tokens && part->w > 1 && x->ndim == 2 && x->shape[0] == part->n && x->shape[1] == part->w;
  if (!each && (x->count != part->n || x->shape[0] != part->n)) {
    snprintf(what, sizeof what, "%zu values for %zu samples", x->count, part->n);
    return fail(a, key, what);
  }
  part->positions = each ? part->w : 0;
  part->label32 = malloc(x->count * sizeof *part->label32);
  if (!part->label32) return fail(a, key, "no memory for its labels");
  return take_integers(a, key, x, FL_MOST_CLASSES - 1, (int32_t *)part->label32);
}

static int take_clients(const fl_archive *a, const char *key, const array *x, fl_part *part) {
  char what[160];
  if (x->count != part->n || x->shape[0] != part->n) {
    snprintf(what, sizeof what, "%zu values for %zu samples", x->count, part->n);
    return fail(a, key, what);
  }
  part->client = malloc(part->n * sizeof *part->client);
  return part->client ? take_integers(a, key, x, INT32_MAX - 1, part->client) : fail(a, key, "no memory for its clients");
}

typedef int take_array(const fl_archive *, const char *key, const array *, fl_part *);
/* 1 taken, 0 not there, -1 with a message. */
static int read_into(const fl_archive *a, const char *key, take_array *take) {
  array x;
  const int found = read_array(a, key, &x);
  if (found != 1) return found;
  const int bad = x.shape[0] ? take(a, key, &x, a->into) : fail(a, key, "it is empty; allowed: one row or more");
  free(x.memory);
  return bad ? -1 : 1;
}

static int read_part(fl_archive *a, int test, fl_part *part) {
  const char *const x = test ? "x_test" : "x_train", *const y = test ? "y_test" : "y_train";
  a->into = part;
  int status = read_into(a, x, take_inputs);
  if (!status) status = read_into(a, test ? "tokens_test" : "tokens_train", take_tokens);
  const char *missing = status ? y : x;
  if (status == 1) {
    status = read_into(a, y, take_labels);
    if (!status) test = 0;                      /* then it is needed */
  }
  if (status || test) return status < 0 ? -1 : 0;
  snprintf(a->err, a->err_size, "%s: array %s is missing; needed are x_train (or tokens_train) and y_train, and x_test and "
           "y_test for evaluation (client_train is optional)", a->path, missing);
  return -1;
}

static int load(fl_archive *a, fl_part part[2]) {
  if (read_part(a, 0, &part[0]) || read_part(a, 1, &part[1])) return -1;
  a->into = &part[0];
  return read_into(a, "client_train", take_clients) < 0 ? -1 : 0;
}

int fl_npz_load(const char *path, fl_part part[2], char *err, size_t err_size) {
  fl_blob blob;
  if (fl_blob_read(&blob, path, err, err_size)) return -1;
  fl_archive a = { .path = path, .blob = &blob, .err = err, .err_size = err_size };
  snprintf(part[0].file[0].path, sizeof part[0].file[0].path, "%s", path);
  memcpy(part[0].file[0].sha256, blob.sha256, sizeof blob.sha256);
  const int failed = fl_archive_open(&a) || load(&a, part);
  fl_blob_free(&blob);
  return failed ? -1 : 0;
}

int fl_npy_load(const char *folder, fl_part part[2], char *err, size_t err_size) {
  fl_archive a = { .path = folder, .folder = folder, .err = err, .err_size = err_size };
  return load(&a, part);
}
