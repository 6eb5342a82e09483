/* data_npz.c - NPZ: a zip archive (stored or deflated members) of NPY arrays, with the keys of Keras's data sets. */
#include "harness/data_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { uint16_t method; uint32_t crc; size_t packed, size, offset; } entry;
typedef struct { const fl_blob *blob; size_t begin, count; char *err; size_t err_size; } archive;
typedef struct { uint8_t *memory; const uint8_t *data; char kind; size_t item, ndim, shape[4], count; } array;

static uint16_t u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t u32(const uint8_t *p) { return (uint32_t)u16(p) | (uint32_t)u16(p + 2) << 16; }

/* The end record (its comment may have up to 65,535 bytes), then the central directory. */
static int open_archive(archive *a) {
  const fl_blob *b = a->blob;
  if (b->size >= 22)
    for (size_t i = b->size - 22, steps = 0; steps <= 65535; i--, steps++) {
      const uint8_t *p = b->bytes + i;
      if (u32(p) == 0x06054b50 && i + 22 + u16(p + 20) == b->size) {
        a->count = u16(p + 10);
        a->begin = u32(p + 16);
        if (a->begin <= i && a->count != 0xffff) return 0;
        break;
      }
      if (!i) break;
    }
  snprintf(a->err, a->err_size, "%s: not an NPZ file (no zip directory, or one of more than 4 GB)", b->path);
  return -1;
}

/* Finds "key.npy". 1 found, 0 not there, -1 damaged. */
static int find(const archive *a, const char *key, entry *e) {
  const fl_blob *b = a->blob;
  size_t at = a->begin;
  for (size_t i = 0; i < a->count; i++) {
    if (at + 46 > b->size || u32(b->bytes + at) != 0x02014b50) {
      snprintf(a->err, a->err_size, "%s: zip directory is damaged at entry %zu of %zu", b->path, i + 1, a->count);
      return -1;
    }
    const uint8_t *p = b->bytes + at;
    const size_t name = u16(p + 28), next = at + 46 + name + u16(p + 30) + u16(p + 32);
    if (next > b->size) {
      snprintf(a->err, a->err_size, "%s: zip directory is cut off at entry %zu of %zu", b->path, i + 1, a->count);
      return -1;
    }
    if (name == strlen(key) + 4 && !memcmp(p + 46, key, name - 4) && !memcmp(p + 46 + name - 4, ".npy", 4)) {
      *e = (entry){ u16(p + 10), u32(p + 16), u32(p + 20), u32(p + 24), u32(p + 42) };
      return 1;
    }
    at = next;
  }
  return 0;
}

static int inflate_raw(const uint8_t *in, size_t packed, uint8_t *out, size_t size) {
  z_stream z = { 0 };
  if (inflateInit2(&z, -MAX_WBITS) != Z_OK) return -1;
  z.next_in = (Bytef *)(uintptr_t)in;           /* zlib does not write there */
  z.avail_in = (uInt)packed;
  z.next_out = out;
  z.avail_out = (uInt)size;
  const int status = inflate(&z, Z_FINISH);
  const int ok = status == Z_STREAM_END && !z.avail_in && !z.avail_out;
  inflateEnd(&z);
  return ok ? 0 : -1;
}

/* Bytes of a member. NULL with a message. */
static uint8_t *extract(const archive *a, const char *key, const entry *e) {
  const fl_blob *b = a->blob;
  const uint8_t *local = b->bytes + e->offset;
  const char *what = NULL;
  uint8_t *out = NULL;
  size_t data = 0;
  if (e->packed == UINT32_MAX || e->size == UINT32_MAX || e->offset == UINT32_MAX)
    what = "4 GB or more; allowed are smaller arrays";
  else if (e->method != 0 && e->method != 8) what = "compression method is not 0 (stored) or 8 (deflate)";
  else if (e->offset + 30 > b->size || u32(local) != 0x04034b50) what = "local header is damaged";
  else {
    data = e->offset + 30 + u16(local + 26) + u16(local + 28);
    if (data > b->size || e->packed > b->size - data) what = "data is cut off";
    else if (e->method == 0 ? e->packed != e->size : e->size / 1032 > e->packed) what = "sizes do not fit together";
    else if (!(out = malloc(e->size + 1))) what = "no memory";
    else if (e->method == 0) memcpy(out, b->bytes + data, e->size);
    else if (inflate_raw(b->bytes + data, e->packed, out, e->size)) what = "damaged deflate stream";
  }
  if (!what && crc32_z(0, out, e->size) != e->crc) what = "checksum (CRC-32) does not match";
  if (!what) return out;
  snprintf(a->err, a->err_size, "%s, array %s: %s", b->path, key, what);
  free(out);
  return NULL;
}

