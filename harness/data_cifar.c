/* data_cifar.c - the binary versions of CIFAR-10 (data_batch_1..5.bin, test_batch.bin) and CIFAR-100 (train.bin, test.bin): rows
 * of a label, for CIFAR-100 a coarse and a fine one, and 3x32x32 bytes. A file is read by a thread each. */
#include "harness/data_file.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 32, PIXELS = 3 * SIDE * SIDE, MOST = 6 };
typedef struct { const char *name; int test; } source;
static const source ten[] = { { "data_batch_1.bin", 0 }, { "data_batch_2.bin", 0 }, { "data_batch_3.bin", 0 },
                              { "data_batch_4.bin", 0 }, { "data_batch_5.bin", 0 }, { "test_batch.bin", 1 } };
static const source hundred[] = { { "train.bin", 0 }, { "test.bin", 1 } };

typedef struct { fl_data_file *file; fl_blob blob; size_t rows, labels; int failed; char err[700]; } job;

static void *read_file(void *arg) {
  job *j = arg;
  const size_t row = j->labels + PIXELS;
  if ((j->failed = fl_blob_read(&j->blob, j->file->path, j->err, sizeof j->err))) return NULL;
  memcpy(j->file->sha256, j->blob.sha256, sizeof j->blob.sha256);
  j->rows = j->blob.size / row;
  if (!j->blob.size || j->blob.size % row) {
    snprintf(j->err, sizeof j->err, "%s: %zu bytes; allowed: rows of %zu bytes, %zu label%s and %d pixels each", j->file->path,
             j->blob.size, row, j->labels, j->labels == 1 ? "" : "s", (int)PIXELS);
    j->failed = -1;
  }
  return NULL;
}

static int read_all(job *jobs, size_t n, char *err, size_t size) {
  pthread_t thread[MOST];
  int started[MOST], failed = 0;
  for (size_t i = 0; i < n; i++) started[i] = !pthread_create(&thread[i], NULL, read_file, &jobs[i]);
  for (size_t i = 0; i < n; i++) {
    if (started[i]) pthread_join(thread[i], NULL);
    else read_file(&jobs[i]);
    if (jobs[i].failed && !failed) snprintf(err, size, "%s", jobs[i].err), failed = -1;
  }
  return failed;
}

/* The rows of the jobs of one split, in order, each with one of its labels. */
static int copy_rows(const source *from, const job *jobs, size_t n, int test, size_t label, fl_part *part, char *err,
                     size_t size) {
  size_t at = 0;
  for (size_t i = 0; i < n; i++) part->n += from[i].test == test ? jobs[i].rows : 0;
  part->c = 3, part->h = part->w = SIDE;
  part->pixels = fl_pixels_alloc(part->n * PIXELS);
  part->label = malloc(part->n);
  if (!part->pixels || !part->label) return snprintf(err, size, "%s: no memory for %zu rows", jobs[0].file->path, part->n), -1;
  for (size_t i = 0; i < n; i++) {
    for (size_t r = 0; from[i].test == test && r < jobs[i].rows; r++, at++) {
      const uint8_t *row = jobs[i].blob.bytes + r * (jobs[i].labels + PIXELS);
      part->label[at] = row[label];
      memcpy(part->pixels + at * PIXELS, row + jobs[i].labels, PIXELS);
    }
  }
  return 0;
}

int fl_cifar_load(const char *folder, size_t classes, fl_part part[2], char *err, size_t size) {
  const source *from = classes == 10 ? ten : hundred;
  const size_t label = classes == 100;          /* the coarse one comes first */
  const size_t n = classes == 10 ? sizeof ten / sizeof *ten : sizeof hundred / sizeof *hundred;
  job *jobs = calloc(MOST, sizeof *jobs);
  size_t files[2] = { 0, 0 };
  if (!jobs) return snprintf(err, size, "%s: no memory", folder), -1;
  for (size_t i = 0; i < n; i++) {
    jobs[i].file = &part[from[i].test].file[files[from[i].test]++];
    jobs[i].labels = classes == 10 ? 1 : 2;
    snprintf(jobs[i].file->path, sizeof jobs[i].file->path, "%.480s/%s", folder, from[i].name);
  }
  int failed = read_all(jobs, n, err, size);
  for (int test = 0; test < 2 && !failed; test++) failed = copy_rows(from, jobs, n, test, label, &part[test], err, size);
  for (size_t i = 0; i < n; i++) fl_blob_free(&jobs[i].blob);
  free(jobs);
  return failed;
}
