/* privacy.h - what a run with clipped updates and Gaussian noise has spent of its differential privacy: Renyi-DP of the sampled
 * Gaussian mechanism, its sum over rounds, and the epsilon that follows (federated-flat-private 17). Plain functions of numbers,
 * without the C library's mathematics, so that a calibrated noise is the same on every machine. */
#ifndef FEDLANE_PRIVACY_H
#define FEDLANE_PRIVACY_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/* How the participants of a round are drawn, and which data sets are neighbours. FL_POISSON: each with probability q, one more or
 * one less; noise is a multiple of the largest contribution C. FL_FIXED_SIZE: q*N without replacement, one replaced by another;
 * the sum then changes by up to 2C, which the functions below halve `noise` for. */
typedef enum { FL_POISSON, FL_FIXED_SIZE } fl_sampler;
/* From RDP to epsilon: Balle et al. 2020 and Canonne et al. 2020, or Mironov 2017. */
typedef enum { FL_IMPROVED, FL_CLASSIC } fl_conversion;

/* ln erfc(x), also where erfc(x) is no double. */
double fl_log_erfc(double x);
/* RDP of one round at an order above 1; noise: standard deviation of the noise on the sum of the contributions over C. Poisson:
 * Mironov, Talwar, Zhang, arXiv 1908.10530, at every order. Fixed: Wang, Balle, Kasiviswanathan, arXiv 1808.00087, between whole
 * orders by a line. Infinite without noise. */
double fl_rdp(fl_sampler, double q, double noise, double order);

enum { FL_ORDERS = 156 };                       /* 1.1, 1.2 .. 10.9, 11 .. 63, 128, 256, 512, 1024 */
typedef struct { double order[FL_ORDERS], rdp[FL_ORDERS]; } fl_accountant;
void fl_accountant_start(fl_accountant *);
/* `rounds` more rounds; rounds may differ in q and noise. */
void fl_accountant_add(fl_accountant *, fl_sampler, double q, double noise, double rounds);
/* The least epsilon at this delta after what was added; *order (NULL: not wanted): where it was found. At the first or last of
 * the orders another grid might give less. */
double fl_accountant_epsilon(const fl_accountant *, fl_conversion, double delta, double *order);
double fl_accountant_delta(const fl_accountant *, fl_conversion, double epsilon, double *order);
/* The least noise, by bisection to 1e-13 of it, whose epsilon after `rounds` rounds is at most this; infinite: there is none
 * below 1e6. */
double fl_noise_for(fl_sampler, fl_conversion, double epsilon, double delta, double q, double rounds);
#ifdef __cplusplus
}
#endif
#endif
