/* rival_products.c - GFLOP/s of our products, of oneDNN's (dnnl_sgemm, and matmul with weights packed beforehand) and of
 * OpenBLAS's at the shapes of `fedlane bench`, on the same operands and in turns. Built and run by scripts/rivals against oneDNN
 * 3; arguments: threads, and OpenBLAS's library or nothing. Prints one JSON object of "LIBRARY FORM MxNxK": the best of many
 * short repetitions. */
#include "rivals.h"
#include <dnnl.h>
#include <fedlane/kernels.h>
#include <omp.h>

typedef struct { char a, b; int m, n, k; } shape; /* a, b: 'T' when the factor lies transposed */
static const shape shapes[] = {
  { 'N', 'N', 128, 128, 128 }, { 'N', 'N', 256, 256, 256 }, { 'N', 'N', 512, 512, 512 }, { 'N', 'N', 1024, 1024, 1024 },
  { 'N', 'N', 50, 200, 784 }, { 'N', 'N', 10, 200, 50 }, { 'N', 'N', 64, 576, 1024 }, { 'N', 'N', 784, 64, 576 },
  { 'N', 'N', 197, 192, 192 }, { 'N', 'N', 197, 768, 192 }, { 'N', 'N', 50, 10, 784 }, { 'N', 'N', 10, 10, 784 },
  { 'T', 'N', 784, 10, 50 }, { 'T', 'N', 784, 200, 50 }, { 'N', 'T', 50, 200, 10 } };
enum { SHAPES = sizeof shapes / sizeof *shapes, MOST = 1024 * 1024, WEIGHTS = 2 * MOST * (int)sizeof(float), TURNS = 15 };
typedef void (*cblas_sgemm)(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                            int ldb, float beta, float *c, int ldc);
static cblas_sgemm openblas;
static const fl_kernels *kernels;
static float *a, *b, *c, *weights;
static int threads;

static void ok(dnnl_status_t status, const char *what) {
  if (status == dnnl_success) return;
  fprintf(stderr, "rival_products: oneDNN: %s failed (%d)\n", what, (int)status);
  exit(1);
}

/* ---- who computes ---------------------------------------------------------------------------------------------------------- */
static void each_part(void *self, size_t parts, void (*body)(void *, size_t), void *arg) {
  (void)self;
#pragma omp parallel for schedule(static, 1) num_threads(threads)
  for (size_t i = 0; i < parts; i++) { body(arg, i); }
}
static void run_fedlane(const shape *s) {
  const fl_team team = { NULL, (unsigned)threads, each_part };
  const fl_product form = s->a == 'T' ? FL_PRODUCT_TN : s->b == 'T' ? FL_PRODUCT_NT : FL_PRODUCT_NN;
  const size_t m = (size_t)s->m, n = (size_t)s->n, k = (size_t)s->k;
  fl_gemm_team(kernels, threads > 1 ? &team : NULL, form, m, n, k, a, form == FL_PRODUCT_TN ? m : k, b,
               form == FL_PRODUCT_NT ? k : n, c, n, FL_GEMM_PIECE);
}
static dnnl_primitive_t matmul;
static dnnl_stream_t stream;
static dnnl_exec_arg_t operands[3];

static void run_sgemm(const shape *s) {
  const int lda = s->a == 'T' ? s->m : s->k, ldb = s->b == 'T' ? s->k : s->n;
  ok(dnnl_sgemm(s->a, s->b, s->m, s->n, s->k, 1, a, lda, b, ldb, 0, c, s->n), "sgemm");
}
static void run_packed(const shape *s) {
  (void)s;
  ok(dnnl_primitive_execute(matmul, stream, 3, operands), "matmul");
  ok(dnnl_stream_wait(stream), "wait");
}
static void run_openblas(const shape *s) {
  openblas(101, s->a == 'T' ? 112 : 111, s->b == 'T' ? 112 : 111, s->m, s->n, s->k, 1, a, s->a == 'T' ? s->m : s->k, b,
           s->b == 'T' ? s->k : s->n, 0, c, s->n);
}

