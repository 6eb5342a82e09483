/* data.h - data sets in memory: images (IDX, CIFAR's binary files, NPZ), features (LIBSVM, NPZ, NPY), text (characters,
 * sentences) and the sets known by name. */
#ifndef FEDLANE_DATA_H
#define FEDLANE_DATA_H
#include "models/model.h"

typedef struct { char path[512], sha256[65]; } fl_data_file;
typedef struct fl_dataset {
  char name[64];
  fl_samples train, test;                       /* classes = 1 + largest label, same for both */
  double mean, std;                             /* of the pixels scaled to 0..1 (published constants of known sets) */
  double channel[6];                            /* of a set whose channels have their own: three means, three deviations */
  int32_t *client;                              /* natural client of each training row, or NULL (client_train, speakers, users) */
  uint8_t *unlabelled;                          /* zeros, where rows have several labels: what a partition takes for theirs */
  /* What class i is in the files where it is not i itself: a label of LIBSVM, a character. 0: they are the same. */
  size_t n_values; int32_t *value;
  fl_data_file file[8]; size_t n_files;
  struct fl_population *population;             /* synthetic: training rows are made when asked for (population.h), or NULL */
} fl_dataset;
enum { FL_INDEX_AUTO, FL_INDEX_ZERO, FL_INDEX_ONE };
#define FL_INDEX_CHOICES "auto|zero|one"
enum { FL_PREDICT_EVERY, FL_PREDICT_LAST };
#define FL_PREDICT_CHOICES "every|last"
/* What the formats of features and text have beside their files (docs/data.md); zeros are no defaults: fl_data_defaults is. */
typedef struct {
  size_t length, stride; int predict, speakers; double test_part;         /* of text and sentences */
  int index_base;                               /* of libsvm */
  int coarse;                                   /* of cifar100: its 20 classes of five */
  uint64_t seed;                                /* of what is made: alpha_beta (users, alpha, beta, iid), blobs (the rest) */
  size_t users; double alpha, beta; int iid;
  size_t rows, features, classes; double spread;
} fl_data_options;
extern const fl_data_options fl_data_defaults;
/* format NULL: `name` is a known set (fl_dataset_known). "idx": train/test name an images file, or a folder or prefix;
 * the labels file is found beside it by the usual names. "npz": one file path in `train` with x_train y_train x_test y_test
 * (test may be NULL); "npy": the folder of files of these names. "cifar10", "cifar100": the folder of the binary version in
 * `train`. "libsvm", "text", "sentences": a file in train, and in test or none. options NULL: the defaults. Returns 0, or -1 with
 * one message naming file, field or line, value, what is allowed. */
int fl_dataset_load(fl_dataset *, const char *name, const char *format, const char *train, const char *test,
                    const fl_data_options *, char *err, size_t err_size);
extern const char *const fl_data_formats[];     /* of files; n of them */
extern const size_t fl_data_format_count;
int fl_format_is_made(const char *format);      /* one of them, but from a seed: no files */
void fl_dataset_free(fl_dataset *);
/* Inputs are (pixel/255 - mean)/std. standard: the set's own mean and deviation (as loaded); unit: 0 to 1; symmetric: -1 to 1. */
#define FL_SCALING_CHOICES "standard|unit|symmetric"
typedef enum { FL_SCALING_STANDARD, FL_SCALING_UNIT, FL_SCALING_SYMMETRIC } fl_scaling;
/* data.augment, in the order of the bits of FL_AUGMENT_*. */
#define FL_AUGMENT_CHOICES "none|crop|flip|crop_flip"
void fl_dataset_scale(fl_dataset *, fl_scaling);
/* A validation split for choosing hyper-parameters: `fraction` of the training rows (FL_PURPOSE_VALIDATION, seed 0) becomes the
 * test set, the rest stays; the real test rows are dropped. 0, or -1 with a message. */
int fl_dataset_holdout(fl_dataset *, double fraction, char *err, size_t err_size);
/* n rows of `from` in memory of their own; 0, or -1 without memory (and nothing is kept). */
int fl_samples_copy(const fl_samples *from, const uint32_t *row, size_t n, fl_samples *out);
/* The arrays of rows that were read or copied. */
void fl_samples_free(fl_samples *);
size_t fl_samples_row(const fl_samples *);      /* inputs of a row */
size_t fl_dataset_known_count(void);
const char *fl_dataset_known(size_t i, const char **help);
/* Memory for n bytes of pixels, given back by free(). Rows are read in random order: on pages of 4 KiB each costs walks through
 * the page tables, so a large set asks for huge pages. */
void *fl_pixels_alloc(size_t n);
/* Hex SHA-256 of bytes (libcrypto). out: 65 bytes. */
void fl_sha256(const void *, size_t, char out[65]);
#endif
