/* summary.c - the end of a run: params.safetensors, its hash, trajectory_hash, summary.json. */
#include "harness/atomic.h"
#include "harness/record.h"
#include "harness/safetensors.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fl_result_reset(fl_result *r) {
  r->rounds = r->target_round = 0;
  r->evaluations = 0;
  r->best = r->loss = r->train_loss = (double)NAN;
  r->target_seconds = 0;
  if (EVP_DigestInit_ex(r->trajectory, EVP_sha256(), NULL) != 1) abort();
}

void fl_result_count(fl_result *r, const fl_metrics *m) {
  r->train_loss = m->train_loss;
  if (!m->evaluated) return;
  r->last[r->evaluations++ % FL_LAST_EVALUATIONS] = m->accuracy;
  r->loss = m->test_loss;
  if (!(r->best >= m->accuracy)) r->best = m->accuracy;
  double target = r->config->target_accuracy;
  if (target > 0 && !r->target_round && m->accuracy >= target) {
    r->target_round = m->round;
    r->target_seconds = m->seconds;
  }
}

static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_null(); }

/* Mean of the last five evaluations, oldest first; of all of them when there are fewer. */
static double mean_accuracy(const fl_result *r) {
  size_t n = r->evaluations < FL_LAST_EVALUATIONS ? r->evaluations : FL_LAST_EVALUATIONS;
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += r->last[(r->evaluations - n + i) % FL_LAST_EVALUATIONS];
  return n ? sum / (double)n : (double)NAN;
}

static json_t *summary_json(const fl_result *r, const fl_metrics *m, const char *status, const char *hash,
                            const char *trajectory) {
  json_t *s = json_object(), *split = json_object();
  int reached = r->target_round != 0;
  json_object_set_new(s, "schema", json_integer(1));
  json_object_set(s, "run_id", json_object_get(r->run, "run_id"));
  json_object_set_new(s, "label", json_string(r->config->label));
  json_object_set_new(s, "status", json_string(status));
  json_object_set(s, "reproducible", json_object_get(r->run, "reproducible"));
  json_object_set_new(s, "hash", json_string(hash));
  json_object_set_new(s, "trajectory_hash", json_string(trajectory));
  json_object_set_new(s, "rounds", json_integer((json_int_t)r->rounds));
  json_object_set_new(s, "evaluations", json_integer((json_int_t)r->evaluations));
  json_object_set_new(s, "accuracy", number(mean_accuracy(r)));
  json_object_set_new(s, "best_accuracy", number(r->best));
  json_object_set_new(s, "final_loss", number(r->loss));
  json_object_set_new(s, "final_train_loss", number(r->train_loss));
  if (m->round && isfinite(m->unclipped)) json_object_set_new(s, "unclipped", number(m->unclipped));
  if (m->round && isfinite(m->epsilon)) json_object_set_new(s, "epsilon", number(m->epsilon));
  if (m->round && m->epsilon_order > 0) json_object_set_new(s, "epsilon_order", number(m->epsilon_order));
  json_object_set_new(s, "target_accuracy", r->config->target_accuracy > 0 ? number(r->config->target_accuracy) : json_null());
  json_object_set_new(s, "rounds_to_target", reached ? json_integer((json_int_t)r->target_round) : json_null());
  json_object_set_new(s, "seconds_to_target", reached ? number(r->target_seconds) : json_null());
  json_object_set_new(s, "seconds", number(m->seconds));
  json_object_set_new(s, "seconds_evaluation", number(m->seconds_evaluation));
  json_object_set_new(s, "samples", json_integer((json_int_t)m->samples));
  json_object_set_new(s, "samples_per_second", m->seconds > 0 ? number((double)m->samples / m->seconds) : json_null());
  json_object_set_new(s, "gradient_evaluations", json_integer((json_int_t)m->gradient_evaluations));
  json_object_set_new(s, "bytes_up", json_integer((json_int_t)m->total_bytes_up));
  json_object_set_new(s, "bytes_down", json_integer((json_int_t)m->total_bytes_down));
  json_object_set_new(s, "threads", json_integer(r->threads));
  if (json_object_get(r->run, "timing")) json_object_set(s, "timing", json_object_get(r->run, "timing"));
  json_object_set_new(s, "parts", json_integer((json_int_t)json_array_size(json_object_get(r->run, "parts"))));
  for (size_t i = 0; i < FL_T_COUNT; i++) json_object_set_new(split, fl_time_name[i], number(m->thread_seconds[i]));
  json_object_set_new(s, "thread_seconds", split);
  json_object_set_new(s, "scaling_bound", number(m->bound));
  if (r->backend) json_object_set_new(s, "native_calls", fl_backend_native_json(r->backend, r->native_before));
  return s;
}

int fl_result_finish(fl_result *r, const float *x, const fl_metrics *last, const char *status, char *hash, char *trajectory,
                     char *err, size_t err_size) {
  static const fl_metrics none;
  const fl_metrics *m = last ? last : &none;
  fl_net_sized room;
  fl_adapter_form form;
  char path[4096];
  unsigned char digest[EVP_MAX_MD_SIZE];
  if (fl_result_ready(r, m->round, err, err_size)) return -1;
  if (fsync(r->fd)) {
    snprintf(err, err_size, "cannot write '%s/rounds.jsonl': %s", r->dir, strerror(errno));
    return -1;
  }
  EVP_MD_CTX *copy = EVP_MD_CTX_new();
  if (!copy || EVP_MD_CTX_copy_ex(copy, r->trajectory) != 1 || EVP_DigestFinal_ex(copy, digest, NULL) != 1) abort();
  EVP_MD_CTX_free(copy);
  fl_hex(digest, 32, trajectory);
  fl_params_hash(x, r->layout->d + r->layout->buffers, hash);
  snprintf(path, sizeof path, "%s/params.safetensors", r->dir);
  const fl_net *net = r->config->net ? r->config->net : fl_net_find(r->config->model, &room);
  const int adapted = net && fl_net_adapters(net, &form) == 1;
  if (fl_safetensors_write(path, r->layout, adapted ? &form : NULL, x, err, err_size)) return -1;
  /* Last of all: a folder with a summary is complete. */
  json_t *summary = summary_json(r, m, status, hash, trajectory);
  snprintf(path, sizeof path, "%s/summary.json", r->dir);
  int bad = fl_file_write_json(path, summary, err, err_size);
  json_decref(summary);
  return bad;
}
