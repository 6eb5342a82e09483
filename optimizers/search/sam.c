/* sam.c - SAM (Foret et al. 2021, arXiv 2010.01412) and ASAM (Kwon et al. 2021, arXiv 2102.11600): the rule steps with the
 * gradient of the worst point nearby (deep-first-order 22; federated-flat-private 1, 2), centrally and on clients:
 *
 *   g1 = grad f(y)          e = sam_rho*T^2*g1/(|T*g1|_2 + 1e-12)          g = grad f(y + e), same batch
 *
 * sam: T = 1. asam: T = |y| + asam_eta for weights, 1 for biases, norms and tokens; asam_tensors=all: for every tensor. The norm
 * is over all tensors. y + e is made beside y, so nothing has to be restored. The decay, which is the rule's, is at y; clip_norm
 * acts on g. The loss that is told is f(y). sam_rho = 0 is the rule alone, with one gradient a step instead of two. */
#include "probe.h"

enum { H_RHO, H_ETA, H_TENSORS };
enum { S_PROBE, S_COUNT };
static const fl_param sam_params[] = {
  [H_RHO] = { "sam_rho", 0.05, 0, 1e6, NULL, "radius of the search (0: none)", 0 },
};
static const fl_param asam_params[] = {
  [H_RHO] = { "sam_rho", 0.5, 0, 1e6, NULL, "radius of the search (0: none)", 0 },
  [H_ETA] = { "asam_eta", 0.01, 0, 1e6, NULL, "added to |y| in the scale of a weight", 0 },
  [H_TENSORS] = { "asam_tensors", 0, 0, 0, "weights|all", "which tensors are scaled by their size", 0 },
};
static const fl_slot slots[S_COUNT] = { [S_PROBE] = { "probe", FL_WORK, 0, fl_whole_floats } };

static int is_scaled(const double *h, const fl_tensor *t) {
  return h[H_TENSORS] != 0 || !(t->role == FL_BIAS || t->role == FL_NORM || t->role == FL_TOKEN);
}

/* out = T*in; the same memory is fine. */
static void stretch(const double *h, const fl_local *lo, float *out, const float *in) {
  const fl_layout *l = lo->job->layout;
  for (size_t i = 0; i < l->n; i++) {
    const fl_tensor *t = &l->tensor[i];
    if (t->role == FL_BUFFER) continue;
    if (is_scaled(h, t)) lo->k->stretch(t->size, out + t->offset, lo->y + t->offset, in + t->offset, (float)h[H_ETA]);
    else if (out != in) memcpy(out + t->offset, in + t->offset, t->size * sizeof *out);
  }
}

static double search(const double *h, fl_local *lo, int adaptive) {
  float *z = lo->at[S_PROBE];
  const float *up = lo->g;
  const double loss = gradient_at(lo, lo->y, lo->g);
  if (h[H_RHO] == 0) return loss;
  if (adaptive) stretch(h, lo, z, lo->g), up = z;
  const float length = radius(lo, h[H_RHO], up);
  if (adaptive) stretch(h, lo, z, z);
  gradient_near(lo, z, up, length);
  return loss;
}
static double grad_sam(const double *h, fl_local *lo) { return search(h, lo, 0); }
static double grad_asam(const double *h, fl_local *lo) { return search(h, lo, 1); }

const fl_stage fl_stage_sam = { .name = "sam", .help = "gradient at the worst point of a ball around the parameters",
                                .params = sam_params, .n_params = sizeof sam_params / sizeof *sam_params, .slot = slots,
                                .n_slots = S_COUNT, .grad = grad_sam };
const fl_stage fl_stage_asam = { .name = "asam", .help = "sam in a ball that scales with the size of each weight",
                                 .params = asam_params, .n_params = sizeof asam_params / sizeof *asam_params, .slot = slots,
                                 .n_slots = S_COUNT, .grad = grad_asam };
