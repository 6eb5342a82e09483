/* data.h - data sets in memory: IDX (raw or gzip), NPZ and CIFAR's binary files, and the sets known by name. */
#ifndef FEDLANE_DATA_H
#define FEDLANE_DATA_H
#include "models/model.h"

typedef struct { char path[512], sha256[65]; } fl_data_file;
typedef struct fl_dataset {
  char name[64];
  fl_samples train, test;                       /* classes = 1 + largest label, same for both */
  double mean, std;                             /* of the pixels scaled to 0..1 (published constants of known sets) */
  double channel[6];                            /* of a set whose channels have their own: three means, three deviations */
  int32_t *client;                              /* natural client of each training row, or NULL (NPZ client_train) */
  fl_data_file file[8]; size_t n_files;
  struct fl_population *population;             /* synthetic: training rows are made when asked for (population.h), or NULL */
  void *memory[6];
} fl_dataset;
/* format NULL: `name` is a known set (fl_dataset_known). "idx": train/test name an images file, or a folder or prefix;
 * the labels file is found beside it by the usual names. "npz": one file path in `train` with x_train y_train x_test y_test
 * (test may be NULL). "cifar10", "cifar100": the folder of the binary version in `train`. Returns 0, or -1 with one message
 * naming file, field, value, what is allowed. */
int fl_dataset_load(fl_dataset *, const char *name, const char *format, const char *train, const char *test, char *err,
                    size_t err_size);
void fl_dataset_free(fl_dataset *);
/* Inputs are (pixel/255 - mean)/std. standard: the set's own mean and deviation (as loaded); unit: 0 to 1; symmetric: -1 to 1. */
#define FL_SCALING_CHOICES "standard|unit|symmetric"
typedef enum { FL_SCALING_STANDARD, FL_SCALING_UNIT, FL_SCALING_SYMMETRIC } fl_scaling;
void fl_dataset_scale(fl_dataset *, fl_scaling);
/* A validation split for choosing hyper-parameters: `fraction` of the training rows (FL_PURPOSE_VALIDATION, seed 0) becomes the
 * test set, the rest stays; the real test rows are dropped. 0, or -1 with a message. */
int fl_dataset_holdout(fl_dataset *, double fraction, char *err, size_t err_size);
size_t fl_dataset_known_count(void);
const char *fl_dataset_known(size_t i, const char **help);
/* Memory for n bytes of pixels, given back by free(). Rows are read in random order: on pages of 4 KiB each costs walks through
 * the page tables, so a large set asks for huge pages. */
void *fl_pixels_alloc(size_t n);
/* Hex SHA-256 of bytes (libcrypto). out: 65 bytes. */
void fl_sha256(const void *, size_t, char out[65]);
#endif
