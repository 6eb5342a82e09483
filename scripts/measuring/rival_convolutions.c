/* rival_convolutions.c - GFLOP/s of our convolutions, plain and Winograd, and of oneDNN's (algorithm and layouts of its choice,
 * which lie ready) at the shapes of LeNet-5, VGG-11 and ResNet-18, batches of 50, one thread, in turns. Built and run by
 * scripts/rivals against oneDNN 3. All by the operations of the definition, padding counted. Prints one JSON object of
 * "WHO DIRECTION SHAPE": the best of some repetitions, by the thread's own time, and the geometric means of oneDNN's times over
 * ours. */
#include "rivals.h"
#include <dnnl.h>
#include <fedlane/kernels.h>
#include <math.h>

enum { BATCH = 50, TURNS = 7, FORWARD = 0, INPUT, WEIGHT, DIRECTIONS, SIDES = 3 };
static const fl_conv shapes[] = {
  FL_CONV_OF(1, 28, 28, 6, 5, 2), FL_CONV_OF(6, 14, 14, 16, 5, 0), FL_CONV_OF(3, 32, 32, 64, 3, 1),
  FL_CONV_OF(64, 32, 32, 64, 3, 1), FL_CONV_OF(128, 16, 16, 128, 3, 1), FL_CONV_OF(256, 8, 8, 256, 3, 1),
  FL_CONV_OF(512, 4, 4, 512, 3, 1), FL_CONV_OF(64, 16, 16, 128, 3, 1), FL_CONV_OF(128, 8, 8, 256, 3, 1),
  FL_CONV_OF(256, 4, 4, 512, 3, 1), FL_CONV_OF(512, 2, 2, 512, 3, 1), { 64, 32, 32, 128, 3, 1, 0, 0, 2, 1, 0 },
  { 128, 16, 16, 256, 3, 1, 0, 0, 2, 1, 0 }, { 256, 8, 8, 512, 3, 1, 0, 0, 2, 1, 0 }, { 64, 32, 32, 128, 1, 0, 0, 0, 2, 1, 0 },
  { 128, 16, 16, 256, 1, 0, 0, 0, 2, 1, 0 }, { 256, 8, 8, 512, 1, 0, 0, 0, 2, 1, 0 } };
enum { SHAPES = sizeof shapes / sizeof *shapes };
static const char *const direction_name[] = { "forward", "grad_input", "grad_weight" };
static const char *const side_name[] = { "direct", "winograd", "onednn" };
static const fl_kernels *kernels;
static dnnl_engine_t engine;
static dnnl_stream_t stream;

typedef struct {
  fl_conv conv;
  int direction;
  float *x, *w, *y, *work;      /* or their gradients */
  dnnl_primitive_t primitive;
  dnnl_exec_arg_t operands[3];
  dnnl_memory_t memory[3];
} job;

static void ok(dnnl_status_t status, const char *what) {
  if (status == dnnl_success) return;
  fprintf(stderr, "rival_convolutions: oneDNN: %s failed (%d)\n", what, (int)status);
  exit(1);
}

static double own_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fill(float *p, size_t n) {
  for (size_t i = 0; i < n; i++) p[i] = (float)(i * 2654435761u >> 13 & 1023) / 512 - 1;
}

static dnnl_memory_t memory_of(const_dnnl_memory_desc_t wanted) {
  dnnl_memory_t m;
  void *data;
  ok(dnnl_memory_create(&m, wanted, engine, DNNL_MEMORY_ALLOCATE), "memory");
  ok(dnnl_memory_get_data_handle(m, &data), "data");
  fill(data, dnnl_memory_desc_get_size(wanted) / sizeof(float));
  return m;
}

static dnnl_primitive_desc_t describe(const fl_conv *s, int direction) {
  const int64_t side = (int64_t)fl_conv_oh(s), step = (int64_t)fl_conv_stride(s), pad = (int64_t)s->p, k = (int64_t)s->k;
  const dnnl_dims_t x = { BATCH, (int64_t)s->c, (int64_t)s->h, (int64_t)s->w }, w = { (int64_t)s->o, (int64_t)s->c, k, k };
  const dnnl_dims_t y = { BATCH, (int64_t)s->o, side, side }, strides = { step, step }, none = { 0, 0 }, pads = { pad, pad };
  const dnnl_dim_t *const dims[] = { x, w, y };
  dnnl_memory_desc_t md[3];
  dnnl_primitive_desc_t forward, back;
  for (int i = 0; i < 3; i++)
    ok(dnnl_memory_desc_create_with_tag(&md[i], 4, dims[i], dnnl_f32, dnnl_format_tag_any), "descriptor");
  ok(dnnl_convolution_forward_primitive_desc_create(&forward, engine, dnnl_forward_training, dnnl_convolution_auto, md[0], md[1],
                                                    NULL, md[2], strides, none, pads, pads, NULL), "forward");
  if (direction == FORWARD) return forward;
  if (direction == INPUT) {
    ok(dnnl_convolution_backward_data_primitive_desc_create(&back, engine, dnnl_convolution_auto, md[0], md[1], md[2], strides,
                                                            none, pads, pads, forward, NULL), "backward data");
  } else {
    ok(dnnl_convolution_backward_weights_primitive_desc_create(&back, engine, dnnl_convolution_auto, md[0], md[1], NULL, md[2],
                                                               strides, none, pads, pads, forward, NULL), "backward weights");
  }
  return back;
}

