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

/* One split of a data set: images and labels of one pair of IDX files. Fields are malloc'ed; hashes of the two files. */
typedef struct {
  size_t n, c, h, w;
  uint8_t *pixels, *label;
  int32_t *client;
  fl_data_file file[5];
} fl_part;
/* Finds the pair by `path` (an images file, a folder, or a prefix) and `split` ("train", "t10k"). 0, or -1 with a message. */
int fl_idx_find(const char *path, const char *split, fl_part *, char *err, size_t err_size);
/* Reads the pairs of n parts, all files at the same time. */
int fl_idx_load(fl_part *part, size_t n, char *err, size_t err_size);
/* Reads x_train y_train x_test y_test [client_train] of an NPZ file; part[1].n = 0 when there is no test. */
int fl_npz_load(const char *path, fl_part part[2], char *err, size_t err_size);
/* Reads the binary version of CIFAR-10 or CIFAR-100 (fine labels) from its folder, all files at the same time. */
int fl_cifar_load(const char *folder, size_t classes, fl_part part[2], char *err, size_t err_size);
#endif
