/* results.h - one folder a run: run.json, rounds.jsonl, summary.json, partition.json, params.safetensors, checkpoint.bin
 * (docs/results.md, schema 1). Everything is written under a temporary name and renamed, except rounds.jsonl, which grows. */
#ifndef FEDLANE_RESULTS_H
#define FEDLANE_RESULTS_H
#include "bits.h"
#include "config.h"

/* Machine, versions, commit: cpu, cores, caches, numa, governor, kernel, compiler, flags, isa_detected, isa_enabled, isa_used,
 * memory_bytes, hugepages, libraries, commit, dirty. */
json_t *fl_machine_json(const fl_kernels *, int threads);

typedef struct fl_result fl_result;
/* Opens (creates) the folder and writes run.json and partition.json. The backend: NULL for the native one. shared:
 * other runs use the machine at the same time, so the times are not the method's. resume != 0: keeps
 * rounds.jsonl up to `round` lines. */
fl_result *fl_result_open(const char *dir, const fl_config *, const fl_dataset *, const fl_split *, const fl_layout *,
                          const fl_kernels *, const fl_onednn_backend *, int threads, int team, int shared,
                          const char *not_reproducible,
                          char *err, size_t err_size);
int fl_result_cut(fl_result *, uint64_t rounds, char *err, size_t err_size);   /* rounds.jsonl back to so many lines */
int fl_result_round(fl_result *, const fl_metrics *, char *err, size_t err_size);   /* appends a line; feeds trajectory_hash */
/* Writes params.safetensors and summary.json; status "done", "diverged", "stopped", "interrupted". hash/trajectory: 65 bytes. */
int fl_result_finish(fl_result *, const float *x, const fl_metrics *last, const char *status, char *hash, char *trajectory,
                     char *err, size_t err_size);
void fl_result_close(fl_result *);

/* Checkpoints: whole session + configuration, temporary name, fsync, rename. */
int fl_checkpoint_save(const char *dir, const fl_config *, const fl_session *, const fl_metrics *, char *err, size_t err_size);
/* 0 loaded, 1 there is none, -1 error (a changed configuration is refused by key). */
int fl_checkpoint_load(const char *dir, const fl_config *, fl_session *, fl_metrics *, char *err, size_t err_size);
#endif
