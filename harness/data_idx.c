/* data_idx.c - IDX files (the format of MNIST), raw or gzip. Files of a data set are read and inflated by a thread each:
 * starting up is mostly inflation. */
#include "harness/data_file.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_RATIO 1032u                         /* no deflate stream grows more than this */

typedef struct { fl_part *part; int labels; uint8_t *bytes; size_t dim[3]; int failed; char err[700]; } job;

static uint32_t big_endian(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

/* Magic and dimensions. Returns the bytes that must follow, or 0 with a message. */
static size_t header(fl_reader *r, job *j) {
  const char *path = r->blob->path;
  const uint32_t magic = j->labels ? 0x801 : 0x803;
  const size_t dims = j->labels ? 1 : 3, size = 4 + 4 * dims;
  uint8_t head[16];
  size_t got, total = 1;
  if (fl_reader_take(r, head, size, &got, j->err, sizeof j->err)) return 0;
  if (got >= 4 && big_endian(head) != magic) {
    snprintf(j->err, sizeof j->err,
        "%s: magic number is 0x%08x; an IDX file of %s begins with 0x%08x (unsigned bytes, %zu dimension%s)",
             path, big_endian(head), j->labels ? "labels" : "images", magic, dims, dims == 1 ? "" : "s");
    return 0;
  }
  if (got < size) {
    snprintf(j->err, sizeof j->err, "%s: %zu bytes; an IDX header of %s has %zu", path, got, j->labels ? "labels" : "images",
        size);
    return 0;
  }
  static const char *const field[] = { "number of items", "rows", "columns" };
  static const size_t most[] = { UINT32_MAX, 4096, 4096 };
  for (size_t i = 0; i < dims; i++) {
    j->dim[i] = big_endian(head + 4 + 4 * i);
    if (!j->dim[i] || j->dim[i] > most[i]) {
      snprintf(j->err, sizeof j->err, "%s: %s is %zu; allowed 1 to %zu", path, field[i], j->dim[i], most[i]);
      return 0;
    }
    total *= j->dim[i];
  }
  const size_t bound = r->gzip ? r->blob->size * MAX_RATIO : r->blob->size - size;
  if (total > bound) {                          /* refused before memory is asked for */
    snprintf(j->err, sizeof j->err, "%s: the header announces %zu bytes of data, the file %s %zu", path, total,
             r->gzip ? "can hold at most" : "has", bound);
    return 0;
  }
  return total;
}

static int body(fl_reader *r, job *j, size_t total) {
  uint8_t extra;
  size_t got;
  j->bytes = fl_pixels_alloc(total);
  if (!j->bytes) {
    snprintf(j->err, sizeof j->err, "%s: no memory for %zu bytes", r->blob->path, total);
    return -1;
  }
  if (fl_reader_take(r, j->bytes, total, &got, j->err, sizeof j->err)) return -1;
  if (got < total) {
    snprintf(j->err, sizeof j->err, "%s: the header announces %zu bytes of data, the file has %zu", r->blob->path, total, got);
    return -1;
  }
  if (fl_reader_take(r, &extra, 1, &got, j->err, sizeof j->err)) return -1;
  if (got) {
    snprintf(j->err, sizeof j->err, "%s: more data than the %zu bytes that the header announces", r->blob->path, total);
    return -1;
  }
  return 0;
}

static void *run(void *arg) {
  job *j = arg;
  fl_data_file *file = &j->part->file[j->labels];
  fl_blob blob;
  fl_reader r;
  j->failed = -1;
  if (fl_blob_read(&blob, file->path, j->err, sizeof j->err)) return NULL;
  memcpy(file->sha256, blob.sha256, sizeof blob.sha256);
  if (!fl_reader_open(&r, &blob, j->err, sizeof j->err)) {
    const size_t total = header(&r, j);
    if (total) j->failed = body(&r, j, total);
    fl_reader_close(&r);
  }
  fl_blob_free(&blob);
  return NULL;
}

int fl_idx_load(fl_part *part, size_t n, char *err, size_t err_size) {
  job *jobs = calloc(2 * n, sizeof *jobs);
  pthread_t *thread = calloc(2 * n, sizeof *thread);
  int *started = calloc(2 * n, sizeof *started), failed = 0;
  if (!jobs || !thread || !started) {
    snprintf(err, err_size, "%s: no memory", part[0].file[0].path);
    failed = -1;
  }
  for (size_t i = 0; !failed && i < 2 * n; i++) {
    jobs[i].part = &part[i / 2];
    jobs[i].labels = (int)(i % 2);
    started[i] = i && !pthread_create(&thread[i], NULL, run, &jobs[i]);
  }
  for (size_t i = 0; !failed && i < 2 * n; i++) /* the first, and any that got no thread, here */
    if (!started[i]) run(&jobs[i]);
  for (size_t i = 0; jobs && started && i < 2 * n; i++) {
    if (started[i]) pthread_join(thread[i], NULL);
    if (jobs[i].failed && !failed) {
      snprintf(err, err_size, "%s", jobs[i].err);
      failed = -1;
    }
    if (jobs[i].labels) part[i / 2].label = jobs[i].bytes;
    else part[i / 2].pixels = jobs[i].bytes;
  }
  for (size_t i = 0; !failed && i < n; i++) {
    const job *x = &jobs[2 * i], *y = &jobs[2 * i + 1];
    part[i].n = x->dim[0], part[i].c = 1, part[i].h = x->dim[1], part[i].w = x->dim[2];
    if (x->dim[0] != y->dim[0]) {
      snprintf(err, err_size, "%s: %zu labels, but %s has %zu images", part[i].file[1].path, y->dim[0], part[i].file[0].path,
          x->dim[0]);
      failed = -1;
    }
  }
  free(jobs), free(thread), free(started);
  return failed;
}

static int is_file(const char *path) {
  struct stat st;
  return !stat(path, &st) && S_ISREG(st.st_mode);
}

/* head + middle + tail, as it is or with .gz added or taken away, whichever exists. 0 when found. */
static int join(char out[512], int head_length, const char *head, const char *middle, const char *tail) {
  char base[512];
  int length = snprintf(base, sizeof base, "%.*s%s%s", head_length, head, middle, tail);
  if (length < 0 || length >= 500) return -1;
  if (length > 3 && !strcmp(base + length - 3, ".gz")) base[length - 3] = 0;
  memcpy(out, base, sizeof base);
  if (is_file(out)) return 0;
  strcat(out, ".gz");
  return is_file(out) ? 0 : -1;
}

/* The labels file beside an images file: the last "images" of the name becomes "labels", idx3 becomes idx1. */
static int find_labels(const char *images, char out[512], char *err, size_t err_size) {
  static const char *const form[][2] = { { "images-idx3", "labels-idx1" }, { "images.idx3", "labels.idx1" } };
  const char *slash = strrchr(images, '/'), *name = slash ? slash + 1 : images;
  for (size_t i = 0; i < 2; i++) {
    const char *hit = strstr(name, form[i][0]);
    if (!hit) continue;
    if (!join(out, (int)(hit - images), images, form[i][1], hit + strlen(form[i][0]))) return 0;
    snprintf(err, err_size, "%.*s%s%s: not found (the labels of %s)", (int)(hit - images), images, form[i][1],
             hit + strlen(form[i][0]), images);
    return -1;
  }
  snprintf(err, err_size,
      "%s: the name of an IDX images file must hold \"images-idx3\" (the labels file has \"labels-idx1\" there)", images);
  return -1;
}

int fl_idx_find(const char *path, const char *split, fl_part *part, char *err, size_t err_size) {
  struct stat st;
  char name[64], *out = part->file[0].path;
  const char *const other = strcmp(split, "train") ? "test" : NULL;
  const int folder = !stat(path, &st) && S_ISDIR(st.st_mode);
  if (strlen(path) > 440) {
    snprintf(err, err_size, "%s: path has %zu characters; allowed 440", path, strlen(path));
    return -1;
  }
  if (is_file(path)) {
    snprintf(out, sizeof part->file[0].path, "%s", path);
    return find_labels(out, part->file[1].path, err, err_size);
  }
  const int length = (int)strlen(path);
  snprintf(name, sizeof name, "%s%s-images", folder ? "/" : "", folder ? split : "");
  int found = !join(out, length, path, name, "-idx3-ubyte") || !join(out, length, path, name, ".idx3-ubyte");
  if (!found && folder && other) {
    snprintf(name, sizeof name, "/%s-images", other);
    found = !join(out, length, path, name, "-idx3-ubyte");
  }
  if (!found && !folder) found = !join(out, length, path, "images", "-idx3-ubyte") || !join(out, length, path, "", "");
  if (found) return find_labels(out, part->file[1].path, err, err_size);
  if (folder) snprintf(err, err_size, "%s/%s-images-idx3-ubyte: not found, nor with .gz", path, split);
  else snprintf(err, err_size,
      "%s: not found; allowed: an IDX images file, its prefix (before \"-images-idx3-ubyte\"), or a folder", path);
  return -1;
}
