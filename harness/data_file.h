/* data_file.h - files of data sets: bytes as on disk with their hash, and a reader that inflates gzip. Private to data*.c. */
#ifndef FEDLANE_DATA_FILE_H
#define FEDLANE_DATA_FILE_H
#include "harness/data.h"
#include <zlib.h>

typedef struct { const char *path; uint8_t *bytes; size_t size; char sha256[65]; } fl_blob;
/* The whole file in memory. 0, or -1 with a message. */
int fl_blob_read(fl_blob *, const char *path, char *err, size_t err_size);
void fl_blob_free(fl_blob *);

/* Forward reader over a blob; gzip (any number of members) is recognised by its first two bytes. */
typedef struct { const fl_blob *blob; size_t next; int gzip, end; z_stream z; } fl_reader;
int fl_reader_open(fl_reader *, const fl_blob *, char *err, size_t err_size);
/* Up to n bytes into out; *got < n only at the end. -1 with a message when the file is damaged. */
int fl_reader_take(fl_reader *, void *out, size_t n, size_t *got, char *err, size_t err_size);
void fl_reader_close(fl_reader *);

/* The whole of a file, inflated, with a 0 behind it: text, free it. file: path and hash. NULL with a message. */
char *fl_text_read(fl_data_file *file, const char *path, size_t *size, char *err, size_t err_size);

/* One split of a data set, its arrays as in fl_samples but malloc'ed, and the files that it came from. positions 0: one label a
 * row. */
typedef struct {
  size_t n, c, h, w, positions;
  uint8_t *pixels, *label;
  uint32_t *label32;                            /* in the place of label: bytes take it when all classes are known to fit */
  float *features;
  int32_t *tokens;
  size_t *begin; uint32_t *column; float *value;
  int32_t *client;
  fl_data_file file[5];
} fl_part;
/* Finds the pair by `path` (an images file, a folder, or a prefix) and `split` ("train", "t10k"). 0, or -1 with a message. */
int fl_idx_find(const char *path, const char *split, fl_part *, char *err, size_t err_size);
/* Reads the pairs of n parts, all files at the same time. */
int fl_idx_load(fl_part *part, size_t n, char *err, size_t err_size);
/* Reads x_train y_train x_test y_test [client_train] of an NPZ file, or of a folder of NPY files of these names; part[1].n = 0
 * when there is no test. */
int fl_npz_load(const char *path, fl_part part[2], char *err, size_t err_size);
int fl_npy_load(const char *folder, fl_part part[2], char *err, size_t err_size);
/* data_libsvm.c, data_text.c, data_sentences.c: part[1].n = 0 without test. Classes' values go to the data set. */
int fl_libsvm_load(fl_dataset *, const char *train, const char *test, const fl_data_options *, fl_part part[2], char *err,
                   size_t err_size);
int fl_text_load(fl_dataset *, const char *train, const char *test, const fl_data_options *, fl_part part[2], char *err,
                 size_t err_size);
/* data_made.c: format alpha_beta or blobs. */
int fl_made_load(fl_dataset *, const char *format, const fl_data_options *, fl_part part[2], char *err, size_t err_size);
int fl_sentences_load(const char *train, const char *test, const fl_data_options *, fl_part part[2], char *err,
                      size_t err_size);
/* Reads the binary version of CIFAR-10 or CIFAR-100 (fine labels, 100, or coarse ones, 20) from its folder, all files at the same
 * time. */
int fl_cifar_load(const char *folder, size_t classes, fl_part part[2], char *err, size_t err_size);
#endif
