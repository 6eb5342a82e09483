/* partition.h - which samples a client holds: index lists by client, made from labels and one seed, the same bits on
 * every machine (own generator, gamma and exp/log), saved and replayed as JSON. docs/partitioners.md describes each. */
#ifndef FEDLANE_PARTITION_H
#define FEDLANE_PARTITION_H
#include <fedlane/optimizer.h>

/* needs: "key other=value; ...": a key that is given where it would do nothing is refused. */
typedef struct { const char *name, *help; const fl_param *params; size_t n_params; const char *needs; } fl_partitioner;
size_t fl_partitioner_count(void);
const fl_partitioner *fl_partitioner_at(size_t);

typedef struct {
  size_t n, classes;
  const uint8_t *label;
  const int32_t *client;                        /* the data's own client of each sample, or NULL (needed by natural alone) */
  const uint8_t *pixels; size_t sample_bytes;   /* or NULL (needed by continuous alone) */
  const uint32_t *label32;                      /* in the place of label, where classes are more than 256 */
} fl_split_data;
static inline uint32_t fl_split_label(const fl_split_data *d, size_t i) { return d->label32 ? d->label32[i] : d->label[i]; }

typedef struct {
  size_t clients;
  size_t *offset;                               /* clients + 1 */
  uint32_t *index;                              /* samples of client i: index[offset[i] .. offset[i+1]) */
  char sha256[65];                              /* of clients, offsets and indices as little-endian uint32, and of the noise */
  size_t n;                                     /* samples of the data */
  char labels_sha256[65];                       /* of their labels, a byte or 32 bits each; "": not known */
  int disjoint, complete;                       /* no sample twice, every sample once or more */
  double *sigma;                                /* client i's noise, of pixels scaled to 0..1; NULL: none. Only where disjoint */
  uint64_t noise_seed;
} fl_split;
typedef struct {
  const fl_partitioner *kind;
  double h[FL_MAX_PARAMS];
  uint64_t seed;
  char path[512];                               /* of `file`, of `distribution` */
} fl_partition_config;
/* Settings as in fl_algorithm_build (name, seed, path, and the partitioner's parameters). */
int fl_partition_build(const fl_setting *, size_t n, fl_partition_config *out, char *err, size_t err_size);
int fl_split_make(fl_split *, const fl_partition_config *, size_t clients, const fl_split_data *, char *err, size_t err_size);
/* One client that has all samples in order: the data of central training. */
int fl_split_whole(fl_split *, size_t n, char *err, size_t err_size);
int fl_split_alloc(fl_split *, size_t clients, size_t total);
/* What lists and data say: sha256, labels_sha256, disjoint, complete; -1 without memory. */
int fl_split_finish(fl_split *, const fl_split_data *);
void fl_split_free(fl_split *);
/* counts[client*classes + class] */
void fl_split_counts(const fl_split *, const fl_split_data *, uint32_t *counts);
/* The key of a sample's noise, less the sample (its client), and the standard deviation by sample (n floats). */
fl_key fl_split_noise_key(const fl_split *);
void fl_split_noise(const fl_split *, float *sigma);

/* A validation split of each client's samples: `fraction` of them, rounded down (FL_PURPOSE_VALIDATION, by client), become the
 * test set, the rest stays the client's; the real test rows are dropped. 0, or -1 with a message. data_holdout.c */
struct fl_dataset;
/* What a partition sees of the training rows. */
fl_split_data fl_dataset_split(const struct fl_dataset *);
int fl_split_holdout(fl_split *, struct fl_dataset *, double fraction, char *err, size_t err_size);

/* ---- partition_file.c: {"version": 1, "clients", "samples", "labels_sha256", "disjoint", "complete", "noise", "index"}; all but
 * clients and index may be missing, and are checked where they are there ---- */
int fl_split_save(const fl_split *, const char *path, char *err, size_t err_size);
int fl_split_load(fl_split *, const char *path, const fl_split_data *, char *err, size_t err_size);
#endif
