// hooks.hpp - one stage by hand: its hooks on vectors that the test fills and looks at, without a session.
#pragma once
#include "rules.hpp"
#include <catch2/catch.hpp>
#include <random>

namespace hooks {
using rules::Floats;
struct Stage {                                  // the only stage of an algorithm, on one client and on the server
  fl_algorithm a;
  fl_job job = {};
  std::vector<Floats> memory, uploads;
  std::vector<float *> at;
  std::vector<fl_up> up;
  std::vector<double> share;
  fl_local lo = {};
  fl_server sv = {};
  const fl_stage *stage;
  const double *h;
  const fl_kernels *k;

  Stage(const rules::Settings &set, const fl_layout &layout, size_t cohort) : a(rules::build(set)) {
    const char *why = nullptr;
    k = fl_kernels_select(nullptr, &why);
    stage = a.stage[0], h = a.h_stage[0];
    job.layout = &layout, job.cohort = cohort, job.clients = cohort, job.rule = a.rule, job.h_rule = a.h_rule;
    uploads.emplace_back(layout.d);
    for (size_t i = 0; i < stage->n_slots; i++) {
      const fl_slot &slot = stage->slot[i];
      (slot.place == FL_UP ? uploads : memory).emplace_back(slot.floats ? slot.floats(&job, h) : layout.d);
    }
    for (size_t i = 0, m = 0, u = 1; i < stage->n_slots; i++)
      at.push_back(stage->slot[i].place == FL_UP ? uploads[u++].data() : memory[m++].data());
    lo.job = sv.job = &job, lo.k = sv.k = k, lo.at = sv.at = at.data();
    lo.steps = 1, lo.effective_steps = 1, lo.lr = 1;
  }
  Stage(const Stage &) = delete;
  // The client's change into upload 0, and what it makes of it; the bits that it says.
  uint64_t finish(const Floats &change) {
    uploads[0] = change;
    up.clear();
    for (Floats &v : uploads) up.push_back({ v.data(), v.size(), 1.0 });
    lo.up = up.data(), lo.n_up = up.size();
    stage->client_finish(h, &lo);
    uint64_t bits = 32 * (uint64_t)change.size(), own[FL_MAX_SLOTS] = { 0 };
    if (stage->message) stage->message(h, &job, lo.id, lo.position, &bits, own);
    return bits;
  }
  // How much each of the vectors counts; `own` follows them.
  std::vector<double> combine(const std::vector<Floats> &sent) {
    Floats all;
    for (const Floats &v : sent) all.insert(all.end(), v.begin(), v.end());
    sv.m = sent.size() - (stage->own ? 1 : 0);
    share.assign(sv.m, 1.0 / (double)sv.m);
    sv.sent = all.data(), sv.row = sent[0].size(), sv.share = share.data();
    stage->combine(h, &sv);
    return share;
  }
};
inline Floats noise(size_t n, unsigned seed, float mean = 0) {
  std::mt19937 engine(seed);
  Floats v(n);
  for (float &x : v) x = mean + (float)((int)(engine() % 2001) - 1000) / 500.0f;
  return v;
}
} // namespace hooks