/* The value of 'name' in the dictionary text, or NULL. */
static const char *field(const char *text, const char *name) {
  const char *p = strstr(text, name);
  if (!p) return NULL;
  p += strlen(name);
  while (*p == ' ' || *p == ':') p++;
  return p;
}

/* NPY header: dtype, order, shape. 0, or -1 with a message. */
static int parse_npy(const archive *a, const char *key, array *x, size_t size) {
  const uint8_t *p = x->memory;
  char text[512];
  size_t length = 0, begin = 0;
  if (size >= 12 && !memcmp(p, "\x93NUMPY", 6) && p[6] >= 1 && p[6] <= 3) {
    begin = p[6] == 1 ? 10 : 12;
    length = p[6] == 1 ? u16(p + 8) : u32(p + 8);
  }
  if (!begin || length > size - begin || length >= sizeof text) {
    snprintf(a->err, a->err_size, "%s, array %s: not an NPY array (versions 1 to 3)", a->blob->path, key);
    return -1;
  }
  memcpy(text, p + begin, length);
  text[length] = 0;
  const char *descr = field(text, "'descr'"), *order = field(text, "'fortran_order'"), *shape = field(text, "'shape'");
  if (!descr || descr[0] != '\'' || !strchr("|<", descr[1]) || !strchr("ui", descr[2]) || !strchr("1248", descr[3]) ||
      descr[4] != '\'') {
    snprintf(a->err, a->err_size, "%s, array %s: dtype is %.8s; allowed are little-endian integers (|u1, <i4, <i8 ...)",
             a->blob->path, key, descr ? descr : "missing");
    return -1;
  }
  if (!order || strncmp(order, "False", 5) || !shape || *shape != '(') {
    snprintf(a->err, a->err_size, "%s, array %s: fortran_order must be False and a shape given", a->blob->path, key);
    return -1;
  }
  x->kind = descr[2];
  x->item = (size_t)(descr[3] - '0');
  x->count = 1;
  for (shape++; *shape && *shape != ')' && x->ndim < 4;) {
    char *end;
    const unsigned long long d = strtoull(shape, &end, 10);
    if (end == shape || d > size || (d && x->count > size / d)) break;
    x->shape[x->ndim++] = (size_t)d;
    x->count *= (size_t)d;
    for (shape = end; *shape == ',' || *shape == ' ';) shape++;
  }
  if (*shape != ')' || !x->ndim || x->count * x->item != size - begin - length) {
    snprintf(a->err, a->err_size, "%s, array %s: the shape (1 to 4 dimensions) does not fit %zu bytes of data", a->blob->path,
             key, size - begin - length);
    return -1;
  }
  x->data = p + begin + length;
  return 0;
}

/* 1 read, 0 not there, -1 with a message. */
static int read_array(const archive *a, const char *key, array *x) {
  entry e;
  *x = (array){ 0 };
  const int found = find(a, key, &e);
  if (found != 1) return found;
  x->memory = extract(a, key, &e);
  if (!x->memory) return -1;
  if (!parse_npy(a, key, x, e.size)) return 1;
  free(x->memory);
  x->memory = NULL;
  return -1;
}

/* (n, h, w), (n, features), or (n, h, w, c) with 1 to 4 channels at the end (as in Keras), else (n, c, h, w). */
static int read_images(const archive *a, const char *key, fl_part *part) {
  array x;
  const int found = read_array(a, key, &x);
  if (found != 1) return found;
  const size_t *s = x.shape, last = x.ndim == 4 && s[3] <= 4;
  if (x.kind != 'u' || x.item != 1 || x.ndim < 2 || !x.count) {
    snprintf(a->err, a->err_size,
        "%s, array %s: %c%zu with %zu dimensions; allowed is a non-empty uint8 (u1) array of shape (n, h, w), "
             "(n, h, w, c), (n, c, h, w) or (n, features)", a->blob->path, key, x.kind, x.item, x.ndim);
    free(x.memory);
    return -1;
  }
  part->n = s[0];
  part->c = x.ndim < 4 ? 1 : last ? s[3] : s[1];
  part->h = x.ndim == 2 ? 1 : x.ndim == 3 || last ? s[1] : s[2];
  part->w = x.ndim == 2 ? s[1] : x.ndim == 3 || last ? s[2] : s[3];
  part->pixels = fl_pixels_alloc(x.count);
  if (!part->pixels) {
    snprintf(a->err, a->err_size, "%s, array %s: no memory for %zu bytes", a->blob->path, key, x.count);
    free(x.memory);
    return -1;
  }
  if (last && part->c > 1) {
    const size_t plane = part->h * part->w, c = part->c;
    for (size_t i = 0; i < part->n * plane; i++)
      for (size_t j = 0; j < c; j++)
        part->pixels[(i / plane * c + j) * plane + i % plane] = x.data[i * c + j];
  } else {
    memcpy(part->pixels, x.data, x.count);
  }
  free(x.memory);
  return 1;
}

