/* rival_convolutions.c - GFLOP/s of our convolutions, plain and Winograd, of oneDNN's (algorithm and layouts of its choice, which
 * lie ready), and of the second backend's (oneDNN's by fedlane's plug-in: our layouts at the borders of every call) at the shapes
 * of LeNet-5, VGG-11 and ResNet-18, batches of 50, one thread, in turns. Built and run by scripts/rivals against oneDNN 3. All by
 * the operations of the definition, padding counted. Prints one JSON object of "WHO DIRECTION SHAPE": the best of some
 * repetitions, by the thread's own time, and the geometric means of the others' times over the better of ours.
 * usage: rival_convolutions [PLUG-IN] */
#include "rival_onednn.h"
#include <math.h>

enum { BATCH = 50, TURNS = 7, FORWARD = 0, INPUT, WEIGHT, DIRECTIONS, DIRECT = 0, WINOGRAD, ONEDNN, BACKEND, SIDES };
static const fl_conv shapes[] = {
  FL_CONV_OF(1, 28, 28, 6, 5, 2), FL_CONV_OF(6, 14, 14, 16, 5, 0), FL_CONV_OF(3, 32, 32, 64, 3, 1),
  FL_CONV_OF(64, 32, 32, 64, 3, 1), FL_CONV_OF(128, 16, 16, 128, 3, 1), FL_CONV_OF(256, 8, 8, 256, 3, 1),
  FL_CONV_OF(512, 4, 4, 512, 3, 1), FL_CONV_OF(64, 16, 16, 128, 3, 1), FL_CONV_OF(128, 8, 8, 256, 3, 1),
  FL_CONV_OF(256, 4, 4, 512, 3, 1), FL_CONV_OF(512, 2, 2, 512, 3, 1), { 64, 32, 32, 128, 3, 1, 0, 0, 2, 1, 0 },
  { 128, 16, 16, 256, 3, 1, 0, 0, 2, 1, 0 }, { 256, 8, 8, 512, 3, 1, 0, 0, 2, 1, 0 }, { 64, 32, 32, 128, 1, 0, 0, 0, 2, 1, 0 },
  { 128, 16, 16, 256, 1, 0, 0, 0, 2, 1, 0 }, { 256, 8, 8, 512, 1, 0, 0, 0, 2, 1, 0 } };
enum { SHAPES = sizeof shapes / sizeof *shapes };
static const char *const direction_name[] = { "forward", "grad_input", "grad_weight" };
static const char *const side_name[] = { "direct", "winograd", "onednn", "backend" };
static const fl_kernels *backend;

typedef struct {
  fl_conv conv;
  int direction;
  float *x, *w, *y, *work;      /* or their gradients */
  rival rival;
} job;

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

static void run(job *j, int side) {
  const fl_kernels *k = side == BACKEND ? backend : kernels;
  j->conv.winograd = side == WINOGRAD;
  if (side == ONEDNN) run_rival(&j->rival);
  else if (j->direction == FORWARD) k->conv_forward(&j->conv, BATCH, j->x, j->w, NULL, j->y, j->work);
  else if (j->direction == INPUT) k->conv_grad_input(&j->conv, BATCH, j->w, j->y, j->x, j->work);
  else k->conv_grad_weight(&j->conv, BATCH, j->x, j->y, j->w, NULL, j->work);
}

/* Prints one shape and direction; adds the logarithms of the others' times over our best. */
static void measure(job *j, double sum[SIDES]) {
  const fl_conv *s = &j->conv;
  const double flops = 2.0 * BATCH * (double)(s->o * fl_conv_oh(s) * fl_conv_ow(s) * s->c * s->k * s->k);
  double best[SIDES] = { 1e30, 1e30, 1e30, 1e30 };
  fl_conv asks = *s;
  asks.winograd = 1;
  const int has_winograd = fl_conv_winograd(&asks), calls = 1 + (int)(2e8 / flops);
  ready(&j->rival, describe(s, j->direction), NULL);
  for (int turn = -1; turn < TURNS; turn++) {
    for (int side = 0; side < SIDES; side++) {
      if ((side == WINOGRAD && !has_winograd) || (side == BACKEND && !backend)) continue;
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
  drop_rival(&j->rival, NULL);
  for (int side = ONEDNN; side < SIDES; side++)
    sum[side] += log(best[side] / (best[WINOGRAD] < best[DIRECT] ? best[WINOGRAD] : best[DIRECT]));
}

int main(int argc, char **argv) {
  float *array[4];
  size_t most = 0;
  double sum[DIRECTIONS][SIDES] = { { 0 } };
  start_onednn();
  backend = argc > 1 ? backend_table(argv[1]) : NULL;
  for (int i = 0; i < SHAPES; i++) {
    fl_conv s = shapes[i];
    for (s.winograd = 0; s.winograd < 2; s.winograd++) {
      const size_t sizes[] = { BATCH * s.c * s.h * s.w, BATCH * s.o * fl_conv_oh(&s) * fl_conv_ow(&s), s.o * s.c * s.k * s.k,
                               fl_conv_work(&s, BATCH) };
      for (int j = 0; j < 4; j++) most = sizes[j] > most ? sizes[j] : most;
    }
  }
  arrays(4, most, array);
  print_head();
  for (int i = 0; i < SHAPES; i++) {
    for (int direction = 0; direction < DIRECTIONS; direction++) {
      job j = { .conv = shapes[i], .direction = direction, .x = array[0], .w = array[1], .y = array[2], .work = array[3] };
      for (int a = 0; a < 3; a++) fill(array[a], most, 1);
      measure(&j, sum[direction]);
    }
  }
  for (int side = ONEDNN; side < (backend ? SIDES : BACKEND); side++) {
    for (int i = 0; i < DIRECTIONS; i++)
      printf(",\n \"geometric mean %s %s\": %.3f", side_name[side], direction_name[i], exp(sum[i][side] / SHAPES));
  }
  printf("}\n");
  return 0;
}
