/* trimmed.c - the trimmed mean and the median of each coordinate (Yin et al. 2018, arXiv 1803.01498; federated-structured-robust
 * 7, R4, R5):
 *
 *   of the n values of a coordinate in rising order the first and the last k are dropped;   x <- x + server_lr*mean of the rest
 *
 * k = floor(trim_part*n), at most floor((n - 1)/2): at trim_part = 0.5 what is left is the median, of an even n the mean of the
 * two middle values (some programs take the lower one). trim_part = 0 is the mean. The order is that of the bits: NaN of either
 * sign lies beyond the infinities. Every client counts alike, so that nobody is rejected. Memory m uploads. */
#include <fedlane/optimizer.h>
#include <string.h>

enum { H_PART };
enum { S_WORK, S_COUNT };
enum { TILE = 64 };                             /* coordinates that are sorted side by side */
static const fl_param params[] = {
  [H_PART] = { "trim_part", 0.1, 0, 0.5, NULL, "part of the values that is dropped at each end; 0.5: the median", 0 },
};
static size_t work_floats(const fl_job *job, const double *h) { (void)h; return job->cohort * TILE; }
static const fl_slot slots[S_COUNT] = { [S_WORK] = { "values", FL_WORK, 0, work_floats } };

static const char *setup(const double *h, const fl_job *job) {
  int first = 1;
  (void)h;
  for (size_t i = 0; i < job->n_stages; i++) {
    const fl_stage *st = job->stage[i];
    for (size_t j = 0; j < st->n_slots; j++)
      if (st->slot[j].place == FL_UP)
        return fl_why(job, "stage trimmed drops coordinates of the change; stage %s also sends %s; allowed: stages that send "
                           "nothing but that change", st->name, st->slot[j].name);
    if (st->setup == setup) first = 0;
    else if (first && st->server_finish)
      return fl_why(job, "stage trimmed makes the move that stage %s changes; allowed: trimmed before it", st->name);
  }
  if (job->layout && job->layout->buffers)
    return fl_why(job, "stage trimmed: the model has %zu buffers; allowed: models without", job->layout->buffers);
  return NULL;
}

/* Integers in the order of the numbers; the same again gives the number back. */
static int32_t key_of(int32_t bits) { return bits ^ (int32_t)((uint32_t)(bits >> 31) >> 1); }

/* Every column of n rows by odd-even transposition: the same comparisons whatever the values. */
static void sort_columns(int32_t *v, size_t n) {
  for (size_t pass = 0; pass < n; pass++)
    for (size_t i = pass & 1; i + 1 < n; i += 2)
      for (size_t c = 0; c < TILE; c++) {
        const int32_t a = v[i * TILE + c], b = v[(i + 1) * TILE + c];
        v[i * TILE + c] = a < b ? a : b;
        v[(i + 1) * TILE + c] = a < b ? b : a;
      }
}

static void combine(const double *h, fl_server *sv) { (void)h, (void)sv; } /* the uploads are kept, and count alike */

static void server_finish(const double *h, fl_server *sv) {
  const size_t d = sv->job->layout->d, n = sv->m, most = (n - 1) / 2, wanted = (size_t)(h[H_PART] * (double)n + 1e-9);
  const size_t k = wanted < most ? wanted : most;
  int32_t *v = (int32_t *)(void *)sv->at[S_WORK];
  for (size_t at = 0; at < d; at += TILE) {
    const size_t columns = d - at < TILE ? d - at : TILE;
    memset(v, 0, n * TILE * sizeof *v);
    for (size_t i = 0; i < n; i++) {
      memcpy(v + i * TILE, sv->sent + i * sv->row + at, columns * sizeof *v);
      for (size_t c = 0; c < TILE; c++) v[i * TILE + c] = key_of(v[i * TILE + c]);
    }
    sort_columns(v, n);
    for (size_t c = 0; c < columns; c++) {
      double sum = 0;
      for (size_t i = k; i < n - k; i++) {
        const int32_t bits = key_of(v[i * TILE + c]);
        float value;
        memcpy(&value, &bits, sizeof bits);
        sum += (double)value;
      }
      sv->move[at + c] = (float)(sum / (double)(n - 2 * k));
    }
  }
}

const fl_stage fl_stage_trimmed = { .name = "trimmed", .help = "the mean of each coordinate's middle values, or their median",
                                    .params = params, .n_params = sizeof params / sizeof *params, .slot = slots,
                                    .n_slots = S_COUNT, .setup = setup, .combine = combine, .server_finish = server_finish };
