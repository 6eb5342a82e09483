/* partition.h - which samples a client holds: index lists by client, made from labels and one seed, the same bits on
 * every machine (own generator, gamma and exp/log), saved and replayed as JSON. */
#ifndef FEDLANE_PARTITION_H
#define FEDLANE_PARTITION_H
#include <fedlane/optimizer.h>

/* Partitioners by name: iid, dirichlet (per class, min size with retry: federated-structured-robust P2 in Flower's form),
 * dirichlet_client (per-client draw with equal n_i: P4), inner_dirichlet (per-client draw, disjoint: P5), shard (P6),
 * pathological (k classes a client: P7), natural (the data's own clients, ascending), file (replay). */
typedef struct { const char *name, *help; const fl_param *params; size_t n_params; } fl_partitioner;
size_t fl_partitioner_count(void);
const fl_partitioner *fl_partitioner_at(size_t);

typedef struct {
  size_t clients;
  size_t *offset;                               /* clients + 1 */
  uint32_t *index;                              /* samples of client i: index[offset[i] .. offset[i+1]) */
  char sha256[65];                              /* of clients, offsets and indices as little-endian uint32 */
} fl_split;
typedef struct {
  const fl_partitioner *kind;
  double h[FL_MAX_PARAMS];
  uint64_t seed;
  char path[512];                               /* kind "file" */
} fl_partition_config;
/* Settings as in fl_algorithm_build (name, seed, path, and the partitioner's parameters). */
int fl_partition_build(const fl_setting *, size_t n, fl_partition_config *out, char *err, size_t err_size);
/* client: the data's own client of each sample, or NULL (needed by natural alone). */
int fl_split_make(fl_split *, const fl_partition_config *, size_t clients, const uint8_t *label, const int32_t *client, size_t n,
                  size_t classes, char *err, size_t err_size);
/* One client that has all samples in order: the data of central training. */
int fl_split_whole(fl_split *, size_t n, char *err, size_t err_size);
int fl_split_save(const fl_split *, const char *path, char *err, size_t err_size);     /* {"clients": N, "index": [[...], ...]} */
int fl_split_load(fl_split *, const char *path, size_t n, char *err, size_t err_size);
void fl_split_free(fl_split *);
/* counts[client*classes + class] */
void fl_split_counts(const fl_split *, const uint8_t *label, size_t classes, uint32_t *counts);
#endif
