// worked.hpp - the worked numbers of federated-adaptive 21, and their two-client problem. test_worked.cpp is built twice: with
// the library, to what single precision holds, and with 64-bit reals, to every digit that is printed.
#pragma once
#include <fedlane/session.h>
#include <string>
#include <utility>
#include <vector>

namespace worked {
// f_1 = 0.5 (x-1)^2, f_2 = 1.5 (x+1)^2, x^0 = 0.5, exact gradients. Sample 0 is the first client's, the others the second's.
inline const fl_tensor scalar_tensor = { "x", FL_BIAS, 0, 0, 1, { 1, 0, 0, 0 }, 0, 1 };
inline const fl_layout scalar_layout = { 1, 1, 0, &scalar_tensor };
inline void scalar_init(void *, uint64_t, float *x) { x[0] = (float)0.5; }
inline double scalar_loss_grad(void *, const fl_kernels *, const float *x, const uint32_t *index, size_t, float *g, void *) {
  const double y = x[0];
  g[0] = (float)(index[0] == 0 ? y - 1 : 3 * (y + 1));
  return index[0] == 0 ? 0.5 * (y - 1) * (y - 1) : 1.5 * (y + 1) * (y + 1);
}
inline const fl_objective scalar = { "scalar", nullptr, &scalar_layout, 4, 0, 0, scalar_init, nullptr, scalar_loss_grad,
                                     nullptr };

using Settings = std::vector<std::pair<std::string, std::string>>;
// x after rounds 1, 2, 3. uneven: the first client makes 1 step, the second 3; else both 2.
struct Row { Settings set; double x[3]; bool uneven = false; };
inline const std::vector<Row> rows = {
  { { { "name", "fedavg" }, { "weight_decay", "0.1" } }, { 0.158050000, 0.037247126, -0.013975380 } },
  { { { "name", "fedavgm" }, { "server_momentum", "0.5" }, { "weight_decay", "0" } },
    { 0.165000000, -0.123437500, -0.303198242 } },
  { { { "name", "fedprox" }, { "mu", "1" }, { "weight_decay", "0" } }, { 0.185000000, 0.063737500, 0.010767602 } },
  { { { "name", "fednova" }, { "momentum", "0" }, { "weight_decay", "0" } }, { 0.221500000, 0.103309563, 0.049029570 }, true },
  { { { "name", "fednova" }, { "momentum", "0.5" }, { "weight_decay", "0" } },
    { 0.129257353, -0.005712992, -0.063808870 }, true },
  { { { "name", "scaffold" }, { "weight_decay", "0" } }, { 0.165000000, 0.038687500, -0.013892227 } },
  { { { "name", "feddyn" }, { "alpha", "0.5" }, { "weight_decay", "0" } }, { -0.150000000, -0.567575000, -0.906351339 } },
  { { { "name", "fedcm" }, { "alpha", "0.3" }, { "weight_decay", "0" } }, { 0.385850000, 0.294679869, 0.239477127 } },
  { { { "name", "fedacg" }, { "acg_momentum", "0.5" }, { "mu", "1" }, { "weight_decay", "0" } },
    { 0.185000000, -0.065018750, -0.218731686 } },
  { { { "name", "fedadagrad" }, { "server_lr", "0.1" }, { "server_eps", "0.01" }, { "server_initial_accumulator", "1e-4" },
      { "weight_decay", "0" } },
    { 0.402940531, 0.359806608, 0.338838678 } },
  { { { "name", "fedyogi" }, { "server_lr", "0.1" }, { "server_eps", "0.01" }, { "server_initial_accumulator", "1e-4" },
      { "weight_decay", "0" } },
    { 0.425490471, 0.329045588, 0.227665750 } },
  { { { "name", "fedadam" }, { "server_lr", "0.1" }, { "server_eps", "0.01" }, { "server_initial_accumulator", "1e-4" },
      { "weight_decay", "0" } },
    { 0.425466757, 0.328685001, 0.226577486 } },
  { { { "name", "fedlada" }, { "alpha", "0.3" }, { "beta1", "0.9" } }, { 0.499482549, 0.488122111, 0.479274628 } },
  { { { "name", "fedlada" }, { "alpha", "0.3" }, { "beta1", "0.9" }, { "amsgrad", "no" }, { "eps", "1e-8" },
      { "initial_accumulator", "0" } },
    { 0.499971345, 0.488776930, 0.479987580 } },
  { { { "name", "local_adamw" }, { "beta1", "0.9" }, { "beta2", "0.99" }, { "eps", "1e-8" }, { "weight_decay", "0.1" } },
    { 0.489647020, 0.484700223, 0.482268000 } },
  { { { "name", "fedadamw" }, { "beta1", "0.9" }, { "beta2", "0.99" }, { "eps", "1e-8" }, { "weight_decay", "0.1" },
      { "alpha", "0.5" } },
    { 0.489647020, 0.433390491, 0.391649663 } },
  { { { "name", "fedadamw" }, { "beta1", "0.9" }, { "beta2", "0.99" }, { "eps", "1e-8" }, { "weight_decay", "0.1" },
      { "alpha", "0.5" }, { "m_index", "global" } },
    { 0.489647020, 0.459889386, 0.441768656 } },
  { { { "name", "fedadamw" }, { "beta1", "0.9" }, { "beta2", "0.99" }, { "eps", "1e-8" }, { "weight_decay", "0.1" },
      { "alpha", "0.5" }, { "m_index", "global" }, { "mix", "convex" }, { "rescale_correction", "no" } },
    { 0.489992831, 0.469009546, 0.451980831 } },
  { { { "name", "local_sophia" }, { "sophia_rho", "0.5" }, { "bs", "100" } }, { 0.525253409, 0.538603240, 0.545484757 } },
  { { { "name", "fedpac_sophia" }, { "sophia_rho", "0.5" }, { "bs", "100" }, { "alpha", "0.5" } },
    { 0.512501834, 0.512605383, 0.511167808 } },
};

// The scalar map of Newton-Schulz applied 1 to 5 times; NS of [[1,2,3],[4,5,6]].
struct Map { double s, f[5]; };
inline const Map map[] = { { 1, { 0.701000, 1.113620, 0.720706, 1.089974, 0.696436 } },
                           { 0.5, { 1.188859, 0.896196, 0.824367, 0.937890, 0.765439 } },
                           { 0.1, { 0.339695, 0.992097, 0.707080, 1.106565, 0.712120 } },
                           { 0.01, { 0.034440, 0.118434, 0.400062, 1.093090, 0.698917 } },
                           { 0.001, { 0.003444, 0.011864, 0.040859, 0.140413, 0.470544 } } };
inline const double newton_schulz[6] = { -0.56829011, 0.05774194, 0.683774, 0.5633547, 0.40561283, 0.24787096 };

// Matrix rules on gradients that are given: w after each step. single: what single precision holds of it.
struct Path { Settings set; size_t rows, cols; std::vector<double> start; std::vector<std::vector<double>> g, w; double single; };
inline const std::vector<std::vector<double>> four = { { 1, 2, 3, 4 }, { 0.5, -1, 2, 0.25 }, { -1, 0.5, 0.25, 1.5 },
                                                       { 0.3, 0.2, -0.4, 1 } };
inline const std::vector<Path> paths = {
  { { { "rule", "soap" }, { "lr", "0.1" }, { "precond_every", "2" }, { "weight_decay", "0.01" } }, 2, 2, { 0.1, -0.2, 0.3, 0.4 },
    four,
    { { 0.1, -0.2, 0.3, 0.4 }, { 0.021532, -0.082248, 0.18214799, 0.321232 }, { 0.0735929, -0.0583407, 0.07636653, 0.23525645 },
      { 0.08918504, -0.03383074, 0.01199333, 0.13421162 } }, 1e-5 },
  { { { "rule", "shampoo" }, { "lr", "0.1" }, { "precond_every", "1" } }, 2, 2, { 0.1, -0.2, 0.3, 0.4 }, four,
    { { 0.15142172, -0.28572958, 0.21426313, 0.34854185 }, { 0.13383768, -0.23551838, 0.16371666, 0.34564409 } }, 1e-5 },
  { { { "rule", "shampoo" }, { "lr", "0.1" }, { "precond_every", "1" }, { "variant", "code" } }, 2, 2, { 0.1, -0.2, 0.3, 0.4 },
    four, { { 0.151447, -0.285745, 0.214255, 0.348553 }, { 0.15702789, -0.2235979, 0.17670862, 0.32710952 } }, 1e-5 },
  { { { "rule", "muon" }, { "lr", "0.1" }, { "muon_lr_scale", "1" }, { "momentum", "0.95" }, { "weight_decay", "0.01" } }, 3, 2,
    { 0.1, -0.2, 0.3, 0.4, 0, 0.5 }, { { 1, 2, 3, 4, 5, 6 }, { 0.5, -1, 2, 0.25, 0, 1 } },
    { { 0.15715908, -0.27003584, 0.29082889, 0.3494525, -0.07500131, 0.46944084 },
      { 0.12162465, -0.24882571, 0.21119384, 0.3420997, -0.08435715, 0.3842109 } }, 2e-6 },
};
inline const double muon_momentum[2][6] = { { 0.05, 0.1, 0.15, 0.2, 0.25, 0.3 },
                                         { 0.0725, 0.045, 0.2425, 0.2025, 0.2375, 0.335 } };
// Rank at which a momentum of a x b is sent with a compression_ratio.
struct Rank { size_t a, b; const char *ratio; size_t rank; };
inline const Rank ranks[] = { { 192, 192, "0.05", 4 }, { 768, 192, "0.05", 7 }, { 64, 576, "0.1", 5 }, { 4, 4, "1.2", 2 } };
} // namespace worked
