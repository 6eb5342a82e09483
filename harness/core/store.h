/* store.h - the states that a method keeps of its clients: in memory by client number, or, when they outgrow their limit, in
 * slots of a file. What a checkpoint names is not overwritten before the next one is safe: the first change of a state after a
 * checkpoint goes to another slot. So a crash at any instant leaves the file as the last checkpoint needs it, and nothing is
 * rolled back. */
#ifndef FEDLANE_STORE_H
#define FEDLANE_STORE_H
#include <stddef.h>
#include <stdint.h>

#define FL_NO_SLOT UINT64_MAX
typedef struct { uint64_t from, to; } fl_place_of;        /* slots of one client's state before and after the round */
typedef struct { uint64_t *v; size_t n, room; } fl_numbers;
typedef struct {
  size_t clients, floats, threads;
  uint64_t limit; const char *path;                       /* path NULL: always in memory */
  float *memory; size_t memory_bytes;                     /* by client, touched when visited */
  uint8_t *visited;                                       /* 0, or 1, and 2 more: changed since the last checkpoint */
  uint64_t count;                                         /* visited clients */
  uint64_t memory_room;                                   /* bytes that may still be taken unasked */
  int fd;                                                 /* -1: in memory */
  uint64_t *slot, *sum, end;                              /* by client: where its state is, its checksum; first slot never used */
  fl_numbers free, retired;                                 /* nobody's; those that only the last checkpoint needs */
  fl_numbers fresh;                                       /* clients changed since the last checkpoint */
  float *buffer;                                          /* a state for each thread */
} fl_store;
/* 0, or -1: no memory. */
int fl_store_open(fl_store *, size_t clients, size_t floats, size_t threads, uint64_t limit, const char *path);
void fl_store_close(fl_store *);                          /* the file stays: a checkpoint may need it */
int fl_store_is_visited(const fl_store *, uint32_t client);
/* Before a round: room for the states of its clients. 0, or -1 with a message, and then nothing has changed. */
int fl_store_begin(fl_store *, const uint32_t *client, size_t m, fl_place_of *, const char *what, char *err, size_t err_size);
/* A worker's client: its state as it was left (zeros at first), and back when the client is done. NULL, -1: a message in err. */
float *fl_store_take(fl_store *, int thread, uint32_t client, const fl_place_of *, char *err, size_t err_size);
int fl_store_give(fl_store *, uint32_t client, const fl_place_of *, const float *state, char *err, size_t err_size);
/* A checkpoint: all states, or where they are in the file, which is on disk before this returns. */
int fl_store_save(const fl_store *, int (*write)(void *self, const void *, size_t), void *self);
int fl_store_load(fl_store *, int (*read)(void *self, void *, size_t), void *self, char *err, size_t err_size);
void fl_store_kept(fl_store *);                           /* what was saved will be found: older states may go */
#endif
