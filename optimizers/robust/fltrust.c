/* fltrust.c - FLTrust (Cao et al. 2021, arXiv 2012.13995; federated-structured-robust 7, R21): the server trains on a small
 * clean set of its own as a client does, and trusts clients by the direction of that update u_0:
 *
 *   T_i = max(0, cos(u_i, u_0));   x <- x + server_lr*sum T_i*(|u_0|/|u_i|)*u_i/sum T_i          no change if no T_i is above 0
 *
 * The set: root_samples drawn from the seed, uniform among the clients' samples, labels as they are (the authors' "case I"; how
 * they are drawn is not in the specification). So the change is never longer than server_lr*|u_0|. Memory m + 1 uploads; m + 1
 * dot products and as many norms in double; one more client's training a round. */
#include <fedlane/optimizer.h>
#include <math.h>

enum { H_SAMPLES };
static const fl_param params[] = {
  [H_SAMPLES] = { "root_samples", 100, 1, 1e9, NULL, "clean samples that the server holds itself", FL_WHOLE },
};

static size_t own(const double *h, const fl_job *job) { (void)job; return (size_t)h[H_SAMPLES]; }

static const char *setup(const double *h, const fl_job *job) {
  for (size_t i = 0; i < job->n_stages; i++)
    for (size_t j = 0; j < job->stage[i]->n_slots; j++) {
      const fl_slot *slot = &job->stage[i]->slot[j];
      if (slot->place == FL_CLIENT || (slot->place == FL_UP && !(slot->flags & FL_DERIVED)))
        return fl_why(job, "stage fltrust scales the change of the model; stage %s %s %s; allowed: stages that keep nothing on "
                           "clients and send nothing but that change", job->stage[i]->name,
                      slot->place == FL_UP ? "also sends" : "keeps", slot->name);
    }
  if (job->layout && h[H_SAMPLES] > (double)job->samples)
    return fl_why(job, "stage fltrust: root_samples = %g; allowed: 1 to the %zu samples of all clients", h[H_SAMPLES],
                  job->samples);
  if (job->layout && job->layout->buffers)
    return fl_why(job, "stage fltrust: the model has %zu buffers, for which the method has no weights; allowed: models without",
                  job->layout->buffers);
  return NULL;
}

static void combine(const double *h, fl_server *sv) {
  const size_t d = sv->job->layout->d;
  const float *root = sv->sent + sv->m * sv->row;
  const double length = sqrt(sv->k->sumsq(d, root));
  double trust = 0;
  (void)h;
  for (size_t p = 0; p < sv->m; p++) {
    const float *u = sv->sent + p * sv->row;
    const double norm = sqrt(sv->k->sumsq(d, u)), dot = sv->k->dot(d, u, root), cosine = dot / (norm * length);
    const int trusted = isfinite(norm) && norm > 0 && cosine > 0;
    sv->share[p] = trusted ? cosine * (length / norm) : 0;
    trust += trusted ? cosine : 0;
  }
  for (size_t p = 0; p < sv->m; p++) sv->share[p] = trust > 0 ? sv->share[p] / trust : 0;
}

const fl_stage fl_stage_fltrust = { .name = "fltrust", .help = "updates weighed by their angle to the server's own",
                                    .params = params, .n_params = sizeof params / sizeof *params, .setup = setup, .own = own,
                                    .combine = combine };