/* The weights in the form that oneDNN asks for, as a model that is only used has them. */
static void pack(const shape *s, dnnl_engine_t engine) {
  const dnnl_dims_t da = { s->m, s->k }, db = { s->k, s->n }, dc = { s->m, s->n };
  dnnl_memory_desc_t ma, mb, mc, any;
  dnnl_primitive_desc_t plan, copy;
  dnnl_primitive_t reorder;
  dnnl_memory_t plain, packed, left, out;
  ok(dnnl_memory_desc_create_with_tag(&ma, 2, da, dnnl_f32, s->a == 'T' ? dnnl_ba : dnnl_ab), "descriptor");
  ok(dnnl_memory_desc_create_with_tag(&mb, 2, db, dnnl_f32, s->b == 'T' ? dnnl_ba : dnnl_ab), "descriptor");
  ok(dnnl_memory_desc_create_with_tag(&any, 2, db, dnnl_f32, dnnl_format_tag_any), "descriptor");
  ok(dnnl_memory_desc_create_with_tag(&mc, 2, dc, dnnl_f32, dnnl_ab), "descriptor");
  ok(dnnl_matmul_primitive_desc_create(&plan, engine, ma, any, NULL, mc, NULL), "matmul's description");
  const_dnnl_memory_desc_t wanted = dnnl_primitive_desc_query_md(plan, dnnl_query_weights_md, 0);
  ok(dnnl_memory_create(&plain, mb, engine, b), "memory");
  if (dnnl_memory_desc_get_size(wanted) > WEIGHTS) die("oneDNN", "its packed weights are larger than expected");
  ok(dnnl_memory_create(&packed, wanted, engine, weights), "memory");
  ok(dnnl_memory_create(&left, ma, engine, a), "memory");
  ok(dnnl_memory_create(&out, mc, engine, c), "memory");
  ok(dnnl_reorder_primitive_desc_create(&copy, mb, engine, wanted, engine, NULL), "reorder's description");
  ok(dnnl_primitive_create(&reorder, copy), "reorder");
  const dnnl_exec_arg_t move[] = { { DNNL_ARG_FROM, plain }, { DNNL_ARG_TO, packed } };
  ok(dnnl_primitive_execute(reorder, stream, 2, move), "reorder");
  ok(dnnl_stream_wait(stream), "wait");
  ok(dnnl_primitive_create(&matmul, plan), "matmul");
  operands[0] = (dnnl_exec_arg_t){ DNNL_ARG_SRC, left };
  operands[1] = (dnnl_exec_arg_t){ DNNL_ARG_WEIGHTS, packed };
  operands[2] = (dnnl_exec_arg_t){ DNNL_ARG_DST, out };
}

typedef struct { const char *name; void (*run)(const shape *); int calls; double best; } side;

static double timed(const side *x, const shape *s, int calls) {
  const double t = seconds();
  for (int i = 0; i < calls; i++) x->run(s);
  return seconds() - t;
}

/* A millisecond each, in turns; the best. Idle threads of one library spin for a while: the next waits until they sleep, and
 * warms up. */
static void compare(side *sides, int count, const shape *s) {
  for (int i = 0; i < count; i++) {
    sides[i].calls = 1;
    sides[i].best = 1e30;
    while (timed(&sides[i], s, sides[i].calls) < 5e-4) sides[i].calls *= 2;
  }
  for (int turn = 0; turn < TURNS; turn++) {
    for (int j = 0; j < count; j++) {
      side *x = &sides[(turn + j) % count];
      if (threads > 1) nanosleep(&(struct timespec){ 0, 3000000 }, NULL);
      timed(x, s, (x->calls + 3) / 4);
      const double took = timed(x, s, x->calls) / x->calls;
      x->best = took < x->best ? took : x->best;
    }
  }
}

int main(int argc, char **argv) {
  const char *error;
  float *array[5];
  dnnl_engine_t engine;
  threads = argc > 1 ? atoi(argv[1]) : 0;
  if (threads < 1) die("usage", "rival_products THREADS [OPENBLAS]");
  if (!(kernels = fl_kernels_select(NULL, &error))) die("kernels", error);
  omp_set_num_threads(threads);
  void *library = argc > 2 ? openblas_load(argv[2], threads) : NULL;
  if (library) openblas_function(library, "cblas_sgemm", &openblas);
  arrays(5, MOST, array); /* the last two for weights */
  a = array[0];
  b = array[1];
  c = array[2];
  weights = array[3];
  for (int i = 0; i < MOST; i++) {
    a[i] = (float)(i % 7 - 3);
    b[i] = (float)(i % 5 - 2);
  }
  ok(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
  ok(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
  const dnnl_version_t *v = dnnl_version();
  printf("{\"onednn\": \"oneDNN %d.%d.%d\", \"isa\": \"%s\"", v->major, v->minor, v->patch, kernels->name);
  if (library) printf(", \"openblas\": \"%s\"", openblas_version(library));
  for (int i = 0; i < SHAPES; i++) {
    const shape *s = &shapes[i];
    side sides[] = { { "fedlane", run_fedlane, 0, 0 }, { "sgemm", run_sgemm, 0, 0 }, { "packed", run_packed, 0, 0 },
                     { "openblas", run_openblas, 0, 0 } };
    const int count = library ? 4 : 3;
    pack(s, engine);
    compare(sides, count, s);
    for (int j = 0; j < count; j++) {
      printf(",\n \"%s %c%c %dx%dx%d\": %.2f", sides[j].name, s->a, s->b, s->m, s->n, s->k,
             2e-9 * s->m * s->n * s->k / sides[j].best);
    }
  }
  printf("}\n");
  return 0;
}
