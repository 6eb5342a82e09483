/* tree.c - the fixed binary tree over the position in the round's draw, whoever finished when (docs/reproducibility.md). */
#include "internal.h"
#include <stdlib.h>
#include <string.h>

int fl_tree_open(fl_tree *t, size_t max_m, size_t leaf_floats, size_t buffers) {
  fl_arena a;
  memset(t, 0, sizeof *t);
  t->leaf_floats = leaf_floats;
  t->n_buffers = buffers;
  pthread_mutex_init(&t->lock, NULL);
  pthread_cond_init(&t->freed, NULL);
  const size_t one = fl_arena_round(leaf_floats * sizeof(float));
  t->n_nodes = 2 * max_m + FL_MAX_LEVELS;
  t->free_list = calloc(buffers, sizeof *t->free_list);
  t->node = calloc(t->n_nodes, sizeof *t->node);
  if (!t->free_list || !t->node || fl_arena_open(&a, one * buffers)) return -1;
  t->memory = (float *)(void *)a.base;
  t->memory_bytes = a.size;
  for (size_t i = 0; i < buffers; i++) t->free_list[i] = (float *)(void *)(a.base + i * one);
  t->n_free = buffers;
  return 0;
}

void fl_tree_close(fl_tree *t) {
  fl_arena a = { (unsigned char *)t->memory, t->memory_bytes, 0 };
  if (!t->leaf_floats) return;
  fl_arena_close(&a);
  free(t->free_list);
  free(t->node);
  pthread_mutex_destroy(&t->lock);
  pthread_cond_destroy(&t->freed);
  memset(t, 0, sizeof *t);
}

static size_t width(const fl_tree *t, int level) { return (t->m + ((size_t)1 << level) - 1) >> level; }

void fl_tree_begin(fl_tree *t, size_t m) {
  size_t first = 0;
  t->m = m;
  for (int level = 0; level < FL_MAX_LEVELS; level++) {
    t->level_first[level] = first;
    if (width(t, level) <= 1) break;
    first += width(t, level);
  }
  memset(t->node, 0, t->n_nodes * sizeof *t->node);
  t->root = NULL;
}

float *fl_tree_leaf(fl_tree *t) {
  pthread_mutex_lock(&t->lock);
  while (t->n_free == 0) pthread_cond_wait(&t->freed, &t->lock);
  float *leaf = t->free_list[--t->n_free];
  pthread_mutex_unlock(&t->lock);
  return leaf;
}

static void give_back(fl_tree *t, float *buffer) {        /* the lock is held */
  t->free_list[t->n_free++] = buffer;
  pthread_cond_signal(&t->freed);
}

void fl_tree_push(fl_tree *t, const fl_kernels *k, size_t i, float *mine) {
  for (int level = 0;; level++, i >>= 1) {
    const size_t n = width(t, level), sibling = i ^ 1;
    if (n == 1) {
      t->root = mine;
      return;
    }
    if (sibling >= n) continue;                           /* the last of an odd level goes up as it is */
    float **node = t->node + t->level_first[level];
    pthread_mutex_lock(&t->lock);
    float *other = node[sibling];
    node[sibling] = NULL;
    if (!other) node[i] = mine;
    pthread_mutex_unlock(&t->lock);
    if (!other) return;
    float *left = i & 1 ? other : mine, *right = i & 1 ? mine : other;
    k->add(t->leaf_floats, left, left, right);
    pthread_mutex_lock(&t->lock);
    give_back(t, right);
    pthread_mutex_unlock(&t->lock);
    mine = left;
  }
}

void fl_tree_return(fl_tree *t, float *leaf) {
  pthread_mutex_lock(&t->lock);
  give_back(t, leaf);
  pthread_mutex_unlock(&t->lock);
}

void fl_tree_release(fl_tree *t) {
  pthread_mutex_lock(&t->lock);
  if (t->root) give_back(t, t->root);
  t->root = NULL;
  pthread_mutex_unlock(&t->lock);
}
