/* abi.c - the public structs as they are compiled here: for callers who fill them without the headers. A field that is missing
 * here is found out by its struct's size. */
#include <fedlane/plugin.h>
#include <fedlane/session.h>
#include <string.h>

#define SESSION_TYPES(X) X(fl_stream) X(fl_eval) X(fl_objective) X(fl_problem) X(fl_partial) X(fl_options) X(fl_metrics)
static const fl_abi_type types[] = { FL_ABI_TYPES(FL_ABI_ENTRY) SESSION_TYPES(FL_ABI_ENTRY) };

/* Of the structs that a caller of fl_open fills or reads. */
typedef struct { const char *type, *name; size_t offset, size; } field;
#define F(type, name) { #type, #name, offsetof(type, name), sizeof(((type *)0)->name) },
static const field fields[] = {
  F(fl_key, seed) F(fl_key, purpose) F(fl_key, round) F(fl_key, client) F(fl_key, step)
  F(fl_tensor, name) F(fl_tensor, role) F(fl_tensor, layer) F(fl_tensor, heads) F(fl_tensor, ndim) F(fl_tensor, shape)
  F(fl_tensor, offset) F(fl_tensor, size)
  F(fl_layout, n) F(fl_layout, d) F(fl_layout, buffers) F(fl_layout, tensor)
  F(fl_eval, loss) F(fl_eval, correct) F(fl_eval, count) F(fl_eval, diverged)
  F(fl_objective, name) F(fl_objective, self) F(fl_objective, layout) F(fl_objective, n) F(fl_objective, n_test)
  F(fl_objective, classes) F(fl_objective, init) F(fl_objective, work) F(fl_objective, loss_grad) F(fl_objective, evaluate)
  F(fl_objective, sampled_grad) F(fl_objective, flipped_grad) F(fl_objective, evaluate_samples) F(fl_objective, step_grad)
  F(fl_objective, grad) F(fl_objective, frozen) F(fl_objective, adapter_scale)
  F(fl_problem, objective) F(fl_problem, clients) F(fl_problem, offset) F(fl_problem, index) F(fl_problem, samples)
  F(fl_problem, cohort) F(fl_problem, batch) F(fl_problem, self)
  F(fl_partial, sampling) F(fl_partial, availability) F(fl_partial, available_part) F(fl_partial, available_period)
  F(fl_partial, dropout) F(fl_partial, stragglers) F(fl_partial, straggler_unit) F(fl_partial, straggler_min)
  F(fl_partial, straggler_max)
  F(fl_options, seed) F(fl_options, rounds) F(fl_options, central) F(fl_options, participation) F(fl_options, partial)
  F(fl_options, local_epochs) F(fl_options, local_steps) F(fl_options, batch_size) F(fl_options, eval_every)
  F(fl_options, diagnostics) F(fl_options, diagnostics_every) F(fl_options, diagnostics_rows) F(fl_options, sharpness_steps)
  F(fl_options, gap_rho) F(fl_options, sharpness_step) F(fl_options, threads) F(fl_options, kernels) F(fl_options, state_file)
  F(fl_options, state_memory)
  F(fl_metrics, round) F(fl_metrics, train_loss) F(fl_metrics, evaluated) F(fl_metrics, test_loss) F(fl_metrics, accuracy)
  F(fl_metrics, diverged) F(fl_metrics, lr) F(fl_metrics, update_norm) F(fl_metrics, bytes_up) F(fl_metrics, bytes_down)
  F(fl_metrics, total_bytes_up) F(fl_metrics, total_bytes_down) F(fl_metrics, gradient_evaluations) F(fl_metrics, samples)
  F(fl_metrics, cohort) F(fl_metrics, seconds) F(fl_metrics, seconds_evaluation) F(fl_metrics, seconds_diagnostics)
  F(fl_metrics, thread_seconds) F(fl_metrics, unclipped) F(fl_metrics, local_steps) F(fl_metrics, dropped)
  F(fl_metrics, admitted) F(fl_metrics, rejected_malicious) F(fl_metrics, rejected_benign) F(fl_metrics, epsilon)
  F(fl_metrics, epsilon_as_poisson) F(fl_metrics, epsilon_order) F(fl_metrics, client_drift) F(fl_metrics, update_norm_mean)
  F(fl_metrics, update_cosine_pairs) F(fl_metrics, update_cosine_mean) F(fl_metrics, preconditioner_drift)
  F(fl_metrics, global_loss) F(fl_metrics, gradient_norm) F(fl_metrics, sam_gap) F(fl_metrics, sharpness)
  F(fl_metrics, client_accuracy_mean) F(fl_metrics, client_accuracy_worst) F(fl_metrics, client_accuracy_std)
  F(fl_metrics, bound)
  F(fl_setting, key) F(fl_setting, value) F(fl_setting, where)
  F(fl_algorithm, name) F(fl_algorithm, label) F(fl_algorithm, n_stages)
};

int fl_abi(void) { return FL_ABI; }

size_t fl_abi_size(const char *type) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (!strcmp(types[i].name, type)) return types[i].size;
  return 0;
}

int fl_abi_field(const char *type, const char *name, size_t *offset, size_t *size) {
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    if (strcmp(fields[i].type, type) || strcmp(fields[i].name, name)) continue;
    *offset = fields[i].offset;
    *size = fields[i].size;
    return 0;
  }
  return -1;
}
