/* data_made.c - data sets that are made, from a seed alone: synthetic(alpha, beta) of FedProx, whose users differ in what they
 * see and in how labels follow from it, and blobs. All draws are of (seed, what, which one), so no number depends on how many
 * came before; sums run in the order of the indices, so the bytes are the same on every machine. */
#include "harness/data_file.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { OF_USER = 3, OF_SAMPLE, OF_CENTRE, OF_POINT };   /* the key's `round`; 0 to 2 are those of population.c */
enum { FEATURES = 60, CLASSES = 10, LEAST = 50, MOST = 1 << 20 };
typedef struct { double weight[CLASSES][FEATURES], bias[CLASSES], mean[FEATURES]; } user;

static fl_stream stream_of(const fl_data_options *o, uint32_t what, size_t which, size_t part) {
  const fl_key key = { o->seed, FL_PURPOSE_POPULATION, what, (uint32_t)which, (uint32_t)part };
  fl_stream s;
  fl_stream_init(&s, &key);
  return s;
}

static int alloc_part(fl_part *p, size_t n, size_t w, int clients, char *err, size_t size) {
  *p = (fl_part){ .n = n, .c = 1, .h = 1, .w = w };
  if (!n) return 0;
  p->features = fl_pixels_alloc(n * w * sizeof *p->features);
  p->label32 = malloc(n * sizeof *p->label32);
  if (clients) p->client = malloc(n * sizeof *p->client);
  if (p->features && p->label32 && (!clients || p->client)) return 0;
  return snprintf(err, size, "data: no memory for %zux%zu numbers", n, w), -1;
}

/* ---- synthetic(alpha, beta) --- */
/* Users' sizes: 50 and a lognormal number (4, 2), rounded down. */
static size_t size_of(const fl_data_options *o, size_t u) {
  fl_stream s = stream_of(o, OF_USER, u, 0);
  const double n = LEAST + floor(fl_exp(4 + 2 * fl_stream_gaussian(&s)));
  return n < MOST ? (size_t)n : MOST;
}

/* W and b around N(0, alpha), the mean of x around N(0, beta), all with deviation 1; iid: one W and b of N(0, 1), means 0. */
static void draw_user(const fl_data_options *o, size_t u, user *out) {
  fl_stream s = stream_of(o, OF_USER, o->iid ? 0 : u, 1), of_x = stream_of(o, OF_USER, u, 2);
  const double centre = o->iid ? 0 : o->alpha * fl_stream_gaussian(&s), shift = o->beta * fl_stream_gaussian(&of_x);
  for (size_t k = 0; k < CLASSES; k++)
    for (size_t j = 0; j < FEATURES; j++) out->weight[k][j] = centre + fl_stream_gaussian(&s);
  for (size_t k = 0; k < CLASSES; k++) out->bias[k] = centre + fl_stream_gaussian(&s);
  for (size_t j = 0; j < FEATURES; j++) out->mean[j] = o->iid ? 0 : shift + fl_stream_gaussian(&of_x);
}

/* x = mean + j^-0.6 z (variances j^-1.2), y = argmax W x + b of x as it is stored. */
static void draw_sample(const fl_data_options *o, const user *from, const double *spread, size_t u, size_t i, float *x,
                        uint32_t *label) {
  fl_stream s = stream_of(o, OF_SAMPLE, u, i);
  double best = 0;
  for (size_t j = 0; j < FEATURES; j++) x[j] = (float)(from->mean[j] + spread[j] * fl_stream_gaussian(&s));
  for (size_t k = 0; k < CLASSES; k++) {
    double score = from->bias[k];
    for (size_t j = 0; j < FEATURES; j++) score += from->weight[k][j] * (double)x[j];
    if (!k || score > best) best = score, *label = (uint32_t)k;
  }
}

static int make_users(const fl_data_options *o, fl_part part[2], char *err, size_t size) {
  size_t n[2] = { 0, 0 }, at[2] = { 0, 0 };
  double spread[FEATURES];
  user own;
  for (size_t u = 0; u < o->users; u++) {
    const size_t all = size_of(o, u), test = (size_t)(o->test_part * (double)all);
    n[0] += all - test, n[1] += test;
  }
  for (size_t j = 0; j < FEATURES; j++) spread[j] = fl_exp(-0.6 * fl_log((double)(j + 1)));
  if (alloc_part(&part[0], n[0], FEATURES, 1, err, size) || alloc_part(&part[1], n[1], FEATURES, 0, err, size)) return -1;
  for (size_t u = 0; u < o->users; u++) {
    const size_t all = size_of(o, u), trained = all - (size_t)(o->test_part * (double)all);
    draw_user(o, u, &own);
    for (size_t i = 0; i < all; i++) {
      const int test = i >= trained;
      fl_part *p = &part[test];
      const size_t row = at[test]++;
      draw_sample(o, &own, spread, u, i, p->features + row * FEATURES, &p->label32[row]);
      if (!test) p->client[row] = (int32_t)u;
    }
  }
  return 0;
}

/* ---- blobs --- */
/* Row r is of class r mod classes, around its class's centre, which is uniform in a cube of -10 to 10. */
static int make_blobs(const fl_data_options *o, fl_part part[2], char *err, size_t size) {
  const size_t w = o->features, test = (size_t)(o->test_part * (double)o->rows), trained = o->rows - test;
  if (alloc_part(&part[0], trained, w, 0, err, size) || alloc_part(&part[1], test, w, 0, err, size)) return -1;
  for (size_t r = 0; r < o->rows; r++) {
    fl_part *p = &part[r >= trained];
    const size_t row = r < trained ? r : r - trained, k = r % o->classes;
    fl_stream centre = stream_of(o, OF_CENTRE, k, 0), s = stream_of(o, OF_POINT, r, 0);
    for (size_t j = 0; j < w; j++) {
      const double at = (double)fl_stream_u32(&centre) * 0x1p-32 * 20 - 10;
      p->features[row * w + j] = (float)(at + o->spread * fl_stream_gaussian(&s));
    }
    p->label32[row] = (uint32_t)k;
  }
  return 0;
}

int fl_made_load(fl_dataset *d, const char *format, const fl_data_options *o, fl_part part[2], char *err, size_t size) {
  const int blobs = format[0] == 'b';
  const int bad = blobs ? make_blobs(o, part, err, size) : make_users(o, part, err, size);
  if (bad) return -1;
  d->value = malloc((blobs ? o->classes : CLASSES) * sizeof *d->value);
  if (!d->value) return snprintf(err, size, "data: no memory for %zu classes", o->classes), -1;
  d->n_values = blobs ? o->classes : CLASSES;
  for (size_t k = 0; k < d->n_values; k++) d->value[k] = (int32_t)k;
  return 0;
}