static int64_t integer(const array *x, size_t i) {
  const uint8_t *p = x->data + i * x->item;
  uint64_t v = 0;
  for (size_t b = 0; b < x->item; b++) v |= (uint64_t)p[b] << 8 * b;
  if (x->kind == 'i' && x->item < 8 && v >> (8 * x->item - 1)) v -= UINT64_C(1) << 8 * x->item;
  return (int64_t)v;                            /* u8 beyond 2^63 becomes negative, which no caller allows */
}

/* n integers 0..most, each given to `out` (int32 or bytes). 1 read, 0 not there, -1 with a message. */
static int read_integers(const archive *a, const char *key, size_t n, int64_t most, int32_t *wide, uint8_t *narrow) {
  array x;
  const int found = read_array(a, key, &x);
  if (found != 1) return found;
  int status = 1;
  if (x.count != n || (x.ndim > 1 && x.shape[0] != n)) {
    snprintf(a->err, a->err_size, "%s, array %s: %zu values for %zu samples", a->blob->path, key, x.count, n);
    status = -1;
  }
  for (size_t i = 0; status == 1 && i < n; i++) {
    const int64_t v = integer(&x, i);
    if (v < 0 || v > most) {
      snprintf(a->err, a->err_size, "%s, array %s: value %lld at row %zu; allowed 0 to %lld", a->blob->path, key, (long long)v, i,
               (long long)most);
      status = -1;
    } else if (wide) {
      wide[i] = (int32_t)v;
    } else {
      narrow[i] = (uint8_t)v;
    }
  }
  free(x.memory);
  return status;
}

static int read_part(const archive *a, const char *x, const char *y, int needed, fl_part *part) {
  int status = read_images(a, x, part);
  const char *missing = status ? y : x;
  if (status == 1) {
    part->label = malloc(part->n);
    if (!part->label) {
      snprintf(a->err, a->err_size, "%s: no memory for %zu labels", a->blob->path, part->n);
      return -1;
    }
    status = read_integers(a, y, part->n, 255, NULL, part->label);
    needed = 1;
  }
  if (status || !needed) return status < 0 ? -1 : 0;
  snprintf(a->err, a->err_size, "%s: array %s is missing; needed are x_train and y_train, and x_test and y_test for evaluation "
           "(client_train is optional)", a->blob->path, missing);
  return -1;
}

int fl_npz_load(const char *path, fl_part part[2], char *err, size_t err_size) {
  fl_blob blob;
  if (fl_blob_read(&blob, path, err, err_size)) return -1;
  archive a = { &blob, 0, 0, err, err_size };
  snprintf(part[0].file[0].path, sizeof part[0].file[0].path, "%s", path);
  memcpy(part[0].file[0].sha256, blob.sha256, sizeof blob.sha256);
  int failed = open_archive(&a) || read_part(&a, "x_train", "y_train", 1, &part[0]) ||
               read_part(&a, "x_test", "y_test", 0, &part[1]);
  entry e;
  const int clients = failed ? 0 : find(&a, "client_train", &e);
  if (clients < 0) failed = 1;
  if (clients > 0) {
    part[0].client = malloc(part[0].n * sizeof *part[0].client);
    if (!part[0].client) snprintf(err, err_size, "%s: no memory for %zu clients", path, part[0].n);
    failed = !part[0].client || read_integers(&a, "client_train", part[0].n, INT32_MAX - 1, part[0].client, NULL) != 1;
  }
  fl_blob_free(&blob);
  return failed ? -1 : 0;
}