static void prepare(job *j) {
  const int direction = j->direction;
  dnnl_primitive_desc_t plan = describe(&j->conv, direction);
  const dnnl_query_t query[] = { direction == INPUT ? dnnl_query_diff_src_md : dnnl_query_src_md,
                                 direction == WEIGHT ? dnnl_query_diff_weights_md : dnnl_query_weights_md,
                                 direction == FORWARD ? dnnl_query_dst_md : dnnl_query_diff_dst_md };
  const int arg[] = { direction == INPUT ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC,
                      direction == WEIGHT ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS,
                      direction == FORWARD ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST };
  ok(dnnl_primitive_create(&j->primitive, plan), "primitive");
  for (int i = 0; i < 3; i++) {
    j->memory[i] = memory_of(dnnl_primitive_desc_query_md(plan, query[i], 0));
    j->operands[i] = (dnnl_exec_arg_t){ arg[i], j->memory[i] };
  }
}

static void run(job *j, int side) {
  j->conv.winograd = side == 1;
  if (side == 2) {
    ok(dnnl_primitive_execute(j->primitive, stream, 3, j->operands), "convolution");
    ok(dnnl_stream_wait(stream), "wait");
  } else if (j->direction == FORWARD) {
    kernels->conv_forward(&j->conv, BATCH, j->x, j->w, NULL, j->y, j->work);
  } else if (j->direction == INPUT) {
    kernels->conv_grad_input(&j->conv, BATCH, j->w, j->y, j->x, j->work);
  } else {
    kernels->conv_grad_weight(&j->conv, BATCH, j->x, j->y, j->w, NULL, j->work);
  }
}

/* Prints one shape and direction; the logarithm of oneDNN's time over our best. */
static double measure(job *j) {
  const fl_conv *s = &j->conv;
  const double flops = 2.0 * BATCH * (double)(s->o * fl_conv_oh(s) * fl_conv_ow(s) * s->c * s->k * s->k);
  double best[SIDES] = { 1e30, 1e30, 1e30 };
  fl_conv asks = *s;
  asks.winograd = 1;
  const int has_winograd = fl_conv_winograd(&asks), calls = 1 + (int)(2e8 / flops);
  prepare(j);
  for (int turn = -1; turn < TURNS; turn++) {
    for (int side = 0; side < SIDES; side++) {
      if (side == 1 && !has_winograd) continue;
      const double t = own_seconds();
      for (int i = 0; i < calls; i++) run(j, side);
      const double took = (own_seconds() - t) / calls;
      if (turn >= 0 && took < best[side]) best[side] = took;
    }
  }
  for (int side = 0; side < SIDES; side++) {
    if (best[side] > 1e29) continue;
    printf(",\n \"%s %s %zu %zux%zu %zu k%zu s%zu\": %.1f", side_name[side], direction_name[j->direction], s->c, s->h, s->w, s->o,
           s->k, fl_conv_stride(s), flops / best[side] * 1e-9);
  }
  for (int i = 0; i < 3; i++) ok(dnnl_memory_destroy(j->memory[i]), "destroy");
  return log(best[2] / (best[1] < best[0] ? best[1] : best[0]));
}

int main(void) {
  const char *error;
  float *array[4];
  size_t most = 0;
  double sum[DIRECTIONS] = { 0 };
  if (!(kernels = fl_kernels_select(NULL, &error))) die("kernels", error);
  ok(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
  ok(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
  for (int i = 0; i < SHAPES; i++) {
    fl_conv s = shapes[i];
    for (s.winograd = 0; s.winograd < 2; s.winograd++) {
      const size_t sizes[] = { BATCH * s.c * s.h * s.w, BATCH * s.o * fl_conv_oh(&s) * fl_conv_ow(&s), s.o * s.c * s.k * s.k,
                               fl_conv_work(&s, BATCH) };
      for (int j = 0; j < 4; j++) most = sizes[j] > most ? sizes[j] : most;
    }
  }
  arrays(4, most, array);
  const dnnl_version_t *v = dnnl_version();
  printf("{\"onednn\": \"oneDNN %d.%d.%d\", \"isa\": \"%s\"", v->major, v->minor, v->patch, kernels->name);
  for (int i = 0; i < SHAPES; i++) {
    for (int direction = 0; direction < DIRECTIONS; direction++) {
      job j = { .conv = shapes[i], .direction = direction, .x = array[0], .w = array[1], .y = array[2], .work = array[3] };
      for (int a = 0; a < 3; a++) fill(array[a], most);
      sum[direction] += measure(&j);
    }
  }
  for (int i = 0; i < DIRECTIONS; i++) printf(",\n \"geometric mean %s\": %.3f", direction_name[i], exp(sum[i] / SHAPES));
  printf("}\n");
  return 0;
}
