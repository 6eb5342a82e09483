/* data_array.h - where the NPY arrays of a data set come from: an NPZ file or a folder. Private to data_npz.c and data_npy.c. */
#ifndef FEDLANE_DATA_ARRAY_H
#define FEDLANE_DATA_ARRAY_H
#include "harness/data_file.h"

/* path: for messages. blob: of the NPZ file; folder: or its name, whose files are noted in `into`. */
typedef struct {
  const char *path, *folder;
  const fl_blob *blob; size_t begin, count;
  fl_part *into;
  char *err; size_t err_size;
} fl_archive;
/* Finds the directory of an NPZ file. 0, or -1 with a message. */
int fl_archive_open(fl_archive *);
/* The bytes of the array KEY (KEY.npy), which the caller frees. 1 read, 0 not there, -1 with a message. */
int fl_archive_read(const fl_archive *, const char *key, uint8_t **bytes, size_t *size);
#endif
