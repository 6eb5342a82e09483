/* probe.c - what a program sees of the shim: one result a line. */
#include <math.h>
#include <stdio.h>

int main(void) {
  volatile double x = 0.7, y = 1.3;
  volatile float f = 0.7f;
  printf("exp %a\nlog %a\npow %a\ncos %a\nsin %a\nlgamma %a\nfmod %a\n", exp(x), log(x), pow(x, y), cos(x), sin(x), lgamma(x),
         fmod(y, x));
  printf("expf %a\ntanhf %a\n", (double)expf(f), (double)tanhf(f));
  printf("exact %a %a %a\n", fma(x, y, x), sqrt(x), (double)fmaf(f, f, f));
  return 0;
}
